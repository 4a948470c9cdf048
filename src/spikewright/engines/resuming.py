"""Blocks of steps that fail: the execution returns to where they began, and can go on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from spikewright._base.process import outside
from spikewright.engines.base import Kernel
from spikewright.engines.program import Operator
from spikewright.engines.python_steps import Functions, keeping
from spikewright.engines.recalling import Calls


class Resuming:
    """The state of kernels at the start of a block, and the answers of functions since then.

    `operators` are those of the program.
    """

    def __init__(self, kernels: Sequence[Kernel], operators: Sequence[Operator]) -> None:
        self._kernels = [kernel for kernel in kernels if not kernel.stateless]
        self._operators = operators
        self.calls = Calls()
        self._step: int | None = None  # that of the mark; None while there is none
        self._again: set[str] = set()  # labels of what counts some steps twice
        self.ended = False  # whether a run ended early and none has gone on

    def mark(self, step: int) -> None:
        """Note the state after step `step`."""
        self._step = None
        for kernel in self._kernels:
            kernel.mark()
        self.calls.mark()
        self._step = step

    def forget(self) -> None:
        """Leave out all that was noted: kernels have another state now."""
        self._step, self.ended, self._again = None, False, set()

    def at(self, step: int) -> bool:
        """Whether the mark is at `step`: the block behind it is not done."""
        return self._step == step

    def settle(self, step: int) -> bool:
        """Return to the mark if it is at `step`; whether it is."""
        self.calls.moment.time = None
        if not self.at(step):
            return False
        for kernel in self._kernels:
            kernel.rewind()
        self.calls.rewind()
        return True

    def failed(self, step: int) -> None:
        """The same of a run that ended early."""
        self.ended = True
        if self.settle(step):
            self._again.update(keeping(self._operators))

    def go_on(self, functions: Functions) -> None:
        """Call functions again that failed; warns where steps count twice for what they keep."""
        self._again.update(functions.failed())
        functions.forgive()
        again, self._again, self.ended = self._again, set(), False
        if again:
            warnings.warn(
                f"{', '.join(sorted(again))}: the last run ended within a step, which is run "
                "again; what is kept there outside the network counts it twice",
                stacklevel=outside(),
            )
