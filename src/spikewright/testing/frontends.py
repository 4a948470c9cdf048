"""The conformance suite of readers: those of the library, and your own (needs pytest).

::

    class TestMine(FrontendSuite):
        cases = (
            Case("gated", lambda: keras.Sequential([keras.Input((5,)), Gated()])),
            Case("bounded", lambda: Bounded(), example_input=np.zeros((1, 5), np.float32)),
        )

Every model is read, compared with its own framework layer by layer, converted, verified, and run
over time, and is afterwards what it was. Models are small: the reference engine runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.conversion import Conversion, convert
from spikewright.conversion.verification_result import relative_error
from spikewright.frontends import Source, read
from spikewright.graph import evaluate, evaluate_all
from spikewright.graph.integer_inputs import random_inputs
from spikewright.testing.states import left_as_it_was

STEPS = np.array([16, 32, 64, 128, 256, 512])
SCALE = 200.0
ROUNDING = 1e-6
"""Relative error that weights in single precision leave, at most."""


@dataclass(frozen=True, eq=False)
class Case:
    """A model under a name, made when it is needed.

    `inputs` makes `{input name: (batch, *shape)}` of a batch and a random generator, where standard
    normal values would not do; `tolerance` is how far the framework, which mostly computes in
    single precision, may be from the graph, relative to the largest value of each layer; `slope` is
    an upper bound of the slope of the spiking network's error against time.
    """

    id: str
    model: Callable[[], Any]
    example_input: Any = None
    inputs: Callable[[int, np.random.Generator], Mapping[str, NDArray]] | None = None
    tolerance: float = 1e-5
    slope: float = -0.7


class FrontendSuite:
    """Tests of readers on the models of `cases`."""

    cases: ClassVar[tuple[Case, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Every test runs on every case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", [pytest.param(case, id=case.id) for case in self.cases])

    def test_the_graph_computes_what_the_framework_does(self, case: Case) -> None:
        """Every layer that can be observed, for batches of several sizes."""
        source = read(case.model(), case.example_input)
        for batch in (1, 3):
            inputs = _inputs(case, source, batch)
            theirs, ours = source.activations(inputs), evaluate_all(source.graph, inputs)
            assert set(source.graph.outputs.values()) <= set(theirs) <= set(ours)
            errors = {name: relative_error(theirs[name], ours[name]) for name in theirs}
            worst = max(errors, key=errors.__getitem__)
            assert errors[worst] <= case.tolerance, f"{worst}: {errors[worst]:.2g}"

    def test_outputs_are_those_of_the_frameworks_own_call(self, case: Case) -> None:
        """On a whole batch: no samples are mixed, no axis is taken for another."""
        source = read(case.model(), case.example_input)
        check_call(source, _inputs(case, source, 3), case.tolerance)

    def test_the_model_is_left_as_it_was(self, case: Case) -> None:
        """Reading, calling, converting and verifying change nothing of it, nor random states."""
        model = case.model()
        with left_as_it_was(model):
            source = read(model, case.example_input)
        with left_as_it_was(model):
            source.call(_inputs(case, source, 3))
            source.activations(_inputs(case, source, 3))
        with left_as_it_was(model):
            conversion = convert(model, example_input=case.example_input)
            conversion.verify(_inputs(case, source, 3), rtol=max(case.tolerance, ROUNDING))

    def test_the_rate_network_is_verified(self, case: Case) -> None:
        """Layer by layer against the framework, and every name of the source leads somewhere."""
        conversion, inputs = _converted(case, spiking=False)
        assert conversion.verify(inputs, rtol=max(case.tolerance, ROUNDING))
        names = {node.source or node.name for node in conversion.graph}
        assert names <= set(conversion.layers)

    def test_the_spiking_network_converges(self, case: Case) -> None:
        """The error of the mean of every output falls with the steps, or there is none."""
        conversion, inputs = _converted(case, spiking=True)
        assert conversion.trace.guarantee in ("exact", "convergent")
        for output, errors in errors_over_time(conversion, inputs).items():
            if errors.max() > ROUNDING:
                assert _slope(errors) < case.slope, f"{output}: {errors}"


def check_call(source: Source, inputs: Mapping[str, NDArray], tolerance: float) -> None:
    """The framework's own call on a batch gives the outputs that the graph has sample by sample."""
    theirs, ours = source.call(inputs), evaluate(source.graph, inputs)
    assert theirs.keys() == ours.keys()
    errors = {name: relative_error(theirs[name], ours[name]) for name in theirs}
    assert max(errors.values()) <= tolerance, f"outputs differ: {errors}"


def _inputs(case: Case, source: Source, batch: int) -> dict[str, NDArray]:
    if case.inputs is not None:
        return dict(case.inputs(batch, np.random.default_rng(batch)))
    found = random_inputs(source.graph, batch, batch)
    return {name: value.astype(np.float32) for name, value in found.items()}


def _converted(case: Case, spiking: bool) -> tuple[Conversion, dict[str, NDArray]]:
    model = case.model()
    inputs = _inputs(case, read(model, case.example_input), 4)
    conversion = convert(
        model,
        spiking=spiking,
        scale_firing_rates=SCALE if spiking else None,
        example_input=case.example_input,
    )
    return conversion, inputs


def errors_over_time(
    conversion: Conversion, inputs: Mapping[str, NDArray], engine: str = "reference"
) -> dict[str, NDArray]:
    """Relative error of each output's mean after each of `STEPS`, in the 2-norm."""
    values = evaluate_all(conversion.graph, inputs)
    run = conversion.run(dict(inputs), int(STEPS[-1]), engine=engine, progress=False)
    means = run.predict_at_every_step("mean")
    by_output = means if isinstance(means, dict) else {next(iter(conversion.outputs)): means}
    return {
        output: _relative(by_output[output], values[name])
        for output, name in conversion.graph.outputs.items()
    }


def _relative(means: NDArray, truth: NDArray) -> NDArray:
    apart = np.array([float(np.linalg.norm(means[:, step - 1] - truth)) for step in STEPS])
    return apart / max(float(np.linalg.norm(truth)), 1e-3)


def _slope(errors: NDArray) -> float:
    """Of the line through the logarithms of errors and steps."""
    return float(np.polyfit(np.log(STEPS), np.log(np.maximum(errors, ROUNDING)), 1)[0])
