"""A network made by hand that runs while pages watch it: its inputs are moved, its probes drawn.

It runs block by block, with the latest values fed to its inputs. Messages to a page hold the parts
of the network, new recordings, and tuning curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.options import Check, number, one_of, whole
from spikewright.engines.program import Recording
from spikewright.errors import SimulationError
from spikewright.explorer.diagram import Names, diagram_of, names_of
from spikewright.explorer.message import format_value, pack_message, parse_request, request_field
from spikewright.modelling.curves import response_curves, tuning_curves
from spikewright.modelling.nengo_reader.kinds import is_a
from spikewright.modelling.nengo_simulator import NengoSimulator
from spikewright.network import Connection, Ensemble, Network, NeuronsView, Node, ObjView, Probe
from spikewright.simulator import Simulator

STEPS = 1000
"""Latest steps of the recordings that are kept, and that a page shows."""

SLIDERS = 16
"""Values of an input that has sliders, at most: a larger one is held at its constant."""

_LINES = 10  # of values that are drawn over time
_ROWS = 50  # of neurons, evenly chosen


@dataclass(frozen=True, eq=False)
class ConstantInput:
    """A constant node that a page may feed, with values from `-bound` to `bound`.

    `first` are its own values.
    """

    node: Node
    name: str
    first: list[float]
    bound: float


@dataclass(frozen=True, eq=False)
class Plot:
    """A probe, and which of its values are shown: a trace, or a raster of spikes.

    `numbers` are the places of the shown values among all `size` of them, `every` the steps from
    one sample to the next. `height` is what one spike of each shown neuron is recorded as; None is
    a trace, which is drawn from `-bound` to `bound` at least.
    """

    probe: Probe
    name: str
    size: int
    numbers: NDArray
    every: int
    height: NDArray | None
    bound: float

    def selected(self, recorded: NDArray) -> NDArray:
        """The selected values of recordings `(samples, *shape)`: float32, or counts of spikes."""
        chosen = recorded.reshape(len(recorded), self.size)[:, self.numbers]
        if self.height is None:
            return chosen.astype(np.float32)
        return np.clip(np.rint(chosen / self.height), -127, 127).astype(np.int8)


def _name_of(probe: Probe, names: Names) -> str:
    """A probe's label, or what it records of which object."""
    if probe.label:
        return str(probe.label)
    neurons = probe.obj if isinstance(probe.obj, NeuronsView) else None
    part = " (a part)" if isinstance(probe.target, ObjView) else ""
    if neurons is None and probe.attr in ("decoded_output", "output"):
        return f"{_target(probe.obj, names)}{part}"
    spikes = neurons is not None and neurons.ensemble.neuron_type.spiking
    recorded = "spikes" if spikes and probe.attr == "output" else probe.attr.replace("_", " ")
    return f"{_target(probe.obj, names)}{part}: {recorded}"


def _target(item: Any, names: Names) -> str:
    if isinstance(item, Connection):
        return f"{_target(item.pre_obj, names)} to {_target(item.post_obj, names)}"
    named = item.ensemble if isinstance(item, NeuronsView) else item
    return names.get(named) or type(item).__name__


def inputs_of(simulator: Simulator, names: Names) -> list[ConstantInput]:
    """The nodes with a constant output that no connection drives, in order."""
    fed = simulator.program.sources
    return [
        ConstantInput(node, names[node], node.output.ravel().tolist(), _reach(simulator, node))
        for node in simulator.network.all_nodes
        if isinstance(node.output, np.ndarray) and node in fed
    ]


def _reach(simulator: Simulator, node: Any) -> float:
    """Twice a constant node's largest value, or the largest radius that it leads to; 1 at least."""
    leads = (c.post_obj for c in simulator.network.all_connections if c.pre_obj is node)
    radii = [end.radius for end in leads if isinstance(end, Ensemble) and end.represents]
    own = np.abs(node.output).max(initial=0.0) if isinstance(node.output, np.ndarray) else 0.0
    return float(max([1.0, *radii, 2 * own]))


def plots_of(simulator: Simulator, names: Names) -> list[Plot]:
    """All probes, in order."""
    return [_plot(simulator, recording, names) for recording in simulator.program.recordings]


def _plot(simulator: Simulator, recording: Recording, names: Names) -> Plot:
    probe, shape = recording.probe, simulator.program.shapes[recording.signal]
    size, height = math.prod(shape), _height(simulator, probe)
    most = _LINES if height is None else _ROWS
    numbers = np.unique(np.linspace(0, max(0, size - 1), min(size, most)).astype(int))
    return Plot(
        probe,
        _name_of(probe, names),
        size,
        numbers,
        every=recording.every,
        height=None if height is None else height[numbers],
        bound=_bound(simulator, probe),
    )


