"""Network -> program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import Precision, on_grid
from spikewright.engines.planner import order
from spikewright.engines.program import (
    Apply,
    Filter,
    Linear,
    Neurons,
    Operator,
    Parameters,
    Program,
    Recording,
    Source,
    Sum,
    object_key,
    uniform_draws,
)
from spikewright.errors import BuildError
from spikewright.network import (
    Connection,
    Ensemble,
    Network,
    Node,
    Probe,
    input_shape,
    output_shape,
)
from spikewright.network import Neurons as NeuronsView
from spikewright.network.synapses import Synapse
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Scale,
    Shape,
    Transform,
)

_WEIGHT_FIELDS: dict[type[Transform], str] = {
    Dense: "matrix",
    Convolution: "kernel",
    AxisMap: "matrix",
}

# Words of a generator's key that no index reaches: they keep an ensemble with a seed of its own,
# and the parts of a network, apart from the network's first ensembles.
_OWN_SEED, _INNER_NETWORK = 2**32 - 2, 2**32 - 1


def compile_network(
    network: Network,
    dt: float,
    seed: int,
    precision: Precision,
    probes: Sequence[Probe] | None = None,
) -> Program:
    """Compile a network for steps of `dt` seconds, recording `probes` (default: the network's).

    Raises `BuildError` for a cycle without a synapse, an object that the network does not hold, or
    parameters that no neuron can have.
    """
    wanted = network.all_probes if probes is None else list(probes)
    return _Compiler(network, dt, seed, precision, wanted).program()


class _Compiler:
    def __init__(
        self,
        network: Network,
        dt: float,
        seed: int,
        precision: Precision,
        probes: Sequence[Probe],
    ) -> None:
        self.network, self.dt, self.seed, self.precision = network, dt, seed, precision
        self.probes = probes
        self.shapes: list[Shape] = []
        self.labels: dict[int, str] = {}
        self.operators: list[Operator] = []
        self.input_of: dict[Node | NeuronsView, int] = {}
        self.output_of: dict[Node | NeuronsView, int] = {}
        self.value_of: dict[NeuronsView, int] = {}
        self.heights: dict[NeuronsView, NDArray] = {}
        self.contribution_of: dict[Connection, int] = {}
        self.parameters: dict[Ensemble, Parameters] = {}
        self.arriving: dict[Node | NeuronsView, list[int]] = {}
        self.affine: dict[NeuronsView, tuple[NDArray | None, NDArray | None]] = {}

    def signal(self, shape: Shape, label: str) -> int:
        """A new signal's number."""
        self.shapes.append(shape)
        self.labels[len(self.shapes) - 1] = label
        return len(self.shapes) - 1

    def program(self) -> Program:
        """Compile objects, then connections between them, then what arrives, then probes."""
        self._check_once()
        for node in self.network.all_nodes:
            self.output_of[node] = self.signal(node.shape_out, f"{node!r}")
            self.arriving[node] = []
            if node.output is None and node.shape_in != (0,):
                self.input_of[node] = self.output_of[node]  # a junction: what arrives is its value
        for ensemble, key in _keyed_ensembles(self.network, self.seed):
            self.declare(ensemble, key)
        for connection in self.network.all_connections:
            self.connect(connection)
        for item in self.arriving:
            self.receive(item)
        for node in self.network.all_nodes:
            self.compute(node)
        recordings = tuple(self.record(probe) for probe in self.probes)
        return Program(
            dt=self.dt,
            seed=self.seed,
            precision=self.precision,
            shapes=tuple(self.shapes),
            components=order(self.operators),
            recordings=recordings,
            parameters=self.parameters,
            weights={c: weights_of(c) for c in self.network.all_connections},
            labels=self.labels,
        )

    def _check_once(self) -> None:
        """Raise `BuildError` if a network is a part of this one twice."""
        networks = self.network.all_networks
        twice = [net for net in networks if sum(net is other for other in networks) > 1]
        if twice:
            raise BuildError(f"{twice[0]!r} is a part of {self.network!r} more than once")

    def declare(self, ensemble: Ensemble, key: tuple[int, int]) -> None:
        """Solve an ensemble's parameters and add its neurons."""
        neurons = ensemble.neurons
        built, gain, bias = _parameters(ensemble, key)
        self.parameters[ensemble] = built
        threshold = 1.0 / (np.asarray(ensemble.rate_scale, np.float64) * self.dt)
        amplitude = ensemble.neuron_type.amplitude
        spiking = ensemble.neuron_type.spiking
        self.heights[neurons] = np.asarray(amplitude * (threshold if spiking else 1.0))
        self.input_of[neurons] = self.signal(ensemble.shape, f"current of {ensemble!r}")
        self.output_of[neurons] = self.signal(ensemble.shape, f"{ensemble!r}")
        self.arriving[neurons] = []
        self.affine[neurons] = (gain, bias)
        self.operators.append(
            Neurons(
                f"{ensemble!r}",
                (self.input_of[neurons],),
                self.output_of[neurons],
                ensemble=ensemble,
                neuron_type=ensemble.neuron_type,
                threshold=threshold,
                initial_voltage=built.initial_voltage
                * ensemble.neuron_type.voltage_unit(threshold),
                key=key,
                voltage=self._voltage_signal(ensemble),
            )
        )

    def _voltage_signal(self, ensemble: Ensemble) -> int | None:
        wanted = any(p.attr == "voltage" and p.target == ensemble.neurons for p in self.probes)
        return self.signal(ensemble.shape, f"voltage of {ensemble!r}") if wanted else None

    def connect(self, connection: Connection) -> None:
        """Operators from the sending signal to what arrives at the receiver."""
        for item in (connection.pre_obj, connection.post_obj):
            if item not in self.output_of:
                raise BuildError(
                    f"{connection!r}: {item!r} is not in {self.network!r}; add the network that "
                    "holds it"
                )
        pre = connection.pre_obj
        signal, factor = self.value(pre)
        shape_in, shape_out = output_shape(pre), input_shape(connection.post_obj)
        synapse = connection.synapse
        # Linear maps and filters commute: the filter goes where there are fewer values to filter.
        first = synapse is not None and np.prod(shape_in) < np.prod(shape_out)
        if synapse is not None and first:
            signal = self.filter(signal, synapse, shape_in, f"synapse of {connection!r}")
        signal = self.map(signal, connection.chain(), factor, shape_in, f"{connection!r}")
        if synapse is not None and not first:
            signal = self.filter(signal, synapse, shape_out, f"synapse of {connection!r}")
        self.contribution_of[connection] = signal
        self.arriving[connection.post_obj].append(signal)

    def value(self, pre: Node | NeuronsView) -> tuple[int, float]:
        """The signal that an object sends, and the factor that makes it the value."""
        if not isinstance(pre, NeuronsView):
            return self.output_of[pre], 1.0
        height = self.heights[pre]
        if height.ndim == 0:
            return self.output_of[pre], float(height)
        if pre not in self.value_of:
            signal = self.signal(pre.shape, f"values of {pre!r}")
            source = self.output_of[pre]
            self.operators.append(Linear(f"heights of {pre!r}", (source,), signal, Scale(height)))
            self.value_of[pre] = signal
        return self.value_of[pre], 1.0

    def filter(self, signal: int, synapse: Synapse, shape: Shape, label: str) -> int:
        """Add a filter."""
        output = self.signal(shape, label)
        self.operators.append(Filter(label, (signal,), output, synapse.discretise(self.dt)))
        return output

    def map(
        self, signal: int, chain: tuple[Transform, ...], factor: float, shape: Shape, label: str
    ) -> int:
        """Add a chain of transforms, the factor with the last of them."""
        if not chain and factor != 1.0:
            chain, factor = (Scale(np.array(factor)),), 1.0
        for i, transform in enumerate(chain):
            shape = transform.output_shape(shape)
            output = self.signal(shape, label)
            last = factor if i == len(chain) - 1 else 1.0
            held = hold(transform, self.precision)
            self.operators.append(Linear(label, (signal,), output, held, last))
            signal = output
        return signal

    def receive(self, item: Node | NeuronsView) -> None:
        """What arrives at an object: a sum, with gain and bias at neurons."""
        arriving = tuple(self.arriving[item])
        if isinstance(item, NeuronsView):
            gain, bias = self.affine[item]
            label = f"current of {item.ensemble!r}"
            self.operators.append(Sum(label, arriving, self.input_of[item], gain, bias))
        elif item.shape_in != (0,):
            if item not in self.input_of:
                self.input_of[item] = self.signal(item.shape_in, f"input of {item!r}")
            self.operators.append(Sum(f"input of {item!r}", arriving, self.input_of[item]))
        elif arriving:
            raise BuildError(f"{item!r} takes no input, but connections lead to it")

    def compute(self, node: Node) -> None:
        """What a node makes of its input."""
        output = self.output_of[node]
        if node not in self.input_of:
            self.operators.append(Source(f"{node!r}", (), output, node))
        elif node.output is not None:
            self.operators.append(Apply(f"{node!r}", (self.input_of[node],), output, node))

    def record(self, probe: Probe) -> Recording:
        """The signal that a probe records."""
        signal, factor = self._probed(probe)
        every = 1
        if probe.sample_every is not None:
            every = max(1, round(probe.sample_every / self.dt))
        if probe.synapse is not None:
            signal = self.filter(signal, probe.synapse, self.shapes[signal], f"{probe!r}")
        return Recording(probe, signal, np.asarray(factor, np.float64), every)

    def _probed(self, probe: Probe) -> tuple[int, NDArray | float]:
        target = probe.target
        known: dict = self.contribution_of if isinstance(target, Connection) else self.output_of
        if target not in known:
            raise BuildError(f"{probe!r}: its target is not in {self.network!r}")
        if isinstance(target, Connection):
            return self.contribution_of[target], 1.0
        if isinstance(target, Node):
            if probe.attr == "input" and target not in self.input_of:
                raise BuildError(f"{probe!r}: {target!r} takes no input")
            return (self.input_of if probe.attr == "input" else self.output_of)[target], 1.0
        operator = next(
            op
            for op in self.operators
            if isinstance(op, Neurons) and op.ensemble == target.ensemble
        )
        if probe.attr == "voltage" and operator.voltage is not None:
            return operator.voltage, 1.0 / np.asarray(
                operator.neuron_type.voltage_unit(operator.threshold)
            )
        if probe.attr == "input":
            skewed = operator.neuron_type.scaling == "skewed"  # its current is scaled already
            return self.input_of[target], 1.0 if skewed else _gain_scale(target.ensemble)
        return self.output_of[target], self.heights[target] if probe.attr == "output" else 1.0


def hold(transform: Transform, precision: Precision) -> Transform:
    """The transform with its weights on the precision's grid."""
    name = _WEIGHT_FIELDS.get(type(transform))
    if name is None:
        return transform
    return replace(transform, **{name: on_grid(getattr(transform, name), precision)})  # type: ignore[type-var]


def weights_of(connection: Connection) -> NDArray:
    """A connection's weights as given: never scaled, never rounded."""
    return np.array(1.0) if connection.transform is None else connection.transform.weights


def _gain_scale(ensemble: Ensemble) -> NDArray:
    """What a firing-rate scale multiplies gain and bias by."""
    acts = ensemble.neuron_type.scaling in ("gain", "skewed")
    return ensemble.rate_scale if acts else np.array(1.0)


def _keyed_ensembles(network: Network, seed: int) -> Iterator[tuple[Ensemble, tuple[int, int]]]:
    """Every ensemble with the key of its random numbers.

    An ensemble's own seed fixes them; else they follow from the seed of its network (or of the
    simulator) and its place in that network, so that a network with a seed behaves the same alone
    and inside another.
    """
    for net, base in _seeded_networks(network, (seed,)):
        for index, ensemble in enumerate(net.ensembles):
            own = ensemble.seed
            key = object_key(*base, index) if own is None else object_key(own, _OWN_SEED)
            yield ensemble, key


def _seeded_networks(
    network: Network, base: tuple[int, ...]
) -> Iterator[tuple[Network, tuple[int, ...]]]:
    yield network, base
    for index, inner in enumerate(network.networks):
        own = (inner.seed,) if inner.seed is not None else (*base, _INNER_NETWORK, index)
        yield from _seeded_networks(inner, own)


def _parameters(
    ensemble: Ensemble, key: tuple[int, int]
) -> tuple[Parameters, NDArray | None, NDArray | None]:
    """Built parameters, and gain and bias of the unscaled current (None where 1 and 0)."""
    gain, bias = _gain_bias(ensemble, key)
    scale = ensemble.rate_scale
    acting = _gain_scale(ensemble)
    neuron_type = ensemble.neuron_type
    skewed = neuron_type.scaling == "skewed"
    if skewed:
        rates = neuron_type.max_rates(gain * acting, bias * acting)
    else:
        rates = scale * neuron_type.max_rates(gain, bias)
    built = Parameters(
        gain=np.asarray(gain * acting),
        bias=np.asarray(bias * acting),
        amplitude=np.asarray(neuron_type.amplitude / scale),
        max_rates=np.asarray(rates),
        initial_voltage=_initial_voltage(ensemble, key),
    )
    if skewed:
        gain, bias = built.gain, built.bias
    return built, None if np.all(gain == 1) else gain, bias if np.any(bias) else None


def _gain_bias(ensemble: Ensemble, key: tuple[int, int]) -> tuple[NDArray, NDArray]:
    if ensemble.gain is not None and ensemble.bias is not None:
        return ensemble.gain, ensemble.bias
    values: list[NDArray] = []
    for index, spec in enumerate((ensemble.max_rates, ensemble.intercepts)):
        if isinstance(spec, tuple):
            low, high = spec
            draws = uniform_draws(key, 0, 2 + index, ensemble.shape)
            values.append(low + (high - low) * draws)
        else:
            values.append(np.broadcast_to(spec, ensemble.shape))
    return ensemble.neuron_type.gain_bias(values[0], values[1])


def _initial_voltage(ensemble: Ensemble, key: tuple[int, int]) -> NDArray:
    """The voltage before the first step, in spikes, `(*shape)`."""
    start = ensemble.initial_voltage
    if not isinstance(start, str):
        return np.array(np.broadcast_to(start, ensemble.shape))
    if start == "uniform":
        return uniform_draws(key, 0, 0, ensemble.shape)
    return np.full(ensemble.shape, 0.5 if start == "half" else 0.0)
