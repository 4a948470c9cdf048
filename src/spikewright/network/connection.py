"""Connections: linear maps between objects, filtered in time."""

from __future__ import annotations

from typing import Any

from spikewright.errors import NetworkError
from spikewright.network.ensemble import Ensemble, Neurons
from spikewright.network.network import container
from spikewright.network.node import Node
from spikewright.network.synapses import Lowpass, Synapse, as_synapse
from spikewright.network.transforms import Shape, Transform, as_transform, flatten
from spikewright.network.view import ObjView

_DEFAULT_SYNAPSE = Lowpass(0.005)
End = Node | Neurons | ObjView


class Connection:
    """A linear map from one object's output to another's input, filtered in time.

    `pre` and `post` are nodes, an ensemble's `.neurons`, or parts of them. `transform` is None (the
    values as they are), a number or vector (elementwise), a matrix, or a `Transform`. `synapse` is
    None (no filter and no delay), seconds (`Lowpass`) or a `Synapse`, which also delays by one
    step; it defaults to `Lowpass(0.005)`. Both are attributes that may be changed.

    Raises `NetworkError` where the transform's shapes do not fit `pre` and `post`.
    """

    def __init__(
        self,
        pre: End,
        post: End,
        synapse: Any = _DEFAULT_SYNAPSE,
        transform: Any = None,
        label: str | None = None,
    ) -> None:
        self.label = label
        self.pre = self._checked(pre, "pre")
        self.post = self._checked(post, "post")
        self.transform = transform
        self.synapse = synapse
        container("Connection").connections.append(self)

    @property
    def transform(self) -> Transform | None:
        """The linear map; one that does not fit `pre` and `post` is an error."""
        return self._transform

    @transform.setter
    def transform(self, value: Any) -> None:
        transform = as_transform(value, f"{self!r}")
        self._check_shapes(transform)
        self._transform = transform

    @property
    def synapse(self) -> Synapse | None:
        """The filter, or None; a number means `Lowpass`."""
        return self._synapse

    @synapse.setter
    def synapse(self, value: Any) -> None:
        self._synapse = as_synapse(value, f"{self!r}")

    def _checked(self, end: Any, which: str) -> End:
        if isinstance(end, Ensemble):
            raise NetworkError(
                f"{which} = {end!r}: connect to its neurons, {which} = ensemble.neurons; "
                "represented values are not supported yet"
            )
        if not isinstance(end, Node | Neurons | ObjView):
            raise NetworkError(f"{which} must be a Node or an ensemble's neurons, got {end!r}")
        return end

    @property
    def pre_obj(self) -> Node | Neurons:
        """The whole object that `pre` is (a part of)."""
        return self.pre.target if isinstance(self.pre, ObjView) else self.pre

    @property
    def post_obj(self) -> Node | Neurons:
        """The whole object that `post` is (a part of)."""
        return self.post.target if isinstance(self.post, ObjView) else self.post

    def _check_shapes(self, transform: Transform | None) -> None:
        shape = output_shape(self.pre_obj)
        for part in self._chain(transform):
            shape = part.output_shape(shape)
        wanted = input_shape(self.post_obj)
        if shape != wanted:
            raise NetworkError(
                f"{self!r}: its transform makes values of shape {shape}, {self.post_obj!r} takes "
                f"{wanted}; give a transform that fits"
            )

    def chain(self) -> tuple[Transform, ...]:
        """The maps that lead from the whole of `pre` to the whole of `post`, in order."""
        return self._chain(self.transform)

    def _chain(self, transform: Transform | None) -> tuple[Transform, ...]:
        maps: list[Transform] = []
        if isinstance(self.pre, ObjView):
            maps += flatten(self.pre.select(output_shape(self.pre.target)))
        maps += flatten(transform)
        if isinstance(self.post, ObjView):
            maps += flatten(self.post.place(input_shape(self.post.target))[1])
        return tuple(maps)

    def __repr__(self) -> str:
        if self.label:
            return f"<Connection {self.label!r}>"
        return f"<Connection from {getattr(self, 'pre', '?')!r} to {getattr(self, 'post', '?')!r}>"


def output_shape(item: Node | Neurons) -> Shape:
    """Shape of what an object sends."""
    return item.shape_out if isinstance(item, Node) else item.shape


def input_shape(item: Node | Neurons) -> Shape:
    """Shape of what an object receives."""
    return item.shape_in if isinstance(item, Node) else item.shape
