"""The weights of a Keras model, given to the same model of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_COUNTERS = ("seed_generator_state", "num_batches_tracked")


def copy_weights(model: Any, module: nn.Module) -> None:
    """Give the layers of a module the weights of the model's, which has them in the same order."""
    parts = _parts(module)
    for layer in _layers(model):
        for values in _values(layer):
            part = next(parts)
            given = part.state_dict()
            taken = [name for name in given if not name.endswith(_COUNTERS)]
            assert set(taken) == set(values), (layer.name, taken, set(values))
            for name, value in values.items():
                assert given[name].shape == value.shape, (layer.name, name, value.shape)
                given[name].copy_(torch.from_numpy(np.array(value, order="C")))
    assert next(parts, None) is None


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Modules that have weights themselves, in order; attention is one."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    if own or isinstance(module, nn.MultiheadAttention):
        yield module
        return
    for child in module.children():
        yield from _parts(child)


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers") and type(layer).__name__ not in _RULES:
            yield from _layers(layer)
        elif layer.weights and type(layer).__name__ != "Dropout":
            yield layer


def _values(layer: Any) -> list[dict[str, NDArray]]:
    """The weights of each of PyTorch's modules that a layer of Keras is."""
    return _RULES[type(layer).__name__](layer)


def _array(variable: Any) -> NDArray:
    found: NDArray = variable.value.detach().cpu().numpy()
    return found


def _named(**values: Any) -> list[dict[str, NDArray]]:
    """One module's weights; those that a layer lacks are left out."""
    return [
        {
            n: v if isinstance(v, np.ndarray) else _array(v)
            for n, v in values.items()
            if v is not None
        }
    ]


def _dense(layer: Any) -> list[dict[str, NDArray]]:
    return _named(weight=_array(layer.kernel).T, bias=layer.bias)


def _channels_first(kernel: NDArray) -> NDArray:
    """`(*size, a, b)` to `(b, a, *size)`."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _convolution(layer: Any) -> list[dict[str, NDArray]]:
    return _named(weight=_channels_first(_array(layer.kernel)), bias=layer.bias)


def _each_channel(kernel: NDArray) -> NDArray:
    """`(*size, in, multiplier)` to `(in x multiplier, 1, *size)`."""
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


def _depthwise(layer: Any) -> list[dict[str, NDArray]]:
    return _named(weight=_each_channel(_array(layer.kernel)), bias=layer.bias)


def _separable(layer: Any) -> list[dict[str, NDArray]]:
    first = _named(weight=_each_channel(_array(layer.depthwise_kernel)))
    return first + _named(weight=_channels_first(_array(layer.pointwise_kernel)), bias=layer.bias)


def _batch_norm(layer: Any) -> list[dict[str, NDArray]]:
    return _named(
        weight=layer.gamma, bias=layer.beta,
        running_mean=layer.moving_mean, running_var=layer.moving_variance,
    )  # fmt: skip


def _recurrent(layer: Any) -> list[dict[str, NDArray]]:
    cell = layer.cell
    order = {"LSTMCell": (0, 1, 2, 3), "GRUCell": (1, 0, 2)}.get(type(cell).__name__, (0,))

    def gates(weight: NDArray) -> NDArray:
        """Gates in PyTorch's order, `(gates x units, ...)`."""
        parts = np.split(weight, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1).T

    bias = _array(cell.bias)
    given, back = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return _named(
        weight_ih_l0=gates(_array(cell.kernel)), bias_ih_l0=gates(given),
        weight_hh_l0=gates(_array(cell.recurrent_kernel)), bias_hh_l0=gates(back),
    )  # fmt: skip


def _both_ways(layer: Any) -> list[dict[str, NDArray]]:
    (there,), (back,) = _recurrent(layer.forward_layer), _recurrent(layer.backward_layer)
    return [{**there, **{f"{name}_reverse": value for name, value in back.items()}}]


def _attention(layer: Any) -> list[dict[str, NDArray]]:
    """Projections `(width, heads, size)`, one below the other."""
    parts = (layer.query_dense, layer.key_dense, layer.value_dense)
    kernels = [_array(part.kernel) for part in parts]
    out = _array(layer.output_dense.kernel)
    return [
        {
            "in_proj_weight": np.concatenate([k.reshape(len(k), -1).T for k in kernels]),
            "in_proj_bias": np.concatenate([_array(part.bias).ravel() for part in parts]),
            "out_proj.weight": out.reshape(-1, out.shape[-1]).T,
            "out_proj.bias": _array(layer.output_dense.bias),
        }
    ]


_RULES: Mapping[str, Callable[[Any], list[dict[str, NDArray]]]] = {
    "RoundedReLU": lambda layer: _named(threshold=layer.threshold),
    "Dense": _dense,
    "EinsumDense": _dense,
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose"), _convolution
    ),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": lambda layer: _named(weight=layer.gamma, bias=layer.beta),
    "GroupNormalization": lambda layer: _named(weight=layer.gamma, bias=layer.beta),
    "RMSNormalization": lambda layer: _named(weight=layer.scale),
    "PReLU": lambda layer: _named(weight=_array(layer.alpha).ravel()),
    "Embedding": lambda layer: _named(weight=layer.embeddings),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), _recurrent),
    "Bidirectional": _both_ways,
    "TimeDistributed": lambda layer: _values(layer.layer),
    "MultiHeadAttention": _attention,
}
