"""Operators without a native kernel in native loops: the reference's results, one call a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Execution, PreparedRun, Program, compile_network
from spikewright.engines.program import Block
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import SimulationError
from spikewright.network.functions import NodeFunction
from spikewright.network.neurons import Elementwise, NeuronType, StochasticSpiking
from spikewright.network.node_functions import MaxPool, Softmax
from spikewright.network.processes import Process
from spikewright.network.synapses import LinearFilter, Lowpass, WindowMean

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine
from spikewright.engines.native.regions import Region, with_regions

DT, STEPS, SIZE = 0.001, 30, 12
Function = Callable[[float, NDArray], Any]


@dataclass
class Loop:
    """A network with a loop, and what is fed; `make` brings its functions back to the start."""

    make: Callable[[], tuple[sw.Network, sw.Node]]

    def run(
        self, engine: engines.Engine, batch: int = 3, runs: tuple[int, ...] = (STEPS,), **cut: int
    ) -> list[NDArray]:
        """Recordings, totals and learned weights of several runs one after another."""
        net, stimulus = self.make()
        program = compile_network(net, DT, 0, "float32")
        execution = Execution(program, engine, batch, net.all_ensembles, **cut)
        shape = (batch, STEPS, *stimulus.shape_out)
        fed = np.random.default_rng(5).uniform(-0.5, 1.0, shape)
        fed *= np.linspace(100.0, 300.0, STEPS)[:, None]
        parts, done = [], 0
        for steps in runs:
            parts.append(execution.run(steps, {stimulus: fed[:, done : done + steps]}))
            done += steps
        arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
        sums = [execution.summed()[e] for e in net.all_ensembles]
        learned = list(execution.learned().values())
        return [
            *arrays,
            *(array for totals in sums for array in (totals.sent, totals.net)),
            *learned,
        ]

    def program(self) -> Program:
        return compile_network(self.make()[0], DT, 0, "float32")


def loop(
    middle: Callable[[sw.Ensemble], Any], kind: NeuronType | None = None, scale: float = 1.0
) -> Loop:
    """Two populations in a ring, and back from the second through what `middle` makes of it."""

    def make() -> tuple[sw.Network, sw.Node]:
        rng = np.random.default_rng(0)
        with sw.Network(seed=1) as net:
            stimulus = sw.Node(np.zeros(SIZE))
            first, second = (
                sw.Ensemble(
                    SIZE,
                    neuron_type=kind or sw.IntegrateAndFire(),
                    gain=1.0,
                    bias=0.0,
                    rate_scale=scale,
                )
                for _ in range(2)
            )
            sw.Connection(stimulus, first.neurons, None)
            weights = sw.Dense(rng.normal(0.1, 0.2, (SIZE, SIZE)))
            sw.Connection(first.neurons, second.neurons, 0.003, weights)
            back = middle(second)
            sw.Connection(back, first.neurons, 0.002)
            sw.Probe(back)
            for population in (first, second):
                sw.Probe(population.neurons)
                sw.Probe(population.neurons, "voltage")
        return net, stimulus

    return Loop(make)


def through(node: Callable[[], sw.Node], synapse: Any = None) -> Loop:
    """A loop through a node with `SIZE` values in and out."""

    def middle(second: sw.Ensemble) -> sw.Node:
        made = node()
        if len(made.shape_in) > 1:
            sw.Connection(second.neurons, made, synapse, sw.transforms.Reshape(made.shape_in))
            flat = sw.Node(size_in=SIZE)
            sw.Connection(made, flat, None, sw.transforms.Reshape((SIZE,)))
            return flat
        sw.Connection(second.neurons, made, synapse)
        return made

    return loop(middle)


class Leaking(Process):
    """Keeps a sum that leaks, and adds noise: an input, state and random numbers."""

    def make_state(self, shape_in: Any, shape_out: Any, dt: float) -> dict[str, NDArray]:
        return {"sum": np.zeros(shape_out)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        def step(t: float, x: NDArray) -> NDArray:
            state["sum"] *= 0.9
            state["sum"] += 0.1 * x + rng.normal(0, 1.0, shape_out)
            return state["sum"]

        return step


@dataclass(frozen=True)
class Keeping(NeuronType):
    """A type of a user's own, which keeps the very array of currents that it is given."""

    amplitude: float = 1.0
    spiking = True

    @property
    def has_voltage(self) -> bool:
        return True

    def initial_values(self) -> dict[str, float]:
        return {"before": 0.0}

    def rates(self, xp: Any, current: Any) -> Any:
        return xp.maximum(current, 0.0)

    def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
        drive = 0.5 * (current + state["before"])
        state["before"] = current
        output, state["voltage"] = xp.integrate(state["voltage"], drive, clock.threshold)
        return output


