"""The readers of NIR that a check knows: one entry each."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from spikewright.exchange.nir.checking.semantics import OURS, Semantics


@dataclass(frozen=True)
class Reader:
    """A reader: its module, what installs it, and its stated semantics; None for a linter.

    `requirements` are those of an environment of its own. `remark` is what a user of it should
    know.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    semantics: Semantics | None
    remark: str = ""

    @property
    def package(self) -> str:
        """The name by which pip knows it."""
        return self.requirements[0].split(">")[0]


_HARD = Semantics(
    reset="zero", strict=True, most=1, stated=False, lif="euler", resists=("CubaLIF",), order="walk"
)

READERS = MappingProxyType(
    {
        reader.name: reader
        for reader in (
            Reader("norse", "norse", ("norse>=1.1,<2",), _HARD, "reads SumPool2d, no AvgPool2d"),
            Reader(
                "snntorch",
                "snntorch",
                ("snntorch>=1,<2", "nir>=1.0.6,<2", "nirtorch>=2.6,<3"),
                Semantics(
                    reset="zero if leaky",
                    strict=True,
                    most=1,
                    leak=0.1,
                    again=True,
                    dt=1e-4,
                    stated=False,
                    lif="euler",
                    resists=("LIF", "CubaLIF"),
                    edges="through loops",
                ),
                "takes IF as a neuron that leaks, and knows its own time step only",
            ),
            Reader(
                "spikingjelly",
                "spikingjelly",
                ("spikingjelly>=2,<3", "nir>=1.0.6,<2", "nirtorch>=2.6,<3"),
                Semantics(reset="zero", most=1, stated=False, lif="euler"),
                "refuses grouped convolutions and parameters that differ from neuron to neuron",
            ),
            Reader(
                "spyx",
                "spyx",
                ("spyx>=1,<2",),
                Semantics(
                    strict=True,
                    most=1,
                    late=1,
                    unscaled=True,
                    stated=False,
                    lif="euler",
                    resists=(),
                    edges="chain",
                ),
                "reads a chain: edges beside it are dropped without a word",
            ),
            Reader(
                "sinabs",
                "sinabs",
                ("sinabs>=3.1,<4", "samna"),
                Semantics(
                    floor=1.0, stated=False, unscaled=True, order="walk", edges="no late ones"
                ),
                "wants nir up to 1.0.4, which knows no v_reset",
            ),
            Reader(
                "nirtorch",
                "nirtorch",
                ("nirtorch>=2.6,<3",),
                OURS,
                "brings no neurons: the check gives it a map",
            ),
            Reader("snn-mlir", "snn_mlir", ("snn-mlir>=1,<2",), None, "a linter: it runs nothing"),
        )
    }
)
"""Every reader by name."""
