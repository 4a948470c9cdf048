"""Learning rules natively: the reference's weights and spikes, in loops and out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.engines.populations import Learned
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NeuronType

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_kernel import RegionKernel
from spikewright.engines.native.regions import plan_rows

DT = 0.001
SENDERS: dict[str, NeuronType] = {
    "counts": sw.SpikingRectifiedLinear(),
    "signed": sw.BipolarIntegrateAndFire(),
    "values": sw.RectifiedLinear(),
}
CompiledRegion = tuple[sw.Network, sw.Node]


def decoding(rule: object, kind: NeuronType, neurons: bool = False) -> CompiledRegion:
    """An error that learns from what is decoded: a loop."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(2))
        pre, post = (sw.Ensemble(40, 2, neuron_type=kind) for _ in range(2))
        error = sw.Node(size_in=2)
        sw.Connection(stimulus, pre, None)
        if neurons:
            weights = sw.Dense(np.random.default_rng(0).normal(0, 0.003, (40, 40)))
            made = sw.Connection(pre.neurons, post.neurons, 0.005, weights, learning_rule_type=rule)
        else:
            made = sw.Connection(pre, post, 0.005, learning_rule_type=rule)
        sw.Connection(post, error, 0.01)
        sw.Connection(stimulus, error, None, transform=-1)
        sw.Connection(error, made.learning_rule, None)
        sw.Probe(made, "weights")
        sw.Probe(made.learning_rule, "delta")
        sw.Probe(post.neurons)
    return net, stimulus


def between(rule: object, kind: NeuronType) -> CompiledRegion:
    """Weights between neurons that know the activities of both ends."""
    rng = np.random.default_rng(1)
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(2))
        pre, post = (sw.Ensemble(30, 2, neuron_type=kind) for _ in range(2))
        sw.Connection(stimulus, pre, None)
        weights = sw.Dense(rng.normal(0.5, 0.5, (30, 30)) / 3000)
        made = sw.Connection(pre.neurons, post.neurons, 0.005, weights, learning_rule_type=rule)
        sw.Probe(made, "weights")
        for learning in made.learning_rules:
            sw.Probe(learning, "delta")
        sw.Probe(post.neurons)
    return net, stimulus


def turning(rule: object, kind: NeuronType) -> CompiledRegion:
    """Encoders that turn to what arrives."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(2))
        post = sw.Ensemble(40, 2, neuron_type=kind)
        made = sw.Connection(stimulus, post, 0.005, learning_rule_type=rule)
        sw.Probe(made.learning_rule, "scaled_encoders")
        sw.Probe(made.learning_rule, "delta")
        sw.Probe(post.neurons)
    return net, stimulus


CASES: dict[str, Callable[[NeuronType], CompiledRegion]] = {
    "PES": lambda kind: decoding(sw.PES(1e-2), kind),
    "PES, neurons": lambda kind: decoding(sw.PES(1e-6), kind, neurons=True),
    "BCM": lambda kind: between(sw.BCM(1e-9), kind),
    "Oja": lambda kind: between(sw.Oja(1e-7, beta=2.0), kind),
    "both": lambda kind: between([sw.BCM(1e-9), sw.Oja(1e-7)], kind),
    "Voja": lambda kind: turning(sw.Voja(1e-1), kind),
}


def run(
    engine: engines.Engine, built: CompiledRegion, precision: Precision = "float32", **cut: int
) -> list[NDArray]:
    """Recordings of two runs, then the weights."""
    net, stimulus = built
    program = compile_network(net, DT, 0, precision)
    execution = Execution(program, engine, 3, net.all_ensembles, **cut)
    fed = np.random.default_rng(7).uniform(-1, 1, (3, 30, 2))
    parts = [execution.run(n, {stimulus: fed[:, at : at + n]}) for at, n in ((0, 20), (20, 10))]
    arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
    return [*arrays, *execution.learned().values()]


@pytest.mark.parametrize(("case", "kind", "precision"), in_turn(2 * [*CASES], SENDERS, PRECISIONS))
def test_weights_are_the_references(case: str, kind: str, precision: Precision) -> None:
    """Bit by bit: spikes, weights, deltas, on every instruction set, in whatever blocks."""
    built = CASES[case](SENDERS[kind])
    expected = run(ReferenceEngine(), built, precision)
    assert all(x.any() for x in expected)
    assert np.any(expected[-1] != next(iter(_operators(built))).initial)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, block in ((1, 1000), (2, 7)):
                found = run(NativeEngine(threads), built, precision, block=block)
                assert_same(found, expected)


def sampled(name: str, kind: NeuronType, intercepts: tuple[float, float]) -> CompiledRegion:
    """A rule between neurons of which few or most are active; every third step is recorded.

    Rows of 70 weights are some vectors side by side, one after these, and a part of one.
    """
    rule, every = LEARNING_RULES[name](), 3 * DT
    with sw.Network(seed=4) as net:
        stimulus = sw.Node(np.zeros(2))
        pre = sw.Ensemble(70, 2, neuron_type=kind, intercepts=sw.distributions.Uniform(*intercepts))
        post = sw.Ensemble(19, 2, neuron_type=kind)
        sw.Connection(stimulus, pre, None)
        if rule.modifies == "weights":
            weights = sw.Dense(np.random.default_rng(2).normal(0, 1e-4, (19, 70)))
            made = sw.Connection(pre.neurons, post.neurons, 0.005, weights, learning_rule_type=rule)
        else:
            made = sw.Connection(pre, post, 0.005, learning_rule_type=rule)
        sw.Probe(post.neurons)
        if rule.modifies != "encoders":
            sw.Probe(made, "weights", sample_every=every)
        for attr in rule.probeable:
            sw.Probe(made.learning_rule, attr, sample_every=every)
        if rule.receives == "error":
            sw.Connection(post, made.learning_rule, 0.01)
    return net, stimulus


@pytest.mark.parametrize("intercepts", [(0.5, 0.9), (-1.0, -0.8)], ids=["few", "most"])
@pytest.mark.parametrize("kind", ["counts", "values"])
@pytest.mark.parametrize("name", LEARNING_RULES)
def test_what_is_recorded_now_and_then_is_the_references(
    name: str, kind: str, intercepts: tuple[float, float]
) -> None:
    """Weights, deltas and a rule's state, of steps in whatever blocks and runs, are native."""
    built = sampled(name, SENDERS[kind], intercepts)
    expected = run(ReferenceEngine(), built)
    assert np.any(expected[-1] != next(iter(_operators(built))).initial)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            assert_same(run(NativeEngine(1), built, block=7), expected)


