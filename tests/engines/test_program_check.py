"""SPIKEWRIGHT_CHECK: the rules of programs, as compiled and as engines plan them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.engines.operators import Linear, Operator, ScaledSum
from spikewright.engines.program import Program
from spikewright.engines.program_check import check_program
from spikewright.errors import BuildError


def compiled() -> Program:
    """Two populations, the second with a loop."""
    with sw.Network(seed=1) as net:
        source = sw.Node(np.ones(2))
        a, b = sw.Ensemble(10, 2), sw.Ensemble(10, 1)
        sw.Connection(source, a)
        sw.Connection(a, b, transform=np.ones((1, 2)))
        sw.Connection(b, b, synapse=0.1)
        sw.Probe(b)
    return engines.compile_network(net, 0.001, 0, "float32")


def _changed(program: Program, old: Operator, *new: Operator) -> Program:
    """The program with operators in place of one."""
    components = (
        replace(c, operators=tuple(o for op in c.operators for o in (new if op is old else (op,))))
        for c in program.components
    )
    return replace(program, components=tuple(components))


def _first(program: Program) -> Linear:
    return next(op for op in program.operators if isinstance(op, Linear))


def twice(program: Program) -> Program:
    """An operator twice."""
    op = _first(program)
    return _changed(program, op, op, op)


def too_early(program: Program) -> Program:
    """Components in the opposite order."""
    return replace(program, components=program.components[::-1])


def not_made(program: Program) -> Program:
    """A recording of what no operator makes."""
    recording = replace(program.recordings[0], signal=len(program.shapes))
    return replace(program, recordings=(recording,))


def misshapen(program: Program) -> Program:
    """A signal of another shape than its operator gives."""
    shapes = list(program.shapes)
    shapes[_first(program).output] = (99,)
    return replace(program, shapes=tuple(shapes))


def undefined(program: Program) -> Program:
    """A bias that is NaN."""
    op = next(op for op in program.operators if isinstance(op, ScaledSum) and op.bias is not None)
    return _changed(program, op, replace(op, bias=np.full_like(op.bias, np.nan)))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (twice, "makes signal"),
        (too_early, "which are not made before it"),
        (not_made, "which no operator makes"),
        (misshapen, r"its signal is of shape \(99,\)"),
        (undefined, "holds NaN"),
    ],
)
def test_a_broken_program_is_refused(broken: Callable[[Program], Program], says: str) -> None:
    """The error names the stage, the operator and the rule; the program as compiled keeps all."""
    program = compiled()
    check_program(program, "as compiled")
    with pytest.raises(BuildError, match=f"the program as compiled: .*{says}"):
        check_program(broken(program), "as compiled")


@pytest.mark.parametrize("engine", engines.available())
def test_a_plan_is_checked(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that loses a recorded signal is refused where the engine made it, and only under the
    check."""
    program = compiled()
    runs = engines.get(engine, program)
    lost = replace(program, components=program.components[:1])
    monkeypatch.setattr(runs, "prepare", lambda program: lost)
    engines.PreparedRun(program, runs, 1)
    monkeypatch.setenv("SPIKEWRIGHT_CHECK", "1")
    with pytest.raises(BuildError, match=f"planned for the {engine} engine: .* no operator makes"):
        engines.PreparedRun(program, runs, 1)


def test_the_trace_names_the_stages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiling and planning print their milliseconds and operators, on standard error."""
    monkeypatch.setenv("SPIKEWRIGHT_TRACE", "1")
    program = compiled()
    engines.PreparedRun(program, engines.get("reference", program), 1)
    err = capsys.readouterr().err
    assert f"{len(program.operators)} operators, {len(program.shapes)} signals" in err
    assert err.index("compile ") < err.index("plan reference ")
