"""The torch engine as a guest: torch's settings, devices, memory, user functions, refusals."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import spikewright as sw
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.program import Linear, Program, Sum
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.torch import TorchEngine
from spikewright.engines.torch.device import full_products
from spikewright.errors import BuildError
from spikewright.network.neurons import Clock, NeuronType
from spikewright.testing.mixed import MixedNetwork


def small_network(**options: Any) -> tuple[sw.Network, sw.Node, sw.Ensemble, sw.Probe]:
    """A matrix into spiking neurons, and their counts."""
    rng = np.random.default_rng(0)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(40))
        settings = {"neuron_type": sw.IntegrateAndFire(), "gain": 1.0, "bias": 0.0, **options}
        ensemble = sw.Ensemble(30, **settings)
        sw.Connection(stimulus, ensemble.neurons, None, 40.0 * rng.normal(size=(30, 40)))
        probe = sw.Probe(ensemble.neurons, "spike_count")
    return net, stimulus, ensemble, probe


def recorded(engine: engines.Engine, steps: int = 30, batch: int = 4) -> list[np.ndarray]:
    """What a network with a bit of everything does on random input."""
    mixed = MixedNetwork()
    program = compile_network(mixed.network, mixed.dt, 0, "float32")
    return Execution(program, engine, batch).run(steps, {mixed.stimulus: mixed.feed(batch, 1)})


@contextmanager
def reduced_precision() -> Iterator[None]:
    """Matrix products in bfloat16 wherever torch has a switch for it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def other_defaults() -> Iterator[None]:
    """Another default type and device, with gradients on."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.enable_grad(), torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(before)


def settings_of_torch() -> dict[str, Any]:
    """Everything global that an engine might be tempted to change."""
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "seed": torch.random.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index]
    }


class TestGuest:
    """Torch's global settings neither change nor matter."""

    @pytest.mark.parametrize("mode", [reduced_precision, other_defaults, torch.inference_mode])
    def test_settings_are_left_alone_and_change_nothing(self, mode: Any) -> None:
        """Results are those under torch's defaults, and every setting is as it was."""
        expected = recorded(TorchEngine("cpu"))
        with mode():
            before = settings_of_torch()
            found = recorded(TorchEngine("cpu"))
            assert settings_of_torch() == before
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
            assert b.any()

    def test_built_and_run_under_different_modes(self) -> None:
        """An execution made inside `torch.inference_mode()` runs outside of it, and back."""
        mixed = MixedNetwork()
        program = compile_network(mixed.network, mixed.dt, 0, "float32")
        feeds = {mixed.stimulus: mixed.feed(2, 1)}
        straight = Execution(program, TorchEngine("cpu"), 2).run(12, feeds)
        with torch.inference_mode():
            execution = Execution(program, TorchEngine("cpu"), 2)
            parts = [execution.run(4, feeds)]
        parts.append(execution.run(4, feeds))
        with torch.inference_mode():
            parts.append(execution.run(4, feeds))
        for whole, *pieces in zip(straight, *parts, strict=True):
            np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)

    @pytest.mark.parametrize("kind", ["cpu", "cuda"])
    def test_products_are_full_inside_and_reduced_again_after(self, kind: str) -> None:
        """TF32 and bfloat16 products are off where the engine multiplies, then as they were."""
        backends = torch.backends
        if kind == "cpu":
            owners = [backends.mkldnn.matmul, backends.mkldnn.conv]
        else:
            owners = [backends.cuda.matmul, backends.cudnn.conv]
        with ExitStack() as stack:
            for owner in owners:
                stack.callback(setattr, owner, "fp32_precision", owner.fp32_precision)
                owner.fp32_precision = "tf32"
            with full_products(torch.device(kind)):
                assert [owner.fp32_precision for owner in owners] == ["ieee", "ieee"]
            assert [owner.fp32_precision for owner in owners] == ["tf32", "tf32"]

    def test_functions_of_users_see_their_own_modes(self) -> None:
        """A node may use torch, gradients included: the engine's modes do not reach it."""
        seen: list[bool] = []

        def learns(t: float, x: np.ndarray) -> np.ndarray:
            value = torch.tensor(x, requires_grad=True)
            (value**2).sum().backward()
            seen.append(torch.is_grad_enabled() and x.dtype == np.float64)
            return value.grad.numpy()

        with sw.Network() as net:
            node = sw.Node(learns, size_in=2)
            sw.Connection(sw.Node([1.0, 2.0]), node, None)
            probe = sw.Probe(node)
        with sw.Simulator(net, engine="torch") as sim:
            sim.run_steps(3)
        np.testing.assert_array_equal(sim.data[probe], [[2.0, 4.0]] * 3)
        assert all(seen)