def _operators(built: CompiledRegion) -> Iterator[Learned]:
    program = compile_network(built[0], DT, 0, "float32")
    return (op for op in program.operators if isinstance(op, Learned))


@pytest.mark.parametrize("name", LEARNING_RULES)
def test_the_plan_says_what_learns_natively(name: str) -> None:
    """Every registered rule has a kernel."""
    rule = LEARNING_RULES[name]()
    make = {"decoders": decoding, "weights": between, "encoders": turning}[rule.modifies]
    program = compile_network(make(rule, SENDERS["counts"])[0], DT, 0, "float32")  # type: ignore[operator]
    rows = zip(program.operators, plan_rows(program), strict=True)
    (row,) = [row for op, row in rows if isinstance(op, Learned)]
    assert row.kernel == "native: learned weights"


@pytest.mark.parametrize(("block", "name"), in_turn([1, 7, 1000], engines.available()))
def test_sampled_matrices_are_those_of_every_step(name: str, block: int) -> None:
    """What a rule keeps, its deltas and the weights: of every fourth step the same as of all."""
    built = [decoding(sw.RLS(1e-3), SENDERS["counts"]) for _ in range(2)]
    for (net, _), every in zip(built, (None, 4 * DT), strict=True):
        (made,) = (c for c in net.all_connections if c.learning_rule_type is not None)
        with net:
            for target, attr in ((made, "weights"), (made.learning_rule, "inv_gamma")):
                sw.Probe(target, attr, sample_every=every)
    whole, some = (
        run(engines.get(name, compile_network(one[0], DT, 0, "float32")), one, block=block)
        for one in built
    )
    for sampled, all_steps in zip(some[3:5], whole[3:5], strict=True):
        steps = all_steps[:, 3::4]
        assert steps.any() and steps.shape[1] == 7
        np.testing.assert_array_equal(sampled, steps)


def test_matrices_are_written_where_they_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels give what recursive least squares keep, and nothing between two samples."""
    net, _ = decoding(sw.RLS(1e-3), SENDERS["counts"])
    (made,) = (c for c in net.all_connections if c.learning_rule_type is not None)
    with net:
        probe = sw.Probe(made.learning_rule, "inv_gamma", sample_every=5 * DT)
    blocks: list[NDArray] = []

    def untouched(self: RegionKernel, steps: int) -> list[NDArray]:
        made = [
            np.full((self._batch, steps, *shape), -7, np.int8 if counts else np.float64)
            for _, counts, shape in self._built.exports
        ]
        blocks.extend(values for values in made if values.shape[2:] == (40, 40))
        return made

    monkeypatch.setattr(RegionKernel, "_empty", untouched)
    with sw.Simulator(net, DT, engine="native", progress=False) as sim:
        assert "called from the native loop" not in str(sim.plan)
        sim.run_steps(12)
    assert sim.data[probe].shape == (2, 40, 40)
    (values,) = blocks
    written = (values[0] != -7).any(axis=(1, 2))
    assert np.flatnonzero(written).tolist() == [4, 9]


def test_learning_from_counts_that_outgrow_bytes(exceeding: Exceeding) -> None:
    """Weights and filters meet them in the middle of a run."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(2))
        pre = sw.Ensemble(20, 2, neuron_type=sw.SpikingRectifiedLinear(), gain=2e5, bias=0.0)
        sw.Connection(stimulus, pre, None)
        end = sw.Node(size_in=2)
        made = sw.Connection(pre, end, 0.005, learning_rule_type=sw.PES(1e-9))
        sw.Connection(end, made.learning_rule, None)
        sw.Probe(end)
        sw.Probe(made, "weights")
    expected = run(ReferenceEngine(), (net, stimulus))
    assert_same(run(NativeEngine(1), (net, stimulus), block=4), expected)
    assert exceeding()
