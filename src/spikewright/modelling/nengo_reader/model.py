"""A whole model: objects in the order in which they were made, network by network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import BuildError, ReadError
from spikewright.modelling.nengo_reader.components import Drawing, process_of
from spikewright.modelling.nengo_reader.connections import (
    Form,
    Sampled,
    make_connection,
    make_probe,
)
from spikewright.modelling.nengo_reader.kinds import Seeds, fresh_seed, is_a, name_of, seeds_of
from spikewright.modelling.nengo_reader.populations import (
    DrawnPopulation,
    UserNeurons,
    neuron_type_of,
    population,
)
from spikewright.network import Ensemble, Network, Node
from spikewright.network.config import no_defaults
from spikewright.network.learning.rule import by_key
from spikewright.network.processes import Process


class Objects(Mapping[Any, Any]):
    """The object that each object of the model was read as, by the model's own object.

    An ensemble's `.neurons` are the neurons, a connection's `.learning_rule` the rule. Raises
    `KeyError` for an object that the model does not hold.
    """

    def __init__(self) -> None:
        self._found: dict[Any, Any] = {}

    def __getitem__(self, theirs: Any) -> Any:
        if is_a(theirs, "Neurons"):
            return self._found[theirs.ensemble].neurons
        if is_a(theirs, "LearningRule"):
            connection = theirs.connection
            places = by_key(connection.learning_rule)
            ours = by_key(self._found[connection].learning_rule)
            return next(ours[key] for key, rule in places.items() if rule == theirs)
        return self._found[theirs]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class NengoNetwork(Network):
    """A `Network` read from Nengo's; `of[object]` is the object that one of the model became.

    `drawn[ensemble]` are an ensemble's parameters as arrays, `sampled[connection]` a connection's
    transform, `seeds[object]` the seeds that were drawn from. `forms[probe]` gives recordings the
    shape that they have in Nengo, where it is another one. `seed_processes` draws new initial
    values of processes.
    """

    def __init__(self, model: Any, seeds: Seeds) -> None:
        super().__init__(model.label)
        self.model, self.seeds = model, seeds
        self.of: Mapping[Any, Any] = Objects()
        self.drawn: dict[Any, DrawnPopulation] = {}
        self.sampled: dict[Any, Sampled] = {}
        self.forms: dict[Any, Form] = {}
        self._drawing = Drawing()

    def seed_processes(self, seed: int) -> None:
        """Give every process without a seed of its own the next one of a simulator's."""
        self._drawing.seed(seed)


def from_nengo(model: Any, built: Any = None, *, seed: int | None = None) -> NengoNetwork:
    """A `nengo.Network` as a `Network`, the same one that Nengo would build.

    Parameters are drawn from the model's seeds by the model's own distributions, as Nengo draws
    them, so that encoders, gains and weights are those that `nengo.Simulator(model)` has; `seed`
    stands in where the model has none. With `built`, a `nengo.Simulator` of this model, they are
    taken from it, decoders and initial voltages included. Nengo is not imported.

    The result's `.of[object]` is the object that one of the model became. Raises `ReadError` naming
    the object for a user's own neuron type, synapse, transform or learning rule without a step to
    call. Raises `BuildError` for parameters that no neuron can have.
    """
    if not is_a(model, "Network"):
        raise ReadError(f"from_nengo reads a nengo.Network, got {model!r}")
    found = NengoNetwork(model, _seeds(model, built, seed))
    with no_defaults():  # the model's own have done their work
        _ModelReader(found, built).read(model)
    found._drawing.follow(getattr(built, "step_order", ()))
    first = getattr(built, "seed", None)
    found.seed_processes(fresh_seed() if first is None else int(first))
    return found


def _seeds(model: Any, built: Any, seed: int | None) -> Seeds:
    known = getattr(getattr(built, "model", None), "seeds", None)
    if known is not None and model in known:
        return seeds_of(model, int(known[model]))
    own = model.seed if model.seed is not None else seed
    return seeds_of(model, fresh_seed() if own is None else int(own))


def _constant(node: Any, output: Any) -> NDArray:
    try:
        return np.array(output, np.float64)
    except (TypeError, ValueError):
        raise BuildError(
            f"{name_of(node)}: Invalid node output type {type(output).__name__}; give it an array, "
            "a function or a process"
        ) from None


