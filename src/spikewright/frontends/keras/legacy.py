"""Keras 2's descriptions of models in HDF5 files, converted to those that Keras 3 accepts.

Keras 2 wrote `x * 2` as a layer of the class TFOpLambda with the function `math.multiply`, called
with `["x", 0, 0, {"y": 2}]`. Keras 3 has an operation for it, `keras.ops.multiply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

_NUMPY, _NN, _CORE, _MATH = (f"keras.src.ops.{part}" for part in ("numpy", "nn", "core", "math"))


class _Operation(NamedTuple):
    """An operation of Keras 3, and where the arguments of the TensorFlow function go.

    `call` names those that the operation is called with after the first, `options` those that it
    is made with, as {TensorFlow's name: Keras's}; `constants` are TensorFlow's defaults for these
    where Keras has others.
    """

    module: str
    name: str
    call: tuple[str, ...] = ()
    options: Mapping[str, str] = {}
    constants: Mapping[str, Any] = {}


_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_OPERATIONS: Mapping[str, _Operation] = {
    "__operators__.add": _Operation(_NUMPY, "Add", ("y",)),
    "math.add": _Operation(_NUMPY, "Add", ("y",)),
    "math.subtract": _Operation(_NUMPY, "Subtract", ("y",)),
    "math.multiply": _Operation(_NUMPY, "Multiply", ("y",)),
    "math.divide": _Operation(_NUMPY, "Divide", ("y",)),
    "math.truediv": _Operation(_NUMPY, "Divide", ("y",)),
    "math.maximum": _Operation(_NUMPY, "Maximum", ("y",)),
    "math.minimum": _Operation(_NUMPY, "Minimum", ("y",)),
    "math.pow": _Operation(_NUMPY, "Power", ("y",)),
    "linalg.matmul": _Operation(_NUMPY, "Matmul", ("b",)),
    "math.negative": _Operation(_NUMPY, "Negative"),
    "math.square": _Operation(_NUMPY, "Square"),
    "math.sqrt": _Operation(_NUMPY, "Sqrt"),
    "math.rsqrt": _Operation(_MATH, "Rsqrt"),
    "math.exp": _Operation(_NUMPY, "Exp"),
    "math.log": _Operation(_NUMPY, "Log"),
    "math.abs": _Operation(_NUMPY, "Absolute"),
    "math.tanh": _Operation(_NUMPY, "Tanh"),
    "nn.tanh": _Operation(_NUMPY, "Tanh"),
    "math.sigmoid": _Operation(_NN, "Sigmoid"),
    "nn.sigmoid": _Operation(_NN, "Sigmoid"),
    "nn.relu": _Operation(_NN, "Relu"),
    "nn.relu6": _Operation(_NN, "Relu6"),
    "nn.elu": _Operation(_NN, "Elu"),
    "nn.selu": _Operation(_NN, "Selu"),
    "nn.softplus": _Operation(_NN, "Softplus"),
    "math.softplus": _Operation(_NN, "Softplus"),
    "nn.leaky_relu": _Operation(
        _NN, "LeakyRelu", options={"alpha": "negative_slope"}, constants={"negative_slope": 0.2}
    ),
    "nn.gelu": _Operation(
        _NN, "Gelu", options={"approximate": "approximate"}, constants={"approximate": False}
    ),
    "nn.silu": _Operation(_NN, "Silu"),
    "nn.swish": _Operation(_NN, "Silu"),
    "nn.softmax": _Operation(_NN, "Softmax", options={"axis": "axis"}),
    "math.reduce_mean": _Operation(_NUMPY, "Mean", options=_REDUCED),
    "math.reduce_sum": _Operation(_NUMPY, "Sum", options=_REDUCED),
    "math.reduce_max": _Operation(_NUMPY, "Max", options=_REDUCED),
    "math.reduce_min": _Operation(_NUMPY, "Min", options=_REDUCED),
    "reshape": _Operation(_NUMPY, "Reshape", options={"shape": "newshape"}),
    "transpose": _Operation(_NUMPY, "Transpose", options={"perm": "axes"}),
    "compat.v1.transpose": _Operation(_NUMPY, "Transpose", options={"perm": "axes"}),
    "expand_dims": _Operation(_NUMPY, "ExpandDims", options={"axis": "axis"}),
    "squeeze": _Operation(_NUMPY, "Squeeze", options={"axis": "axis"}),
    "compat.v1.squeeze": _Operation(_NUMPY, "Squeeze", options={"axis": "axis"}),
    "concat": _Operation(_NUMPY, "Concatenate", options={"axis": "axis"}),
    "stack": _Operation(_NUMPY, "Stack", options={"axis": "axis"}),
    "clip_by_value": _Operation(
        _NUMPY, "Clip", options={"clip_value_min": "x_min", "clip_value_max": "x_max"}
    ),
    "cast": _Operation(_CORE, "Cast", options={"dtype": "dtype"}),
    "stop_gradient": _Operation(_CORE, "StopGradient"),
    "identity": _Operation(_NUMPY, "Copy"),
}
"""By the name of TensorFlow's function. Others stay as they are and are refused by name."""


def rewrite_calls(layer: dict[str, Any]) -> None:
    """Write a layer of a functional model, and its calls, as Keras 3 does, where it must be."""
    calls = [_split(call) for call in layer.get("inbound_nodes") or () if call]
    function = str(layer["config"].get("function"))
    if layer["class_name"] == "TFOpLambda" and function in _OPERATIONS and len(calls) == 1:
        _as_operation(layer, _OPERATIONS[function], *calls[0])
    elif any(_is_tensor(value) for _, kwargs in calls for value in kwargs.values()):
        layer["inbound_nodes"] = [_call([_first(given)], kwargs) for given, kwargs in calls]