def _bound(simulator: Simulator, probe: Probe) -> float:
    """The values that are expected, of either sign; 0 where nothing is known of them."""
    if isinstance(probe.obj, Ensemble) and probe.attr == "decoded_output":
        return probe.obj.radius
    constant = isinstance(probe.obj, Node) and isinstance(probe.obj.output, np.ndarray)
    return _reach(simulator, probe.obj) if constant else 0.0


def _height(simulator: Simulator, probe: Probe) -> NDArray | None:
    """The recorded value of a spike of each neuron; None for recordings without spikes."""
    neurons = probe.obj
    if not isinstance(neurons, NeuronsView) or probe.synapse is not None:
        return None
    shape = neurons.ensemble.shape
    if probe.attr == "output" and neurons.ensemble.neuron_type.spiking:
        whole = simulator.data[neurons.ensemble].amplitude / simulator.dt
    elif probe.attr == "spike_count":
        whole = np.ones(shape)
    else:
        return None
    part = probe.target.numbers(shape) if isinstance(probe.target, ObjView) else slice(None)
    return whole.ravel()[part].ravel()


CURVES = 40
"""Neurons of an ensemble whose curves are shown, at most: the first ones."""

_LONGEST = 0.1  # seconds of a block: so long a page may wait until it is heard


@dataclass(frozen=True, eq=False)
class RecordingWindow:
    """The latest recordings up to a step, `(samples, selected values)` for each plot.

    `resets` is the number of resets so far.
    """

    resets: int
    step: int
    kept: tuple[NDArray, ...]