class TestCost:
    """What is held in memory."""

    @pytest.mark.slow
    def test_memory_does_not_grow_with_steps(self) -> None:
        """Twenty times the steps, output probed: the process keeps its size."""
        net, _, ensemble, _ = small_network()
        with net:
            wide = sw.Ensemble(20_000, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=100.0)
            output = sw.Node(size_in=1)
            sw.Connection(ensemble.neurons, wide.neurons[:30], 0.005)
            sw.Connection(wide.neurons[:1], output, None)
            net.probes.clear()
            sw.Probe(output)
        program = compile_network(net, 0.001, 0, "float32")
        execution = Execution(program, TorchEngine("cpu"), 8, [wide])
        process = psutil.Process()
        execution.run(60)
        gc.collect()
        before = process.memory_info().rss
        execution.run(1200)
        gc.collect()
        grown = (process.memory_info().rss - before) / 2**20
        one_signal = 8 * 20_000 * 1200 * 4 / 2**20
        assert grown < 60 < one_signal / 5

    def test_programs_are_let_go(self) -> None:
        """An engine keeps no program alive, nor its weights."""
        engine = TorchEngine("cpu")
        net, *_ = small_network()
        program = compile_network(net, 0.001, 0, "float32")
        Execution(program, engine, 2).run(2)
        gone = [weakref.ref(program), weakref.ref(engine.prepare(program).operators[-1])]
        del program
        gc.collect()
        assert [ref() for ref in gone] == [None, None]

    @pytest.mark.slow
    def test_totals_are_exact_over_many_stretches(self) -> None:
        """Tallies are the sums of what is recorded, however long; rates are summed as absolute."""
        rng = np.random.default_rng(3)
        with sw.Network(seed=0) as net:
            stimulus = sw.Node(np.zeros(5))
            types = [
                sw.IntegrateAndFire(), sw.SpikingLeakyReLU(0.5), sw.Tanh(1.0),
                sw.BipolarIntegrateAndFire(), sw.SignedIntegrateAndFire(),
            ]  # fmt: skip
            layers = [sw.Ensemble(5, neuron_type=t, gain=1.0, bias=0.0) for t in types]
            probes = []
            for layer in layers:
                sw.Connection(stimulus, layer.neurons, None)
                kind = "spike_count" if layer.neuron_type.spiking else "output"
                probes.append(sw.Probe(layer.neurons, kind))
        program = compile_network(net, 0.001, 0, "float32")
        execution = Execution(program, TorchEngine("cpu"), 3, layers, chunk=2)
        fed = rng.normal(0.0, 900.0, (3, 9000, 5))
        first = execution.run(5000, {stimulus: fed[:, :5000]})
        halfway = execution.totals()
        second = execution.run(4000, {stimulus: fed[:, 5000:]})
        for layer, a, b in zip(layers, first, second, strict=True):
            early, late = (np.abs(part.astype(np.float64)).sum(1) for part in (a, b))
            np.testing.assert_allclose(halfway[layer], early, rtol=1e-12)
            np.testing.assert_allclose(execution.totals()[layer], early + late, rtol=1e-12)
            net = sum(part.astype(np.float64).sum(1) for part in (a, b))
            found = execution.summed()[layer].net
            np.testing.assert_allclose(found, net, rtol=1e-12, atol=1e-9)