def _split(call: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The tensors that a call begins with, and its other arguments."""
    given = [call] if isinstance(call[0], str) else call
    kwargs = given[0][3] if len(given[0]) > 3 else {}
    return [one[:3] for one in given], {k: v for k, v in kwargs.items() if v is not None}


def _as_operation(
    layer: dict[str, Any],
    operation: _Operation,
    given: list[Any],
    kwargs: dict[str, Any],
) -> None:
    known = {"name", *operation.call, *operation.options}
    if any(value for name, value in kwargs.items() if name not in known):
        return  # an argument that the operation has not, such as transpose_b
    options = dict(operation.constants)
    for theirs, ours in operation.options.items():
        if theirs in kwargs:
            options[ours] = kwargs[theirs]
    layer.update(
        module=operation.module,
        class_name=operation.name,
        registered_name=operation.name,
        config={"name": layer["config"]["name"], **options},
    )
    args = [_first(given), *(_value(kwargs[name]) for name in operation.call if name in kwargs)]
    layer["inbound_nodes"] = [_call(args, {})]


def _first(given: list[Any]) -> Any:
    """The first argument: a tensor, a list of them, or a constant."""
    values = [_value(one[2]) if one[0] == "_CONSTANT_VALUE" else _value(one) for one in given]
    return values if len(values) > 1 else values[0]


def _call(args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"args": args, "kwargs": {name: _value(value) for name, value in kwargs.items()}}


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and all(isinstance(n, int) for n in value[1:3])
    )


def _value(value: Any) -> Any:
    """A tensor or a constant as Keras 3 writes it. The shape is not looked at: the name counts."""
    if _is_tensor(value):
        config = {"shape": [None], "dtype": "float32", "keras_history": value[:3]}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(value, list):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return value


_UNKNOWN: dict[str, tuple[str, ...]] = {
    "BatchNormalization": (
        "fused", "renorm", "renorm_clipping", "renorm_momentum", "virtual_batch_size",
    ),
    **dict.fromkeys((f"Conv{rank}DTranspose" for rank in (1, 2, 3)), ("groups",)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), ("groups",)),
    **dict.fromkeys(
        ("SeparableConv1D", "SeparableConv2D"),
        ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    ),
    **dict.fromkeys((f"SpatialDropout{rank}D" for rank in (1, 2, 3)), ("noise_shape", "trainable")),
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape"),
}  # fmt: skip
"""Arguments that Keras 2 stored without a use for them at inference: `groups` is 1, kernels have
other names, shapes are those of the inputs."""


def repaired(description: Any) -> Any:
    """A copy of a model's description that Keras 3 builds.

    The differences: arguments that Keras 3 lacks; dtype policies written as objects; layers of a
    model nested in a Sequential one, written as in the later format but with the arguments of the
    earlier; layers in other layers, without their module; the count of a nested model's calls,
    which in Keras 2 begins after a call of its own; TensorFlow functions in the place of layers;
    and tensors given by name, as attention's are.
    """
    result = deepcopy(description)
    for layer in _layers(result):
        if str(layer.get("module")).split(".")[0] == "keras":
            for key in ("module", "registered_name", "build_config"):
                layer.pop(key, None)  # without them Keras takes its path for the earlier format
        config = layer["config"]
        for argument in _UNKNOWN.get(layer["class_name"], ()):
            config.pop(argument, None)
        policy = config.get("dtype")
        if isinstance(policy, dict) and policy.get("class_name") == "Policy":
            config["dtype"] = policy["config"]["name"]
        _rename(layer, config)
        if layer["class_name"] in ("Functional", "Model"):
            _recount(config)
    for layer in list(_layers(result)):  # all are in the earlier format now
        rewrite_calls(layer)
        inner = layer["config"].get("layer")
        if isinstance(inner, dict):  # in a wrapper Keras 3 asks for the module
            models = ("Functional", "Model", "Sequential")
            inner["module"] = "keras" if inner["class_name"] in models else "keras.layers"
    return result


def _rename(layer: dict[str, Any], config: dict[str, Any]) -> None:
    """Change settings that Keras 3 names otherwise, or mistakes for something else."""
    if layer["class_name"] == "ThresholdedReLU" and "theta" in config:
        layer["class_name"] = "ReLU"
        config["threshold"] = config.pop("theta")
    if layer["class_name"] == "Attention" and config.get("score_mode") == "dot":
        del config["score_mode"]  # the default, and to Keras 3 the name of a function


def _layers(entry: Any) -> Iterator[dict[str, Any]]:
    """A layer and all layers inside it that a dict describes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return
    yield entry
    for layer in entry["config"].get("layers") or ():
        yield from _layers(layer)
    yield from _layers(entry["config"].get("layer"))


def _recount(config: dict[str, Any]) -> None:
    """Count the calls of nested models from 0, as Keras 3 does."""
    inbound = list(_references([layer.get("inbound_nodes") for layer in config["layers"]]))
    outputs = list(_references(config.get("output_layers")))
    for layer in config["layers"]:
        if layer["class_name"] in ("Functional", "Model"):
            uses = inbound  # for its use as an output Keras 3 does the same itself
        elif layer["class_name"] == "Sequential":
            uses = inbound + outputs
        else:
            continue
        for use in uses:
            if use[0] == layer["name"] and use[1] > 0:
                use[1] -= 1


def _references(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value
            value = value[3:]  # further tensors hide in the call's keyword arguments
        for item in value:
            yield from _references(item)
