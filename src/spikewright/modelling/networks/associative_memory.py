"""Recall of vectors by similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks.arrays import (
    EnsembleArray,
    ThresholdingEnsembles,
    free_name,
    vectors,
)
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.pointwise import SmoothStep
from spikewright.network.shapes import above_zero, count, finite

_UTILITY = SmoothStep(0.0, 1 / 15)  # of what an item is similar by, above its threshold
_STEP_POINTS = 5000  # evaluation points of a step, which is steep
_INHIBITION = -1.5  # of what `inhibit` silences: more than a similarity or a bias of 1


class _AssociativeMemory(Network):
    """What associative memories share: items with utilities, input and output mappings.

    `_add_items` makes the ensembles, `elem_input`, `elem_output` and what `inhibit` reaches.
    """

    elem_input: Node
    elem_output: Node
    _default_threshold = 0.5
    """The threshold of the ensemble that sends a default vector, whose bias is 1."""

    def __init__(
        self,
        input_vectors: ArrayLike,
        output_vectors: ArrayLike | None = None,
        n_neurons: int = 50,
        threshold: ArrayLike = 0.3,
        input_scales: ArrayLike = 1.0,
        inhibitable: bool = False,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        given = vectors(input_vectors, f"{self!r}: input_vectors")
        self.n_items = len(given)
        n = count(n_neurons, f"{self!r}: n_neurons")
        thresholds = self._one_each("threshold", threshold)
        self._name = "memory" if label is None else label
        self.inhibit: Node | None = None
        with self:
            if inhibitable:
                self.inhibit = Node(size_in=1, label=f"inhibit of {self._name}")
            self._add_items(n, thresholds)
            self.utilities = self.elem_output
            self.activations = Node(size_in=self.n_items, label=f"activations of {self._name}")
            self._direct: Connection | None = Connection(self.utilities, self.activations, None)
        self.default: Ensemble | None = None
        self.input = self.add_input_mapping("input", given, input_scales)
        self.output = self.add_output_mapping(
            "output", given if output_vectors is None else output_vectors
        )

    def _add_items(self, n: int, thresholds: NDArray) -> None:
        """Make an ensemble of `n` neurons for each item."""
        raise NotImplementedError

    def _silenced(self, end: Node | Ensemble, size: int) -> None:
        """Let `inhibit`, if there is one, take more from each value of `end` than a bias gives."""
        if self.inhibit is not None:
            weights = np.full((size, 1), _INHIBITION)
            Connection(self.inhibit, end, None, transform=weights)

    def _one_each(self, name: str, value: ArrayLike) -> NDArray:
        """Finite numbers, one for each pair."""
        meant = f"one number, or one for each of {self.n_items} pairs"
        found = finite(value, f"{self!r}: {name}", meant)
        if found.shape not in ((), (1,), (self.n_items,)):
            raise NetworkError(f"{self!r}: {name} must be {meant}, got {value!r}")
        return np.broadcast_to(found, (self.n_items,))

    def _pairs(self, name: str, value: ArrayLike) -> NDArray:
        """Vectors, one for each pair."""
        found = vectors(value, f"{self!r}: {name}")
        if len(found) != self.n_items:
            raise NetworkError(
                f"{self!r}: {name} must be one for each of {self.n_items} pairs, got {len(found)}"
            )
        return found

    def _add(self, name: str, size: int) -> Node:
        """A new node as an attribute."""
        free_name(self, name, "a mapping")
        with self:
            node = Node(size_in=size, label=f"{name} of {self._name}")
        setattr(self, name, node)
        return node

    def add_input_mapping(
        self, name: str, input_vectors: ArrayLike, input_scales: ArrayLike = 1.0
    ) -> Node:
        """A further input, `self.<name>`, with input vectors of its own, `(pairs, d)`."""
        given = self._pairs("input_vectors", input_vectors)
        scaled = given * self._one_each("input_scales", input_scales)[:, None]
        node = self._add(name, given.shape[1])
        with self:
            Connection(node, self.elem_input, None, transform=scaled)
        return node

    def add_output_mapping(self, name: str, output_vectors: ArrayLike) -> Node:
        """A further output, `self.<name>`, with output vectors of its own, `(pairs, d)`."""
        given = self._pairs("output_vectors", output_vectors)
        node = self._add(name, given.shape[1])
        with self:
            Connection(self.activations, node, None, transform=given.T)
        return node

    def add_threshold_to_outputs(self, n_neurons: int = 50, inhibit_scale: float = 10.0) -> None:
        """Make activations 1 for every pair above its threshold, and 0 for all others.

        Two arrays, each driven by a bias of 1: utilities silence the first, which silences the
        second. `inhibit_scale` is the strength: utilities count from `1 / inhibit_scale`.
        """
        n = count(n_neurons, f"{self!r}: n_neurons")
        scale = above_zero(inhibit_scale, f"{self!r}: inhibit_scale")
        if self._direct is None:
            raise NetworkError(f"{self!r}: its outputs have a threshold already")
        self.connections.remove(self._direct)
        self._direct = None
        half = np.full(self.n_items, 0.5)
        with self:
            silent = _thresholding(n, half, f"silence of {self._name}")
            loud = _thresholding(n, half, f"threshold of {self._name}")
            bias = Node(np.ones(self.n_items), label=f"bias of {self._name}")
            for array in (silent, loud):
                Connection(bias, array.input, None)
            Connection(self.utilities, silent.input, 0.005, transform=-scale)
            Connection(silent.output, loud.input, 0.005, transform=-scale)
            self._silenced(loud.input, self.n_items)
            Connection(loud.output, self.activations, None)
        self.thresholded_utilities = loud.output

    def add_wta_network(self, inhibit_scale: float = 1.5, inhibit_synapse: Any = 0.005) -> None:
        """Let pairs inhibit each other, so that the most similar one wins."""
        scale = above_zero(inhibit_scale, f"{self!r}: inhibit_scale")
        if inhibit_synapse is None:
            raise NetworkError(f"{self!r}: inhibit_synapse must be a synapse: it closes a loop")
        others = scale * (np.eye(self.n_items) - 1.0)
        with self:
            Connection(self.elem_output, self.elem_input, inhibit_synapse, transform=others)

    def add_default_output_vector(
        self,
        output_vector: ArrayLike,
        output_name: str = "output",
        n_neurons: int = 50,
        min_activation_value: float = 0.5,
    ) -> None:
        """Add an output vector for inputs that recall no other.

        It is sent while the activations sum to less than about `min_activation_value`.
        """
        n = count(n_neurons, f"{self!r}: n_neurons")
        least = above_zero(min_activation_value, f"{self!r}: min_activation_value")
        node = getattr(self, output_name, None)
        if not isinstance(node, Node) or self.default is not None:
            reason = "has a default already" if self.default else f"has no output {output_name!r}"
            raise NetworkError(f"{self!r} {reason}")
        vector = vectors(np.atleast_2d(np.asarray(output_vector)), f"{self!r}: output_vector")
        if vector.shape != (1, node.size_in):
            raise NetworkError(
                f"{self!r}: output_vector must be {node.size_in} values, got {vector.size}"
            )
        with self:
            with ThresholdingEnsembles(self._default_threshold):
                self.default = Ensemble(n, 1, label=f"default of {self._name}")
            bias = Node([1.0], label=f"bias of default of {self._name}")
            Connection(bias, self.default, None)
            inhibit = np.full((1, self.n_items), -1.0 / least)
            Connection(self.activations, self.default, 0.005, transform=inhibit)
            self._silenced(self.default, 1)
            Connection(self.default, node, None, transform=vector.T)


class AssociativeMemory(_AssociativeMemory):
    """Recalls the output vector of each input vector that the input is similar to, in full length.

    One small ensemble for each pair: its input is the dot product of `input` with its input vector,
    times `input_scales`, and its utility is 0 up to `threshold` and 1 from some .25 above it on.
    Between, a smooth step, `1 - exp(-15 x)` of the excess, is decoded. Utilities scale the output
    vectors at `output` (None: the input vectors, so that the memory cleans up). `input_vectors` are
    `(pairs, d)`, `output_vectors` `(pairs, d_out)`; `input_scales` and `threshold` one number or
    one for each pair. `inhibitable` adds a node `inhibit`, where an input of 1 silences the memory.
    So it is Nengo's network of that name; `ThresholdingAssociativeMemory` recalls a vector as long
    as it is similar.

    Further inputs, outputs and properties are added by methods. `elem_input` is the node of all
    similarities, `elem_output` (`utilities`) of all utilities, `activations` the node that scales
    the outputs. Raises `NetworkError` naming the memory.
    """

    _default_threshold = 0.0

    def _add_items(self, n: int, thresholds: NDArray) -> None:
        self.elem_input = Node(size_in=self.n_items, label=f"elements in {self._name}")
        self.elem_output = Node(size_in=self.n_items, label=f"elements out of {self._name}")
        self.bias_node = Node(-thresholds, label=f"thresholds of {self._name}")
        self.am_ensembles = []
        for i in range(self.n_items):
            with ThresholdingEnsembles(0.0):
                item = Ensemble(n, 1, n_eval_points=_STEP_POINTS, label=f"{self._name}[{i}]")
            self.am_ensembles.append(item)
            Connection(self.bias_node[i], item, None)
            Connection(self.elem_input[i], item, None)
            Connection(item, self.elem_output[i], None, function=_UTILITY)
        self._silenced(self.elem_input, self.n_items)


class ThresholdingAssociativeMemory(_AssociativeMemory):
    """Recalls the output vector of each similar input vector, as long as they are similar.

    One small ensemble for each pair: its input is the dot product of `input` with its input vector,
    times `input_scales`, and it is silent below `threshold`. The value that it represents, its
    utility, scales its output vector at `output`. Arguments, methods and nodes are those of
    `AssociativeMemory`; `ensembles_of_items` is the array of all ensembles. Raises `NetworkError`
    naming the memory.
    """

    def _add_items(self, n: int, thresholds: NDArray) -> None:
        array = _thresholding(n, thresholds, self._name)
        self.ensembles_of_items = array
        self.elem_input, self.elem_output = array.input, array.output
        if self.inhibit is not None:
            array.silenced_by(self.inhibit)


def _thresholding(n: int, thresholds: NDArray, label: str) -> EnsembleArray:
    """An array with a threshold for each ensemble."""
    with ThresholdingEnsembles(float(thresholds[0])):
        array = EnsembleArray(n, len(thresholds), label=label)
    for ensemble, threshold in zip(array.ea_ensembles, thresholds, strict=True):
        own = ThresholdingEnsembles(float(threshold))[Ensemble]
        ensemble.intercepts, ensemble.eval_points = own.intercepts, own.eval_points
    return array
