"""`Conversion.train`: thresholds and weights fitted to a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from spikewright.choosing.rules import MinimumError
from spikewright.errors import TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.network.neurons import NeuronType
from spikewright.running.outputs import outputs_of
from spikewright.training.data import Samples, Stream, data_of
from spikewright.training.history import Way
from spikewright.training.home import Home
from spikewright.training.result import Made, Training
from spikewright.training.settings import Settings
from spikewright.training.sites import Site, sites_of, trained_graph
from spikewright.training.trainable import TRAINED

_SEEN = 500  # samples that thresholds are chosen on
_HELD = 1000  # samples that are held back, at most
_ROUNDED = 0.25  # of the epochs go through the rounded network first, where time is needed


def train(
    conversion: Made,
    x: Any,
    y: Any,
    settings: Settings,
    remade: Callable[[Graph, Mapping[str, Any]], Made],
    live: Reading | None = None,
) -> Training[Made]:
    """Train a conversion; `remade` converts another graph with arguments of `convert`.

    With a live source only what is a parameter of it is trained: what was computed of
    several could not be written back. Raises `MissingExtraError` without PyTorch.
    """
    from spikewright.training.gradients import fitted  # late: it imports torch

    data, held_back = _divided(data_of(conversion, x, y), settings)
    chosen = _with_thresholds(conversion, data, settings)
    sites = sites_of(chosen, settings.dt)
    graph = trained_graph(chosen)
    missing = [name for name in sites if name not in graph]
    if missing:
        raise TrainingError(f"layers {missing} have neurons and no place in the model as read")
    origins = {} if live is None else live.origins(chosen.graph)
    done = fitted(
        graph,
        sites,
        outputs_of(chosen.lowered),
        data,
        held_back,
        _ways(settings, sites),
        settings,
        () if live is None else _without_origin(graph, origins),
    )
    trained = done.renewed(chosen.graph)
    made = remade(
        trained, _arguments(chosen.resolved, sites, done.thresholds, done.starts, settings)
    )
    home = None if live is None else Home(live, origins, chosen.graph, trained)
    return Training(made, done.history, home)


def follows_its_sum(kind: NeuronType, steps: int) -> bool:
    """True where neurons have sent the rounded value of their mean current, whatever the order.

    They take spikes back and have no cap; in a single step there is no order.
    """
    takes_back = kind.follows_mean and kind.negative
    return steps == 1 or (takes_back and kind.most_spikes is None)


def _ways(settings: Settings, sites: Mapping[str, Site]) -> Iterator[Way]:
    """How each epoch goes: with "auto", through time where the rounded network is another one."""
    exact = all(follows_its_sum(site.kind, settings.steps) for site in sites.values())
    first = settings.epochs if exact else round(_ROUNDED * settings.epochs)
    for number in range(settings.epochs):
        if settings.method == "auto":
            yield "rounding" if number < first else "time"
        else:
            yield settings.method


def _divided(data: Samples | Stream, settings: Settings) -> tuple[Samples | Stream, Samples | None]:
    """The samples to train on and those held back; none of a user's own batches."""
    if isinstance(data, Stream) and settings.spikes is not None:
        raise TrainingError(
            "spikes: a budget is measured on samples that are held back, and batches of an "
            "iterable are all trained on. Give arrays"
        )
    if isinstance(data, Stream) or not settings.validation:
        return data, None
    share = min(settings.validation, _HELD / len(data))
    rest, held = data.divided(share, settings.seed)
    return (rest, held) if len(held) else (data, None)


def _with_thresholds(conversion: Made, data: Samples | Stream, settings: Settings) -> Made:
    """The conversion with thresholds chosen anew for the number of steps."""
    first = next(iter(data.shuffled(_SEEN, settings.seed, 0)))
    caps = {e.neuron_type.most_spikes for e in conversion.populations().values()}
    room = 1 if None in caps else None
    rule = MinimumError(settings.steps, dt=settings.dt, spikes_per_step=room)
    made: Any = conversion.again(
        scale_firing_rates=rule, calibration=dict(first.x), bias_correction=None
    )
    found: Made = made
    return found


def _without_origin(graph: Graph, origins: Collection[Place]) -> set[Place]:
    """Arrays that may be trained by their kind, and are no parameters of the source."""
    return {
        (node.name, field)
        for node in graph
        for field in TRAINED.get(type(node.layer), {})
        if (node.name, field) not in origins
    }


def _arguments(
    resolved: Mapping[str, Any],
    sites: Mapping[str, Site],
    thresholds: Mapping[str, NDArray],
    starts: Mapping[str, NDArray],
    settings: Settings,
) -> dict[str, Any]:
    """The arguments of `convert` with trained scales, `s = amplitude / (theta dt)`, and starts."""
    scales = {
        name: _plain(sites[name].kind.amplitude / (theta * settings.dt))
        for name, theta in thresholds.items()
    }
    arguments = {**resolved, "scale_firing_rates": scales}
    if "initial_voltage" in settings.trainable:
        arguments["initial_voltage"] = {name: _plain(start) for name, start in starts.items()}
    return arguments


def _plain(value: NDArray) -> float | NDArray:
    return float(value) if value.ndim == 0 else value