class _ModelReader:
    def __init__(self, found: NengoNetwork, built: Any) -> None:
        self.found, self.seeds, self.built = found, found.seeds, built
        self.places: list[tuple[Any, Network]] = []

    def read(self, model: Any) -> None:
        """Read objects with values first, so that connections find both of their ends."""
        self._walk(model, self.found)
        for theirs, ours in self.places:
            with ours:
                for node in theirs.nodes:
                    self._keep(node, self.node(node))
                for ensemble in theirs.ensembles:
                    self._keep(ensemble, self.ensemble(ensemble))
        for connection, ours in self._ordered():
            with ours:
                self.connection(connection)
        for theirs, ours in self.places:
            with ours:
                for probe in theirs.probes:
                    seed, sampled = self.seeds[probe], self.found.sampled
                    made, form = make_probe(probe, self.found.of, sampled, seed)
                    self._keep(probe, made)
                    if form is not None:
                        self.found.forms[probe] = form

    def _walk(self, model: Any, into: Network) -> None:
        self.places.append((model, into))
        self._keep(model, into)
        for inner in model.networks:
            with into:
                self._walk(inner, Network(inner.label))

    def _keep(self, theirs: Any, ours: Any) -> None:
        self.found.of._found[theirs] = ours  # type: ignore[attr-defined]

    def _ordered(self) -> Iterator[tuple[Any, Network]]:
        """Connections, those to learning rules after those that have the rules."""
        every = [(c, ours) for theirs, ours in self.places for c in theirs.connections]
        late = [is_a(c.post_obj, "LearningRule") for c, _ in every]
        for wanted in (False, True):
            yield from (pair for pair, at in zip(every, late, strict=True) if at is wanted)

    def process(self, theirs: Any, is_noise: bool = False) -> Process:
        """A process, which takes its seed when a simulator begins unless it has one."""
        ours = process_of(theirs, 0)
        self.found._drawing.add(theirs, ours, is_noise)
        return ours

    def node(self, theirs: Any) -> Node:
        """A node: a constant, a function, a process, or none of them."""
        output, size_in, size_out = theirs.output, int(theirs.size_in), int(theirs.size_out)
        if output is None and size_in == 0:
            return Node(lambda t: None, size_out=0, label=theirs.label)
        if output is None:
            return Node(size_in=size_in, label=theirs.label)
        if hasattr(output, "make_step"):
            output = self.process(output)
        elif not callable(output):
            return Node(_constant(theirs, output), label=theirs.label)
        return Node(output, size_in=size_in or None, size_out=size_out, label=theirs.label)

    def ensemble(self, theirs: Any) -> Ensemble:
        """An ensemble, its random parameters given as arrays."""
        made = population(theirs, self.seeds[theirs], self.built)
        self.found.drawn[theirs] = made
        kind = neuron_type_of(theirs, made)
        given: dict[str, Any] = {}
        if made.gain is not None:
            given = {"gain": made.gain, "bias": made.bias, "encoders": made.encoders}
            if theirs.noise is not None:
                given["noise"] = self.process(theirs.noise, is_noise=True)
            if not isinstance(kind, UserNeurons):
                kept = kind.state_names
                given["initial_state"] = {n: v for n, v in made.state.items() if n in kept}
        return Ensemble(
            int(theirs.n_neurons),
            int(theirs.dimensions),
            neuron_type=kind,
            radius=float(theirs.radius),
            eval_points=made.eval_points / theirs.radius,
            normalize_encoders=False,
            label=theirs.label,
            **given,
        )

    def connection(self, theirs: Any) -> None:
        """A connection between the objects that its ends became."""
        of = self.found.of
        ends: list[Any] = []
        for which in ("pre_obj", "post_obj"):
            end = getattr(theirs, which)
            try:
                ends.append(of[end])
            except KeyError:
                raise BuildError(
                    f"{name_of(theirs)}: its {which[:-4]} is {name_of(end)}, which is not "
                    "in the model; add the network that holds it"
                ) from None
        ours, sampled = make_connection(theirs, ends[0], ends[1], self.seeds[theirs], self.built)
        self._keep(theirs, ours)
        self.found.sampled[theirs] = sampled
