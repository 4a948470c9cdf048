"""The check of a program under SPIKEWRIGHT_CHECK=1, as compiled and as an engine planned it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikewright._base.debugging import checking, traced
from spikewright.engines.base import Engine, arrays_of
from spikewright.engines.operators import Advance, Delay, Filtered, Mapped, Operator, ScaledSum
from spikewright.engines.program import Component, Program
from spikewright.engines.windows import Average
from spikewright.errors import BuildError


def planned(program: Program, engine: Engine) -> Program:
    """The program as an engine runs it: `Engine.prepare`, traced and checked.

    Raises `BuildError` under SPIKEWRIGHT_CHECK=1 where the plan breaks a rule of programs.
    """
    with traced(f"plan {engine.name}") as changes:
        plan = engine.prepare(program)
        changes.append(_operators(program, plan))
    if checking():
        check_program(plan, f"planned for the {engine.name} engine", program)
    return plan


def _operators(before: Program, plan: Program) -> Iterator[str]:
    """The numbers of operators before and after planning, and a line for each that runs."""
    yield f"{len(before.operators)} -> {len(plan.operators)} operators"
    for op in plan.operators:
        yield f"{type(op).__name__}: {op.label}"


def check_program(program: Program, stage: str, before: Program | None = None) -> None:
    """Raise `BuildError` for the first rule that a program breaks, naming the operator.

    Every signal has a shape and one operator that makes it; operators read what was made before
    them, in loops by the end of a step; maps, filters, delays and sums fit the shapes; no array
    holds NaN; what is recorded is made, and a plan makes all that was recorded `before`.
    """
    maker: dict[int, Operator] = {}
    for component in program.components:
        ready = {*maker}
        for op in component.operators:
            for signal in op.outputs:
                if signal in maker:
                    raise _broken(
                        stage, op, f"makes signal {signal}, as {maker[signal].label} does"
                    )
                if not 0 <= signal < len(program.shapes):
                    raise _broken(stage, op, f"makes signal {signal}, which has no shape")
                maker[signal] = op
        _check_order(component, ready, stage)
        for op in component.operators:
            _check_operator(op, program, stage)
    recordings = (*program.recordings, *(before.recordings if before else ()))
    for recording in recordings:
        if recording.signal not in maker:
            raise BuildError(
                f"the program {stage}: {recording.probe!r} records signal {recording.signal}, "
                "which no operator makes. This is a fault of Spikewright: please report it."
            )


def _check_order(component: Component, ready: set[int], stage: str) -> None:
    """Check that operators read signals that are made before them, or by the end of a step."""
    made = {signal for op in component.operators for signal in op.outputs}
    present = set(ready)
    for op in component.operators:
        known = ready | made if component.loops else present
        lost = [s for s in op.inputs if s not in known]
        early = [s for s in op.immediate_inputs if s not in present] if component.loops else []
        if lost or early:
            raise _broken(stage, op, f"reads signals {lost or early}, which are not made before it")
        present.update(op.outputs)


def _check_operator(op: Operator, program: Program, stage: str) -> None:
    """Check an operator's arrays, and the shapes of its signals."""
    if any(np.isnan(array).any() for array in arrays_of(op) if array.dtype.kind == "f"):
        raise _broken(stage, op, "holds NaN")
    shapes = program.shapes
    if isinstance(op, Mapped):
        wanted = op.transform.output_shape(shapes[op.inputs[0]])
    elif isinstance(op, Advance | Average | Delay | Filtered):
        wanted = shapes[op.inputs[0]]
    elif isinstance(op, ScaledSum) and op.inputs:
        wanted = np.broadcast_shapes(*(shapes[s] for s in op.inputs))
    else:
        return
    if tuple(wanted) != tuple(shapes[op.output]):
        raise _broken(stage, op, f"gives {wanted}; its signal is of shape {shapes[op.output]}")


def _broken(stage: str, op: Operator, rule: str) -> BuildError:
    return BuildError(
        f"the program {stage}: {type(op).__name__} {op.label!r} {rule}. This is a fault of "
        "Spikewright: please report it with the network."
    )
