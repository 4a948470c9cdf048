"""Objects that look like Nengo's: the same attributes, classes of the same names.

Just enough of each for a model to be read and run, so that reading models is tested where Nengo is
not installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def named(module: str) -> Any:
    """Class decorator: say that a class is of a module of Nengo's."""

    def name(cls: type) -> type:
        cls.__module__ = module
        return cls

    return name


class Plain:
    """An object with the attributes that it is given, beside those of its class."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


# --- structure -----------------------------------------------------------------------------------


@named("nengo.network")
class Network:
    """Lists of objects, and the same of all networks inside."""

    def __init__(self, seed: int | None = None, label: str | None = None) -> None:
        self.seed, self.label = seed, label
        self.nodes: list[Any] = []
        self.ensembles: list[Any] = []
        self.connections: list[Any] = []
        self.probes: list[Any] = []
        self.networks: list[Any] = []

    def _all(self, kind: str) -> list[Any]:
        inner = [item for network in self.networks for item in network._all(kind)]
        return [*getattr(self, kind), *inner]

    all_nodes = property(lambda self: self._all("nodes"))
    all_probes = property(lambda self: self._all("probes"))

    def inside(self, **given: Any) -> Network:
        """A new network in this one."""
        self.networks.append(Network(**given))
        return self.networks[-1]

    def node(self, output: Any = None, size_in: int = 0, size_out: int | None = None) -> Any:
        """A new node."""
        if not callable(output) and output is not None and not hasattr(output, "make_step"):
            output = np.atleast_1d(np.array(output, float))
            size_out = len(output)
        self.nodes.append(Node(output, size_in, size_in if size_out is None else size_out))
        return self.nodes[-1]

    def ensemble(self, n: int, d: int = 1, **given: Any) -> Any:
        """A new ensemble."""
        self.ensembles.append(Ensemble(n, d, given))
        return self.ensembles[-1]

    def connect(self, pre: Any, post: Any, **given: Any) -> Any:
        """A new connection."""
        self.connections.append(Connection(pre, post, given))
        return self.connections[-1]

    def probe(self, target: Any, attr: str, **given: Any) -> Any:
        """A new probe."""
        self.probes.append(Probe(target, attr, given))
        return self.probes[-1]


class _Viewed:
    label: str | None = None
    seed: int | None = None

    def __getitem__(self, key: Any) -> Any:
        return ObjView(self, key)


@named("nengo.base")
class ObjView:
    """A part of an object."""

    def __init__(self, obj: Any, key: Any) -> None:
        self.obj = obj
        self.slice = slice(key, key + 1) if isinstance(key, int) else key
        n = len(np.arange(obj.size_out)[self.slice])
        self.size_in = self.size_out = n


@named("nengo.node")
class Node(_Viewed):
    """`output` is None, an array, a function or a process."""

    def __init__(self, output: Any, size_in: int, size_out: int) -> None:
        self.output, self.size_in, self.size_out = output, size_in, size_out


@named("nengo.ensemble")
class Ensemble(_Viewed):
    """A population, with Nengo's defaults."""

    def __init__(self, n_neurons: int, dimensions: int, given: dict[str, Any]) -> None:
        self.n_neurons, self.dimensions = n_neurons, dimensions
        self.size_in = self.size_out = dimensions
        self.radius, self.normalize_encoders = 1.0, True
        self.encoders: Any = Sphere()
        self.eval_points: Any = Uniform(-1, 1)
        self.max_rates, self.intercepts = Uniform(200, 400), Uniform(-1.0, 0.9)
        self.neuron_type: Any = LIF()
        self.n_eval_points = self.gain = self.bias = self.noise = None
        vars(self).update(given)

    @property
    def neurons(self) -> Neurons:
        """The neurons, a new object every time."""
        return Neurons(self)


@named("nengo.ensemble")
class Neurons(_Viewed):
    """The neurons of an ensemble."""

    def __init__(self, ensemble: Any) -> None:
        self.ensemble = ensemble
        self.size_in = self.size_out = ensemble.n_neurons

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Neurons) and other.ensemble is self.ensemble

    def __hash__(self) -> int:
        return hash((Neurons, id(self.ensemble)))


@named("nengo.connection")
class Connection:
    """A map from `pre` to `post`, with Nengo's defaults."""

    def __init__(self, pre: Any, post: Any, given: dict[str, Any]) -> None:
        self.pre_obj, self.pre_slice = _parts(pre)
        self.post_obj, self.post_slice = _parts(post)
        self.synapse: Any = Lowpass(0.005)
        self.function = self.transform = self.eval_points = self.label = self.seed = None
        self.solver: Any = LstsqL2()
        self.scale_eval_points = True
        self.learning_rule_type: Any = None
        vars(self).update(given)
        self.transform = self.transform or NoTransform()
        self.size_in = len(np.arange(self.pre_obj.size_out)[self.pre_slice])
        made = self.function(np.zeros(self.size_in)) if callable(self.function) else ()
        self.size_mid = np.size(made) if callable(self.function) else self.size_in
        self.size_out = len(np.arange(self.post_obj.size_in)[self.post_slice])
        rule = self.learning_rule_type
        self.learning_rule = None if rule is None else LearningRule(self, rule)
        self.has_weights = not isinstance(self.transform, NoTransform)


@named("nengo.connection")
class LearningRule(_Viewed):
    """What connections that bring an error lead to."""

    def __init__(self, connection: Any, rule: Any) -> None:
        self.connection, self.learning_rule_type = connection, rule
        self.size_in, self.size_out = connection.size_out, 0