def stateful() -> Function:
    """A function whose value depends on how often it was called, and that keeps its argument."""
    kept: list[NDArray] = []

    def function(t: float, x: NDArray) -> NDArray:
        kept.append(x)
        return np.asarray(0.5 * x + 0.25 * kept[len(kept) // 2] + len(kept) + t)

    return function


def two_nodes() -> Loop:
    """Two functions that share a list, at different places of a loop."""

    def middle(second: sw.Ensemble) -> sw.Node:
        calls: list[int] = []

        def noted(number: int) -> Function:
            def function(t: float, x: NDArray) -> NDArray:
                calls.append(number)
                return np.asarray(0.3 * x + len(calls) * number)

            return function

        ends = [sw.Node(noted(n), size_in=SIZE) for n in (1, 2)]
        late = sw.Node(noted(3), size_in=SIZE)
        for end in ends:
            sw.Connection(second.neurons, end, None)
            sw.Connection(end, late, None)
        return late

    return loop(middle)


class OwnRLS(sw.RLS):
    """A rule that the kernels do not know."""


def learning(rule: Any, *recorded: str, neurons: bool = False) -> Loop:
    """What is decoded, by weights that a rule changes, comes back as their error."""

    def make() -> tuple[sw.Network, sw.Node]:
        with sw.Network(seed=2) as net:
            stimulus = sw.Node(np.zeros(2))
            pre, post = (
                sw.Ensemble(SIZE, 2, neuron_type=sw.SpikingRectifiedLinear()) for _ in range(2)
            )
            error = sw.Node(size_in=2)
            sw.Connection(stimulus, pre, None, transform=0.003)
            if neurons:
                weights = sw.Dense(np.random.default_rng(0).normal(0, 0.01, (SIZE, SIZE)))
                made = sw.Connection(
                    pre.neurons, post.neurons, 0.005, weights, learning_rule_type=rule
                )
                back = sw.Node(lambda t, x: np.tanh(x), size_in=2)
                sw.Connection(post, back, 0.01)
                sw.Connection(back, pre, None)
            else:
                made = sw.Connection(pre, post, 0.005, learning_rule_type=rule)
                sw.Connection(post, error, 0.01)
                sw.Connection(stimulus, error, None, transform=-0.003)
                sw.Connection(error, made.learning_rule, None)
            sw.Probe(made, "weights")
            sw.Probe(post.neurons)
            for name in recorded:
                sw.Probe(made.learning_rule, name)
        return net, stimulus

    return Loop(make)


def mean_error() -> Loop:
    """An error that is a mean over windows: what it teaches is the only other thing that waits."""

    def make() -> tuple[sw.Network, sw.Node]:
        with sw.Network(seed=2) as net:
            stimulus, error = sw.Node(np.zeros(2)), sw.Node(size_in=2)
            pre, post = (
                sw.Ensemble(SIZE, 2, neuron_type=sw.SpikingRectifiedLinear()) for _ in range(2)
            )
            sw.Connection(stimulus, pre, None, transform=0.003)
            made = sw.Connection(pre, post, None, learning_rule_type=sw.PES(1e-2))
            sw.Connection(post, error, WindowMean(4))
            sw.Connection(stimulus, error, None, transform=-0.003)
            sw.Connection(error, made.learning_rule, None)
            sw.Probe(made, "weights")
            sw.Probe(post.neurons)
            sw.Probe(error)
        return net, stimulus

    return Loop(make)


def starting_again() -> Loop:
    """A population that starts again after some steps, in a loop with filters that do not."""

    def middle(second: sw.Ensemble) -> Any:
        own = sw.Ensemble(
            SIZE, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0, restart_every=7
        )
        sw.Connection(second.neurons, own.neurons, None)
        return own.neurons

    return loop(middle)


def population(kind: NeuronType) -> Loop:
    """A population of this type between the other two."""

    def middle(second: sw.Ensemble) -> Any:
        own = sw.Ensemble(SIZE, neuron_type=kind, gain=1.0, bias=100.0)
        sw.Connection(second.neurons, own.neurons, None)
        return own.neurons

    return loop(middle)


def synapse(kind: Any, node: bool = False) -> Loop:
    """A synapse without native kernel, with a node behind it or without."""
    return through(lambda: sw.Node((lambda t, x: x) if node else None, size_in=SIZE), kind)


def _node(function: NodeFunction, *shape: int) -> Callable[[], sw.Node]:
    return lambda: sw.Node(function, size_in=shape or SIZE)


_NINTH = np.poly([-200.0] * 9)
CASES: dict[str, Callable[[], Loop]] = {
    "function": lambda: through(lambda: sw.Node(lambda t, x: np.tanh(x) * 40 + t, size_in=SIZE)),
    "function with state": lambda: through(lambda: sw.Node(stateful(), size_in=SIZE)),
    "functions with state that they share": two_nodes,
    "shaped function": lambda: through(lambda: sw.Node(lambda t, x: x[::-1] / 2, size_in=(3, 4))),
    "process": lambda: through(lambda: sw.Node(Leaking(), size_in=SIZE, size_out=SIZE)),
    "present function": lambda: through(_node(Softmax(-2), 3, 4)),
    "accumulating function": lambda: through(_node(Softmax(-2, True), 3, 4)),
    "random neurons": lambda: population(StochasticSpiking(Elementwise.of("gelu"))),
    "neurons of one's own": lambda: population(Keeping()),
    "neurons that start again": starting_again,
    "high order": lambda: synapse(LinearFilter((_NINTH[-1],), tuple(_NINTH))),
    "mean, filters": lambda: synapse(WindowMean(4, 1.0)),
    "mean, filters and a function": lambda: synapse(WindowMean(4, 1.0), node=True),
    "mean, learning": mean_error,
    "own rule, recorded": lambda: learning(OwnRLS(1e-3), "inv_gamma", "delta", "error"),
    "function, BCM recorded": lambda: learning(sw.BCM(1e-12), "theta", "delta", neurons=True),
}


def regions(program: Program) -> list[Region]:
    """The native loops of a program."""
    return [op for op in with_regions(program).operators if isinstance(op, Region) and op.loops]


@pytest.mark.parametrize("case", CASES)
class TestResults:
    """What comes of a loop is what the reference engine gives."""

    @pytest.mark.parametrize("batch", [1, 3])
    def test_they_are_the_references(self, case: str, batch: int, exceeding: Exceeding) -> None:
        """To the bit: recordings, totals, weights; one sample and several, however it is cut."""
        made = CASES[case]()
        expected = made.run(ReferenceEngine(), batch)
        assert all(array.any() for array in expected[:3])
        assert_same(made.run(NativeEngine(threads=2), batch), expected)
        assert_same(made.run(NativeEngine(threads=1), batch, (20, 1, 9), block=7), expected)
        assert_same(made.run(NativeEngine(threads=3), batch, block=1, chunk=1), expected)
        assert not exceeding()

    def test_the_loop_is_native(self, case: str) -> None:
        """One region holds the whole loop, and calls what it has no kernel for."""
        program = CASES[case]().program()
        (region,) = regions(program)
        rows = {row.operator: row for row in NativeEngine(threads=1).explain(program)}
        for op in region.operators:
            kernel, why = rows[op.label].kernel, rows[op.label].why
            if op in region.host_operators:
                assert kernel == "reference"
                assert why.endswith("; called from the native loop, step by step")
            else:
                assert kernel.startswith("native: ") and why == "step by step, in a loop"
        assert 0 < len(region.host_operators) < len(region.operators) / 2


class TestCalls:
    """A function is called once a step and sample, in the order of time, then of samples."""

    @pytest.mark.parametrize("scale", [1.0, 500.0])
    @pytest.mark.parametrize("block", [1, 7, 1000])
    def test_once_a_step_and_sample(self, scale: float, block: int, exceeding: Exceeding) -> None:
        """Even where a count outgrows a byte in the middle of a block."""
        calls: list[tuple[float, NDArray]] = []

        def middle(second: sw.Ensemble) -> sw.Node:
            def noted(t: float, x: NDArray) -> NDArray:
                calls.append((t, x))
                return np.asarray(x / (1.0 if scale == 1.0 else 2.0))

            node = sw.Node(noted, size_in=SIZE, size_out=SIZE, stateless=True)
            sw.Connection(second.neurons, node, None)
            return node

        made = loop(middle, scale=scale)
        seen = []
        for engine in (ReferenceEngine(), NativeEngine(threads=2)):
            seen.append((made.run(engine, 2, (20, 10), block=block), list(calls)))
            calls.clear()
        (expected, wanted), (found, had) = seen
        assert_same(found, expected)
        assert [t for t, _ in had] == [s * DT for s in range(1, STEPS + 1) for _ in range(2)]
        assert_same([x for _, x in had], [x for _, x in wanted])
        assert bool(exceeding()) == (scale > 1.0)

    @pytest.mark.parametrize("case", CASES)
    def test_counts_outgrow_bytes(
        self, case: str, monkeypatch: pytest.MonkeyPatch, exceeding: Exceeding
    ) -> None:
        """A count that outgrows a byte late in a run is read by every kind of operator."""
        made, fast = CASES[case](), sw.Ensemble.__init__

        def faster(self: sw.Ensemble, *args: Any, **more: Any) -> None:
            fast(self, *args, **{**more, "rate_scale": 1000.0})

        monkeypatch.setattr(sw.Ensemble, "__init__", faster)
        for cut in ({}, {"block": 9}):
            expected = made.run(ReferenceEngine(), 2, (11, 19), **cut)
            assert_same(made.run(NativeEngine(threads=1), 2, (11, 19), **cut), expected)
        assert exceeding()


class TestFailures:
    """What goes wrong in a function comes out as it is."""

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("error", r"culprit.*function failed at t = 0\.005 s \(RuntimeError: no more\)"),
            ("shape", r"culprit.*returned shape \(2,\) at t = 0\.005 s, expected \(12,\)"),
            ("nan", r"culprit.*returned NaN or infinity at t = 0\.005 s"),
        ],
    )
    def test_functions_that_misbehave_are_named(self, fault: str, message: str) -> None:
        """The first call that does is the last one that is made."""
        calls: list[float] = []

        def bad(t: float, x: NDArray) -> Any:
            calls.append(t)
            if t < 4.5 * DT:
                return x
            if fault == "error":
                raise RuntimeError("no more")
            return [1.0, 2.0] if fault == "shape" else np.full(SIZE, np.nan)

        sizes = {"size_in": SIZE, "size_out": SIZE}
        made = through(lambda: sw.Node(bad, **sizes, label="culprit", stateless=True))
        with pytest.raises(SimulationError, match=message) as caught:
            made.run(NativeEngine(threads=1), batch=2)
        assert calls == [DT, DT, 2 * DT, 2 * DT, 3 * DT, 3 * DT, 4 * DT, 4 * DT, 5 * DT]
        if fault == "error":
            assert isinstance(caught.value.__cause__, RuntimeError)


