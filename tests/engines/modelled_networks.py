"""Networks as a modeller builds them by hand, whatever is drawn: for engines that must agree.

A network is drawn as plain data, so that one that fails is made smaller before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from spikewright.engines import Engine, Execution, compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.errors import NetworkError, SpikewrightError
from spikewright.network.neurons import NeuronType
from spikewright.network.processes import FilteredNoise, Process, WhiteNoise
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import (
    Alpha,
    LinearFilter,
    Lowpass,
    Synapse,
    Triangle,
    WindowMean,
)
from spikewright.testing.modelling import neuron_type_examples

DT = 0.001
_EXAMPLES = [example for example in neuron_type_examples() if example.scale == 1.0]
EXACT = {example.id: example.neuron_type for example in _EXAMPLES if example.exact}
"""Kinds of neurons that compute without exponentials and logarithms."""
KINDS: dict[str, NeuronType] = {
    "direct": sw.Direct(),
    **{example.id: example.neuron_type for example in _EXAMPLES},
}
SYNAPSES: tuple[Synapse | None, ...] = (
    None,
    Lowpass(0.005),
    Lowpass(0.0),
    Alpha(0.004),
    LinearFilter((0.001, 1.0), (0.004, 1.0)),
    LinearFilter((2.0,), (1.0,)),
    Triangle(0.003),
    WindowMean(4),
)
NOISE: tuple[Process | None, ...] = (None, WhiteNoise(), FilteredNoise(Lowpass(0.01)))
RULES = {
    "PES": sw.PES(1e-3),
    "RLS": sw.RLS(1e-3),
    "BCM": sw.BCM(1e-11),
    "Oja": sw.Oja(1e-8),
    "Voja": sw.Voja(1e-2),
    "Voja unfiltered": sw.Voja(1e-2, None),
}
FORMS = ("values", "function", "part", "neurons", "weights")
"""What a link sends: the value, its square, its first dimension, spikes, or all by full weights."""
MIDDLES = ("none", "junction", "function", "process")
"""What stands on a link's way."""


@dataclass(frozen=True)
class Population:
    """An ensemble; `fast` ones send more spikes a step than a byte holds."""

    neurons: int
    dimensions: int
    kind: str
    noise: int = 0
    radius: float = 1.0
    fast: bool = False


@dataclass(frozen=True)
class Link:
    """A connection between populations by number (-1: the stimulus), with a rule or without.

    `teacher` is what tells the rule its error or signal; `delay` is in steps.
    """

    pre: int
    post: int
    synapse: int = 1
    form: str = "values"
    middle: str = "none"
    rule: str | None = None
    teacher: int = -1
    delay: int = 0


@dataclass(frozen=True)
class Drawn:
    """A network as data, and how it is run: `batch` samples, in runs of so many steps each."""

    populations: tuple[Population, ...]
    links: tuple[Link, ...]
    batch: int = 1
    runs: tuple[int, ...] = (20,)
    moving: bool = True
    seed: int = 0
    precision: Precision = "float32"

    @property
    def exact(self) -> bool:
        """Whether no neuron needs a library's exponential or logarithm."""
        return all(one.kind in {"direct", *EXACT} for one in self.populations)


@st.composite
def drawn_networks(draw: Any) -> Drawn:
    """Any such network."""
    population = st.builds(
        Population,
        neurons=st.integers(1, 12),
        dimensions=st.integers(1, 3),
        kind=st.sampled_from(sorted(KINDS)),
        noise=st.sampled_from((0, 0, 0, 1, 2)),
        radius=st.sampled_from((1.0, 2.0)),
        fast=st.sampled_from((False,) * 7 + (True,)),
    )
    populations = tuple(draw(st.lists(population, min_size=1, max_size=4)))
    number = st.integers(-1, len(populations) - 1)
    link = st.builds(
        Link,
        pre=number,
        post=st.integers(0, len(populations) - 1),
        synapse=st.integers(0, len(SYNAPSES) - 1),
        form=st.sampled_from(FORMS),
        middle=st.sampled_from(MIDDLES),
        rule=st.sampled_from((None, None, *RULES)),
        teacher=number,
        delay=st.sampled_from((0, 0, 0, 1, 3)),
    )
    return Drawn(
        populations,
        (Link(-1, 0), *draw(st.lists(link, max_size=6))),
        batch=draw(st.integers(1, 3)),
        runs=tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=3))),
        moving=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
        precision=draw(st.sampled_from(PRECISIONS)),
    )


def results(drawn: Drawn, engine: Engine, **cut: Any) -> dict[str, NDArray] | str:
    """What is recorded, then what was learned; or in a word why there is nothing to compare."""
    try:
        with np.errstate(all="ignore"):
            found = dict(_results(drawn, engine, **cut))
    except SpikewrightError as error:
        return type(error).__name__
    return found if all(np.isfinite(x).all() for x in found.values()) else "out of bounds"