class TestFusion:
    """Sums merge into products where nobody sees the signal between them."""

    @staticmethod
    def _kinds(program: Program) -> list[str]:
        prepared = TorchEngine("cpu").prepare(program)
        return [type(op).__name__ for op in prepared.operators if isinstance(op, Linear | Sum)]

    @pytest.mark.parametrize(
        ("options", "probed", "kinds"),
        [
            ({"gain": 2.0, "bias": 3.0}, False, ["Affine"]),
            ({"gain": np.arange(1.0, 31.0), "bias": np.arange(30.0)}, False, ["Affine"]),
            ({"gain": 2.0, "bias": 3.0}, True, ["Linear", "Sum"]),
        ],
    )
    def test_products_and_sums(
        self, options: dict[str, Any], probed: bool, kinds: list[str]
    ) -> None:
        """Merged or not, the spikes are the same; what is probed between them stays."""
        net, stimulus, *_ = small_network(**options)
        if probed:
            with net:
                sw.Probe(net.connections[0])
        program = compile_network(net, 0.001, 0, "float64")
        assert self._kinds(program) == kinds
        fed = {stimulus: np.random.default_rng(4).normal(size=(3, 1, 40))}
        found = Execution(program, TorchEngine("cpu"), 3).run(20, fed)
        expected = Execution(program, ReferenceEngine(), 3).run(20, fed)
        np.testing.assert_array_equal(found[0], expected[0])
        assert expected[0].any()

    def test_a_bias_that_differs_within_a_channel_stays_apart(self) -> None:
        """A convolution's bias is one number a channel; anything else is added after it."""
        kernel = np.random.default_rng(5).normal(size=(2, 1, 2, 2))
        convolution = sw.Convolution(kernel, (1, 1), ((0, 0), (0, 0)), (1, 1))
        for bias, kinds in (
            (np.arange(2.0)[:, None, None], ["Affine"]),
            (np.arange(8.0).reshape(2, 2, 2), ["Linear", "Sum"]),
        ):
            with sw.Network() as net:
                layer = sw.Ensemble(
                    (2, 2, 2), neuron_type=sw.RectifiedLinear(), gain=1.5, bias=bias
                )
                sw.Connection(sw.Node(np.ones((1, 3, 3))), layer.neurons, None, convolution)
                sw.Probe(layer.neurons)
            program = compile_network(net, 0.001, 0, "float64")
            assert self._kinds(program) == kinds
            (found,) = Execution(program, TorchEngine("cpu")).run(1)
            (expected,) = Execution(program, ReferenceEngine()).run(1)
            np.testing.assert_allclose(found, expected, rtol=1e-14)


@dataclass(frozen=True)
class _Twice(NeuronType):
    """A user's type: two integrators in one step, the second behind a decay of its own."""

    amplitude: float = 1.0
    spiking = True

    def initial_values(self) -> dict[str, float]:
        return {"other": 0.25}

    def rates(self, xp: Any, current: Any) -> Any:
        return xp.maximum(current, 0.0)

    def step(self, xp: Any, current: Any, state: Any, clock: Clock) -> Any:
        first, state["voltage"] = xp.integrate(state["voltage"], current, clock.threshold)
        kept = state["other"]
        second, state["other"] = xp.integrate(0.5 * kept, xp.abs(current), clock.threshold, cap=1)
        return first + second + xp.where(kept > state["other"], 1.0, 0.0)


@dataclass(frozen=True)
class _Unknown(_Twice):
    def step(self, xp: Any, current: Any, state: Any, clock: Clock) -> Any:
        return xp.cosh(current)