def _work(program: Program, batch: int, block: int) -> int:
    """Bytes inside a program's one region."""
    engine = NativeEngine(threads=1)
    prepared = engine.prepare(program)
    (region,) = (op for op in prepared.operators if isinstance(op, Region) and op.loops)
    return engine.workspace_bytes(region, Block(prepared, batch, block))


class TestWhatIsLeft:
    """Loops that stay as they were, and what is counted."""

    def test_a_loop_of_python_alone_stays_on_the_reference(self) -> None:
        """Where nothing has a native kernel nothing is gained by calls from a loop."""

        def make() -> sw.Network:
            with sw.Network(seed=0) as net:
                first, second = (sw.Node(lambda t, x: x + 1, size_in=1) for _ in range(2))
                sw.Connection(first, second, WindowMean(2))
                sw.Connection(second, first, WindowMean(3))
                sw.Probe(second)
            return net

        program = compile_network(make(), DT, 0, "float32")
        assert not any(region.host_operators for region in regions(program))
        found, expected = (
            Execution(compile_network(make(), DT, 0, "float32"), engine).run(9)
            for engine in (NativeEngine(threads=1), ReferenceEngine())
        )
        assert_same(found, expected)

    def test_means_without_filters_run_window_by_window(self) -> None:
        """A loop that nothing but a mean closes is cut there, functions or none."""

        def make() -> tuple[sw.Network, sw.Node]:
            with sw.Network(seed=0) as net:
                stimulus = sw.Node(np.zeros(SIZE))
                one = sw.Ensemble(SIZE, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
                node = sw.Node(lambda t, x: x + 1, size_in=SIZE)
                sw.Connection(stimulus, one.neurons, None)
                sw.Connection(one.neurons, node, WindowMean(4))
                sw.Connection(node, one.neurons, None)
                sw.Probe(one.neurons)
            return net, stimulus

        made = Loop(make)
        assert not regions(made.program())
        assert_same(made.run(NativeEngine(threads=1)), made.run(ReferenceEngine()))

    def test_memory_counts_what_is_called(self) -> None:
        """State of called kernels, and what they give in a block, of every sample."""
        plain = through(lambda: sw.Node(size_in=SIZE)).program()
        called = through(lambda: sw.Node(lambda t, x: x, size_in=SIZE)).program()
        for batch, block in ((1, 10), (8, 10), (8, 40)):
            less, more = (
                PreparedRun(program, NativeEngine(threads=1), batch).whole(40, block)
                for program in (plain, called)
            )
            given = 8 * SIZE * batch
            none, some = (_work(program, batch, block) for program in (plain, called))
            assert some - none >= given * block
            assert more.only("state").bytes - less.only("state").bytes >= 2 * given

    def test_a_function_may_look_at_its_simulator(self) -> None:
        """Nothing native holds on to functions: a simulator that one knows goes with it."""
        import gc
        import weakref

        held: list[sw.Simulator] = []
        net, _ = through(
            lambda: sw.Node(lambda t, x: x * len(held), size_in=SIZE, size_out=SIZE)
        ).make()
        held.append(sw.Simulator(net, DT, engine="native", progress=False))
        held[0].run_steps(3)
        gone = weakref.ref(held[0])
        del net
        held.clear()
        gc.collect()
        assert gone() is None


def test_max_pools_have_kernels_of_their_own() -> None:
    """A function with a native kernel is not called."""
    from spikewright._base.windows import Windows

    pool = MaxPool(Windows((1,), (1,), ((0, 0),), (1,)), True)
    (region,) = regions(through(lambda: sw.Node(pool, size_in=(SIZE, 1)), Lowpass(0.01)).program())
    assert not region.host_operators