class LiveRun:
    """A network that runs while pages watch it; one caller at a time may advance it or reset it.

    `reset` takes its simulator back to before the first step, `close` ends it. `values` are those
    fed to each of `inputs`, `(size,)`: whoever moves one puts a new list there. `seen` is what
    was recorded, replaced as a whole, so that others may read it at any time.
    """

    def __init__(
        self, simulator: Simulator, title: str, reset: Callable[[], None], close: Callable[[], None]
    ) -> None:
        names = names_of(simulator.network)
        self.simulator, self.title, self._reset, self.close = simulator, title, reset, close
        constants = inputs_of(simulator, names)
        self.inputs = [given for given in constants if given.node.size_out <= SLIDERS]
        self.held = [given.name for given in constants if given.node.size_out > SLIDERS]
        self.plots = plots_of(simulator, names)
        represented = (e for e in simulator.network.all_ensembles if e.represents)
        self.ensembles = [(names[e], e) for e in represented if not e.is_direct]
        self.values: Sequence[Sequence[float]] = [given.first for given in self.inputs]
        self._pace = _LONGEST  # seconds a step, as last measured: at first unknown, so one alone
        self.seen = self._nothing(0)

    def _nothing(self, resets: int) -> RecordingWindow:
        return RecordingWindow(
            resets, 0, tuple(plot.selected(np.zeros((0, plot.size))) for plot in self.plots)
        )

    @property
    def dt(self) -> float:
        """Seconds a step."""
        return self.simulator.dt

    def block(self, wanted: float) -> int:
        """Steps of the next block: the wanted ones, but not more than take a tenth of a second."""
        return max(1, min(STEPS, round(wanted), int(_LONGEST / self._pace)))

    def advance(self, steps: int) -> None:
        """Run so many steps with the present values.

        Raises as `Simulator.run_steps` does, and ends there: a reset begins anew.
        """
        fed = {
            given.node: np.reshape(values, given.node.shape_out)
            for given, values in zip(self.inputs, self.values, strict=True)
        }
        began = time.perf_counter()
        self.simulator.run_steps(steps, fed, progress_bar=False)
        self._pace = max(1e-9, (time.perf_counter() - began) / steps)
        new = [plot.selected(self.simulator.data[plot.probe]) for plot in self.plots]
        self.simulator.clear_probes()
        kept = tuple(
            np.concatenate([before, now])[-math.ceil(STEPS / plot.every) :]
            for plot, before, now in zip(self.plots, self.seen.kept, new, strict=True)
        )
        self.seen = RecordingWindow(self.seen.resets, self.seen.step + steps, kept)

    def reset(self) -> None:
        """Return to before the first step; inputs stay where they were moved."""
        self._reset()
        self.seen = self._nothing(self.seen.resets + 1)

    def since(self, now: RecordingWindow, resets: int, step: int) -> dict[str, NDArray]:
        """The samples of each plot since a step, by number of the plot; after a reset all."""
        after = step if resets == now.resets else 0
        counts = [now.step // plot.every - after // plot.every for plot in self.plots]
        return {
            str(place): kept[max(0, len(kept) - count) :]
            for place, (kept, count) in enumerate(zip(now.kept, counts, strict=True))
        }


def is_network(model: Any) -> bool:
    """True for a network that was made by hand, Nengo's or one of this library."""
    return isinstance(model, Network) or is_a(model, "Network")


def live(network: Any) -> LiveRun:
    """The run of a `Network`, or of a `nengo.Network`.

    Raises as their simulators do, and `SimulationError` for a network without probes.
    """
    title = str(network.label or "Your network")
    if not network.all_probes:
        raise SimulationError(
            f"{network!r} has no probes, so there is nothing to see: make some, such as "
            "Probe(ensemble, synapse=0.02), inside `with network:`"
        )
    if isinstance(network, Network):
        made = Simulator(network, progress=False)
        return LiveRun(made, title, made.reset, made.close)
    theirs = NengoSimulator(network, progress_bar=False)
    return LiveRun(theirs.simulator, title, theirs.reset, theirs.close)


def run_greeting(run: LiveRun) -> bytes:
    """The first message to a page: see `message.pack_message`."""
    header = {
        "kind": "facts",
        "title": run.title,
        "dt": run.dt,
        "window": STEPS,
        "inputs": [
            {"name": given.name, "bound": given.bound, "first": given.first} for given in run.inputs
        ],
        "held": run.held,
        "plots": list(map(_plot_entry, run.plots)),
        "ensembles": [name for name, _ in run.ensembles],
        "diagram": diagram_of(run.simulator.network, names_of(run.simulator.network), _opens(run)),
    }
    return pack_message(header, {})


def _opens(run: LiveRun) -> dict[Any, dict[str, int]]:
    """The place of an input, or of an ensemble that has curves, that a box leads to."""
    inputs = {given.node: {"input": place} for place, given in enumerate(run.inputs)}
    return inputs | {e: {"curves": place} for place, (_, e) in enumerate(run.ensembles)}


def _plot_entry(plot: Plot) -> dict[str, Any]:
    return {
        "name": plot.name,
        "raster": plot.height is not None,
        "every": plot.every,
        "size": plot.size,
        "numbers": plot.numbers.tolist(),
        "shown": len(plot.numbers),
        "bound": plot.bound,
    }


def update_message(
    run: LiveRun, now: RecordingWindow, resets: int, step: int, **state: Any
) -> bytes:
    """A message with the samples up to `now` since an earlier step, and the state of the run."""
    header = {"kind": "run", "resets": now.resets, "step": now.step, "values": run.values, **state}
    return pack_message(header, run.since(now, resets, step))


def curves_message(run: LiveRun, place: int) -> bytes:
    """A message with the responses of an ensemble's neurons to values held constant.

    In one dimension over the represented value, in more along each neuron's own encoder.
    """
    _, ensemble = run.ensembles[place]
    flat = ensemble.dimensions == 1
    x, rates = (tuning_curves if flat else response_curves)(run.simulator, ensemble)
    header = {
        "kind": "curves",
        "ensemble": place,
        "along": "represented values" if flat else "radii along each neuron's own encoder",
        "neurons": ensemble.n_neurons,
    }
    arrays = {"x": np.ravel(x), "rates": rates.reshape(len(x), -1)[:, :CURVES]}
    return pack_message(header, {name: array.astype(np.float32) for name, array in arrays.items()})


_VALUES = Check(
    "an object of lists by the place of an input", lambda value: isinstance(value, dict)
)


@dataclass(frozen=True)
class RunRequest:
    """Changes that a page asks for, None where it asks for none.

    `playing` and `speed`, in seconds of the network a second, hold until they are changed; `values`
    are those of some inputs, by place; `act` is "step" or "reset"; `curves` the place of an
    ensemble whose tuning curves are wanted.
    """

    playing: bool | None = request_field(
        Check("true or false", lambda value: isinstance(value, bool))
    )
    speed: float | None = request_field(number(1e-3, most=100))
    values: Mapping[int, tuple[float, ...]] | None = request_field(_VALUES)
    act: str | None = request_field(one_of(("step", "reset")))
    curves: int | None = request_field(whole(0))


def run_request_from(text: str | bytes, run: LiveRun) -> tuple[int, RunRequest]:
    """The number of a request, and the request, of a page that watches this run.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    number, given = parse_request(text, RunRequest)
    if given.get("curves", -1) >= len(run.ensembles):
        raise SimulationError(f"curves is below {len(run.ensembles)}, got {given['curves']}")
    if "values" in given:
        given["values"] = dict(_moved(place, v, run) for place, v in given["values"].items())
    return number, RunRequest(**given)


def _moved(place: str, values: Any, run: LiveRun) -> tuple[int, tuple[float, ...]]:
    """The place of an input, and its values, if they are values of that input."""
    if place not in map(str, range(len(run.inputs))):
        count = len(run.inputs)
        raise SimulationError(
            f"values: inputs are numbered below {count}, got {format_value(place)}"
        )
    given = run.inputs[int(place)]
    size, bound = given.node.size_out, given.bound
    if not (
        isinstance(values, list)
        and len(values) == size
        and all(is_number(value) and -bound <= value <= bound for value in values)
    ):
        raise SimulationError(
            f"values: {given.name} takes a list of {size} numbers from {-bound:g} to {bound:g}, "
            f"got {format_value(values)}"
        )
    return int(place), tuple(map(float, values))
