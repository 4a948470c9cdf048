"""Folds batch normalisation into the weights beside it."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.graph import CANONICAL, IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.layers import BatchNormalization
from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.draft import Draft, absorb_into_consumers, absorb_into_producer


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Replaces every `BatchNormalization`, by the first of these rules that applies.

    1. The layer before it is `Affine`, `Convolution` or `ConvolutionTranspose` with its channels on
       the same axis, and nothing else sees that layer's value: its weights and bias take the
       normalisation in. The node is named after the normalisation, whose value it has.
    2. Every layer after it is `Affine` or `Convolution` with its channels on the same axis, and
       nothing else sees the normalised value: their weights and biases take it in. A shift cannot
       pass zero padding; where one would have to, rule 3 applies to the whole. So it does where
       an input's features are of different units: their scales lie more than 16 times apart.
    3. It becomes a `ScaleShift` of the same values.

    Exact, in float64: outputs stay within 1e-9 of the largest magnitude along the way.
    Folding: Jacob et al. 2018, Quantization and Training of Neural Networks, section 3.2;
    Rueckauer et al. 2017, Front. Neurosci. 11:682.
    """

    name = "fold batch norm"
    requires = IDENTITY_FREE
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft = Draft(graph)
        notes = [
            _replace(draft, node, node.layer)
            for node in draft
            if isinstance(node.layer, BatchNormalization)
        ]
        return PassResult(draft.finish(), tuple(notes))


def _replace(draft: Draft, node: GraphNode, layer: BatchNormalization) -> Note:
    note = absorb_into_producer(draft, node) or absorb_into_consumers(draft, node)
    if note is None:
        draft.set_layer(node.name, layer.as_scale_shift(len(draft.shape(node.name))))
        note = Note(node.name, "became a scale and shift: no weights beside it can take it in")
    return note