class TestUsers:
    """Neuron types, transforms and functions that users bring."""

    def test_own_neuron_type(self) -> None:
        """An equation may integrate twice a step, and keep what it passes in."""
        net, stimulus, *_ = small_network(neuron_type=_Twice())
        program = compile_network(net, 0.001, 0, "float64")
        fed = {stimulus: np.random.default_rng(6).normal(size=(2, 25, 40))}
        (found,) = Execution(program, TorchEngine("cpu"), 2).run(25, fed)
        (expected,) = Execution(program, ReferenceEngine(), 2).run(25, fed)
        np.testing.assert_array_equal(found, expected)
        assert expected.any()

    def test_functions_outside_the_namespace_are_named(self) -> None:
        """An equation that asks for more than the namespace has is told so."""
        net, *_ = small_network(neuron_type=_Unknown())
        program = compile_network(net, 0.001, 0, "float64")
        with pytest.raises(AttributeError, match="no function 'cosh' for neuron equations"):
            Execution(program, TorchEngine("cpu")).run(1)

    def test_unknown_transforms_are_refused_by_name(self) -> None:
        """A transform without a kernel is a build error that names the connection."""

        class Odd(sw.Transform):
            def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
                return shape

        with sw.Network() as net:
            sw.Connection(sw.Node([1.0]), sw.Node(size_in=1), None, Odd(), label="strange")
        program = compile_network(net, 0.001, 0, "float32")
        with pytest.raises(BuildError, match=r"strange.*cannot apply a Odd.*Convolution"):
            Execution(program, TorchEngine("cpu"))

    def test_functions_see_samples_side_by_side(self) -> None:
        """Python functions are called step by step, all samples of a step, whatever the chunk."""
        calls: list[tuple[float, float]] = []

        def note(t: float, x: np.ndarray) -> np.ndarray:
            calls.append((t, float(x[0])))
            return x

        with sw.Network() as net:
            stimulus, node = sw.Node([0.0]), sw.Node(note, size_in=1, size_out=1, stateless=True)
            sw.Connection(stimulus, node, None)
            sw.Probe(node)
        program = compile_network(net, 0.5, 0, "float32")
        execution = Execution(program, TorchEngine("cpu"), 3, block=2, chunk=1)
        execution.run(3, {stimulus: np.arange(3.0).reshape(3, 1, 1)})
        assert calls == [(t, x) for t in (0.5, 1.0, 1.5) for x in (0.0, 1.0, 2.0)]

    def test_functions_of_time_are_called_once_a_step(self) -> None:
        """A source's function is called once for all chunks of samples."""
        calls: list[float] = []

        def ramp(t: float) -> float:
            calls.append(t)
            return t

        with sw.Network() as net:
            end = sw.Node(size_in=1)
            sw.Connection(sw.Node(ramp, size_out=1), end, None)
            probe = sw.Probe(end)
        program = compile_network(net, 0.5, 0, "float32")
        (array,) = Execution(program, TorchEngine("cpu"), 4, block=2, chunk=1).run(3)
        assert calls == [0.5, 1.0, 1.5]
        np.testing.assert_array_equal(array, np.tile([[[0.5], [1.0], [1.5]]], (4, 1, 1)))
        assert program.recordings[0].probe is probe


class TestDevices:
    """Where it runs."""

    def test_default_and_named_devices(self) -> None:
        """The default is CUDA where there is one; the CPU may always be named."""
        assert TorchEngine().device.type == ("cuda" if torch.cuda.is_available() else "cpu")
        assert TorchEngine("cpu").device == TorchEngine(torch.device("cpu")).device
        program = compile_network(small_network()[0], 0.001, 0, "float32")
        assert engines.get("torch", program).name == "torch"
        assert "torch" in engines.available()

    @pytest.mark.parametrize("device", ["toaster", "cuda:99", "meta", 3.5])
    def test_devices_that_are_not_there_are_refused(self, device: Any) -> None:
        """An unknown or absent device is a build error that says what to use."""
        with pytest.raises(BuildError, match=r"device.*'cpu'"):
            TorchEngine(device)

    def test_it_states_its_bound(self) -> None:
        """The engine does not claim exactness, and says in one sentence what it promises."""
        assert not TorchEngine("cpu").exact
        assert "within one spike" in TorchEngine("cpu").bound
        assert "\n" not in TorchEngine("cpu").bound

    def test_one_program_on_two_precisions_and_engines(self) -> None:
        """Programs are shared: what one execution or precision prepares reaches no other."""
        net, stimulus, _, _ = small_network()
        engine = TorchEngine("cpu")
        fed = {stimulus: np.random.default_rng(8).normal(size=(2, 1, 40))}
        single = compile_network(net, 0.001, 0, "float32")
        double = replace(single, precision="float64")
        for program, dtype in ((single, np.float32), (double, np.float64), (single, np.float32)):
            (array,) = Execution(program, engine, 2).run(5, fed)
            assert array.dtype == dtype