@named("nengo.probe")
class Probe:
    """What is recorded."""

    label = seed = None

    def __init__(self, target: Any, attr: str, given: dict[str, Any]) -> None:
        self.target, self.attr = target, attr
        self.slice = target.slice if isinstance(target, ObjView) else None
        self.sample_every = self.synapse = None
        self.solver: Any = LstsqL2()
        vars(self).update(given)


def _parts(item: Any) -> tuple[Any, Any]:
    return (item.obj, item.slice) if isinstance(item, ObjView) else (item, slice(None))


# --- what is drawn, and what has an equation -----------------------------------------------------


@named("nengo.dists")
class Uniform:
    """Values between two bounds."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def sample(self, n: int, d: int | None = None, rng: Any = np.random) -> Any:
        """`(n,)` or `(n, d)` values."""
        return rng.uniform(self.low, self.high, n if d is None else (n, d))


@named("nengo.dists")
class Sphere:
    """Directions, of any length."""

    def sample(self, n: int, d: int, rng: Any = np.random) -> Any:
        """`(n, d)` values."""
        return rng.standard_normal((n, d))


@named("nengo.neurons")
class LIF:
    """Gain and bias of a rectified line, so that they are easy to tell; the rest is parameters."""

    tau_rc, tau_ref, min_voltage, amplitude = 0.02, 0.002, 0, 1
    start = 0.25

    def gain_bias(self, max_rates: Any, intercepts: Any) -> Any:
        """`M / (1 - c)` of a hundredth, and the bias of a threshold at 1."""
        gain = max_rates / 100.0 / (1.0 - intercepts)
        return gain, 1.0 - gain * intercepts

    def max_rates_intercepts(self, gain: Any, bias: Any) -> Any:
        """The other way round."""
        intercepts = (1.0 - bias) / gain
        return gain * (1.0 - intercepts) * 100.0, intercepts

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """Voltages drawn, the refractory time at zero."""
        return {"voltage": rng.uniform(0, 1, n_neurons), "refractory_time": np.zeros(n_neurons)}

    def step(self, dt: float, J: Any, output: Any, **state: Any) -> None:
        """Never called: the equation is known by name."""
        raise AssertionError("LIF is known by name")


@named("nengo.neurons")
class RectifiedLinear(LIF):
    """Rates, without state."""

    def make_state(self, n_neurons: int, rng: Any = np.random, dtype: Any = None) -> Any:
        """None."""
        return {}


@named("nengo.neurons")
class Direct:
    """No neurons."""


def _parameters(name: str, module: str, **usual: Any) -> Any:
    """A class of parameters alone."""
    fields = tuple(usual)

    def __init__(self: Any, *values: Any, **given: Any) -> None:
        vars(self).update({**usual, **dict(zip(fields, values, strict=False)), **given})

    def nothing(self: Any, *_: Any) -> None:
        raise AssertionError(f"{name} is known by name")

    steps = {"make_step": nothing} if module == "nengo.synapses" else {}
    return type(name, (), {"__init__": __init__, "__module__": module, **steps})


Lowpass = _parameters("Lowpass", "nengo.synapses", tau=0.1)
Alpha = _parameters("Alpha", "nengo.synapses", tau=0.1)
Triangle = _parameters("Triangle", "nengo.synapses", t=0.1)
LinearFilter = _parameters(
    "LinearFilter", "nengo.synapses", num=(1.0,), den=(0.1, 1.0), analog=True, method="zoh"
)
LstsqL2 = _parameters("LstsqL2", "nengo.solvers", weights=False, reg=0.1)
LstsqDrop = _parameters(
    "LstsqDrop", "nengo.solvers", weights=False, drop=0.25, solver1=LstsqL2(reg=0.001),
    solver2=LstsqL2(),
)  # fmt: skip
PES = _parameters("PES", "nengo.learning_rules", learning_rate=1e-4, pre_synapse=Lowpass(0.005))
Voja = _parameters("Voja", "nengo.learning_rules", learning_rate=1e-2, post_synapse=Lowpass(0.005))
ChannelShape = _parameters("ChannelShape", "nengo.transforms", shape=())
NoTransform = _parameters("NoTransform", "nengo.transforms")


class _Sampled:
    def sample(self, rng: Any = np.random) -> Any:
        """Its weights, drawn where they are to be."""
        init = self.init  # type: ignore[attr-defined]
        return init.sample(*self.shape, rng=rng) if hasattr(init, "sample") else init  # type: ignore[attr-defined]


@named("nengo.transforms")
class Dense(_Sampled):
    """A matrix, or what it is drawn from."""

    def __init__(self, shape: tuple[int, int], init: Any = 1.0) -> None:
        self.shape, self.init = shape, init if hasattr(init, "sample") else np.array(init, float)


@named("nengo.transforms")
class Sparse(_Sampled):
    """Entries of a matrix."""

    def __init__(self, shape: tuple[int, int], indices: Any, data: Any) -> None:
        self.shape = shape
        self.init = Plain(indices=np.array(indices), data=np.array(data))


class _Windows(_Sampled):
    def __init__(self, kernel: Any, **given: Any) -> None:
        self.init, self.strides, self.groups = np.array(kernel, float), None, 1
        self.padding, self.channels_last = "valid", True
        vars(self).update(given)
        self.kernel_size = self.init.shape[:-2]
        self.strides = self.strides or (1,) * len(self.kernel_size)


@named("nengo.transforms")
class Convolution(_Windows):
    """A cross-correlation of images."""


@named("nengo.transforms")
class ConvolutionTranspose(_Windows):
    """The transpose of one."""
