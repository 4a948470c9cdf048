"""The torch engine as a guest: torch's settings, devices, memory, user functions, refusals."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import spikewright as sw
from conformance.mixed import MixedNetwork
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.engines.program import Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.torch import TorchEngine
from spikewright.errors import BuildError
from spikewright.network.neurons import Clock, NeuronType


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


class TestFusion:
    """Sums merge into products where nobody sees the signal between them."""

    @staticmethod
    def _kinds(program: Program) -> list[str]:
        prepared = TorchEngine("cpu").prepare(program)
        return [
            type(op).__name__ for op in prepared.operators if isinstance(op, Linear | ScaledSum)
        ]

    @pytest.mark.parametrize(
        ("options", "probed", "kinds"),
        [
            ({"gain": 2.0, "bias": 3.0}, False, ["BiasedLinear"]),
            ({"gain": np.arange(1.0, 31.0), "bias": np.arange(30.0)}, False, ["BiasedLinear"]),
            ({"gain": 2.0, "bias": 3.0}, True, ["Linear", "ScaledSum"]),
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

    def test_functions_outside_the_namespace_are_named(self) -> None:
        """An equation that asks for more than the namespace has is told so."""
        net, *_ = small_network(neuron_type=_Unknown())
        program = compile_network(net, 0.001, 0, "float64")
        with pytest.raises(AttributeError, match="no function 'cosh' for neuron equations"):
            Execution(program, TorchEngine("cpu")).run(1)


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