def _results(drawn: Drawn, engine: Engine, **cut: Any) -> Iterator[tuple[str, NDArray]]:
    made = Modelled(drawn)
    program = compile_network(made.network, DT, 0, drawn.precision)
    execution = Execution(program, engine, drawn.batch, **cut)
    rng = np.random.default_rng(drawn.seed + 1)
    parts = []
    for steps in drawn.runs:
        fed = rng.uniform(-1, 1, (drawn.batch, steps if drawn.moving else 1, 2))
        parts.append(execution.run(steps, {made.stimulus: fed}))
    pieces = zip(program.recordings, zip(*parts, strict=True), strict=True)
    for number, (recording, arrays) in enumerate(pieces):
        yield f"{recording.probe.attr} {number}", np.concatenate(arrays, axis=1)
    weights = execution.learned()
    for number, op in enumerate(program.learned.values()):
        yield f"learned {number}", weights[op]


class Leaking(Process):
    """A process that follows its input, with chance."""

    def make_state(self, shape_in: Any, shape_out: Any, dt: float) -> dict[str, NDArray]:
        """Where it is."""
        return {"kept": np.zeros(shape_out)}

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        """A quarter of the way at every step."""

        def step(t: float, x: NDArray) -> NDArray:
            state["kept"] += 0.25 * (x - state["kept"]) + 0.01 * rng.standard_normal(shape_out)
            kept: NDArray = state["kept"]
            return kept

        return step


class Modelled:
    """A drawn network, made; links that no connection can be are left out."""

    def __init__(self, drawn: Drawn) -> None:
        self._rng = np.random.default_rng(drawn.seed)
        with sw.Network(seed=drawn.seed) as self.network:
            self.stimulus = sw.Node(np.zeros(2), label="stimulus")
            self.populations = [self._population(one) for one in drawn.populations]
            for link in drawn.links:
                try:
                    self._link(link)
                except NetworkError:
                    continue

    def _population(self, one: Population) -> sw.Ensemble:
        kind = KINDS[one.kind]
        given: dict[str, Any] = {}
        if not isinstance(kind, sw.Direct):
            high = kind.spiking and kind.scaling != "refused"
            size = (3e5 if one.fast else 200.0) if high else 3.0
            given = {
                "gain": self._rng.uniform(0.2, 1.0, one.neurons) * size,
                "bias": self._rng.uniform(-0.3, 2.5, one.neurons) * size,
            }
        ensemble = sw.Ensemble(
            one.neurons,
            one.dimensions,
            neuron_type=kind,
            noise=NOISE[one.noise],
            radius=one.radius,
            **given,
        )
        sw.Probe(ensemble)
        sw.Probe(ensemble, "input", synapse=0.01)
        if not ensemble.is_direct:
            sw.Probe(ensemble.neurons)
        return ensemble

    def _link(self, link: Link) -> None:
        pre, post = self._sender(link.pre), self.populations[link.post]
        given: dict[str, Any] = {"synapse": SYNAPSES[link.synapse], "delay": DT * link.delay}
        if link.rule is not None:
            given["learning_rule_type"] = RULES[link.rule]
        if link.form == "neurons" and isinstance(pre, sw.Ensemble):
            matrix = self._weights(post.n_neurons, pre.n_neurons, 2e-3)
            made = sw.Connection(pre.neurons, post.neurons, transform=matrix, **given)
            return self._teach(made, link)
        if link.form == "weights" and isinstance(pre, sw.Ensemble):
            given["solver"] = LstsqL2(weights=True)
        if link.form == "function" and isinstance(pre, sw.Ensemble):
            given["function"] = np.square
        part = link.form == "part"
        sender, size = (pre[:1], 1) if part else (pre, _size(pre))
        if link.middle != "none" and "solver" not in given and "function" not in given:
            node = _middle(link.middle, size)
            sw.Connection(sender, node, 0.002)
            sender = node
        matrix = self._weights(post.dimensions, size, 0.7)
        self._teach(sw.Connection(sender, post, transform=matrix, **given), link)

    def _sender(self, number: int) -> sw.Node | sw.Ensemble:
        return self.stimulus if number < 0 else self.populations[number]

    def _teach(self, made: sw.Connection, link: Link) -> None:
        """Tell a rule what it needs to know, and record what is learned."""
        for rule in made.learning_rules:
            turns = rule.learning_rule_type.modifies == "encoders"
            sw.Probe(made.post_obj if turns else made, "scaled_encoders" if turns else "weights")
            sw.Probe(rule, "delta")
            if rule.size_in:
                teacher = self._sender(link.teacher)
                matrix = self._weights(rule.size_in, _size(teacher), 0.3)
                sw.Connection(teacher, rule, 0.003, matrix)

    def _weights(self, out: int, size: int, scale: float) -> NDArray:
        return self._rng.normal(0.0, scale / np.sqrt(size), (out, size))


def _middle(kind: str, size: int) -> sw.Node:
    if kind == "junction":
        return sw.Node(size_in=size)
    if kind == "function":
        return sw.Node(lambda t, x: np.cos(x) + t, size_in=size, size_out=size)
    return sw.Node(Leaking(), size_in=size, size_out=size)


def _size(item: sw.Node | sw.Ensemble) -> int:
    return item.size_out if isinstance(item, sw.Node) else item.dimensions
