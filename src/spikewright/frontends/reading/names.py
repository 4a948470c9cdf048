"""The names that frameworks give to functions of one value, beside those of their equations.

A new activation is two files: its equation in `_base/equations/curves.py`, and its row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Framework = Literal["keras", "pytorch", "onnx"]


@dataclass(frozen=True)
class Names:
    """Names of a function: operations of Keras, `aten` operators, and ONNX operators.

    Several names in one framework are separated by spaces; it has none where the name is empty.
    `keras_functions` are functions of Keras that are no operation of that name, `keras_layers` are
    layers and operations in other capitals. `parameters` has the names of every parameter in the
    three frameworks, for ONNX with the default there, as in `alpha=0.01`.
    """

    keras: str = ""
    pytorch: str = ""
    onnx: str = ""
    keras_functions: str = ""
    keras_layers: str = ""
    parameters: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


FUNCTIONS: Mapping[str, Names] = MappingProxyType(
    {
        "linear": Names(keras_functions="linear"),
        "relu": Names("relu", "relu", "Relu", keras_layers="ReLU ops.ReLU"),
        "relu6": Names("relu6", "relu6"),
        "leaky_relu": Names(
            "leaky_relu",
            "leaky_relu",
            "LeakyRelu",
            keras_layers="LeakyReLU",
            parameters={"negative_slope": ("negative_slope", "negative_slope", "alpha=0.01")},
        ),
        "clip": Names("hard_tanh"),
        "hard_sigmoid": Names(
            "hard_sigmoid",
            "hardsigmoid",
            "HardSigmoid",
            parameters={"slope": ("", "", "alpha=0.2"), "offset": ("", "", "beta=0.5")},
        ),
        "sparse_sigmoid": Names("sparse_sigmoid"),
        "abs": Names("absolute", "abs", "Abs", "abs"),
        "negative": Names("negative", "neg negative", "Neg"),
        "threshold": Names(
            "threshold",
            "threshold",
            "ThresholdedRelu",
            parameters={
                "threshold": ("threshold", "threshold", "alpha=1.0"),
                "value": ("default_value", "value", ""),
            },
        ),
        "hardshrink": Names(
            "hard_shrink", "hardshrink", parameters={"threshold": ("threshold", "lambd", "")}
        ),
        "softshrink": Names(
            "soft_shrink", "softshrink", parameters={"threshold": ("threshold", "lambd", "")}
        ),
        "sigmoid": Names("sigmoid", "sigmoid special_expit", "Sigmoid"),
        "tanh": Names("tanh", "tanh", "Tanh"),
        "softsign": Names("softsign", "", "Softsign"),
        "softplus": Names("softplus", "", "Softplus"),
        "log_sigmoid": Names("log_sigmoid", "log_sigmoid"),
        "tanhshrink": Names("tanh_shrink"),
        "erf": Names("erf", "erf special_erf", "Erf"),
        "atan": Names("arctan", "atan", "Atan"),
        "silu": Names("silu", "silu", "Swish", "swish", parameters={"beta": ("", "", "alpha=1.0")}),
        "gelu": Names("gelu"),
        "hard_swish": Names("hard_silu", "hardswish", "HardSwish", "hard_swish"),
        "mish": Names("", "mish", "Mish", "mish"),
        "elu": Names(
            "elu", "", "Elu", keras_layers="ELU", parameters={"alpha": ("alpha", "", "alpha=1.0")}
        ),
        "celu": Names("celu", "", "Celu", parameters={"alpha": ("alpha", "", "alpha=1.0")}),
        "selu": Names(
            "selu",
            "selu",
            "Selu",
            parameters={
                "alpha": ("", "", "alpha=1.67326319217681884765625"),
                "scale": ("", "", "gamma=1.05070102214813232"),
            },
        ),
        "squareplus": Names("squareplus", parameters={"b": ("b", "", "")}),
        "sparse_plus": Names("sparse_plus"),
        "exp": Names("exp", "exp", "Exp", "exponential"),
        "exp2": Names("exp2", "exp2"),
        "expm1": Names("expm1", "expm1"),
        "log": Names("log", "log", "Log"),
        "log1p": Names("log1p", "log1p"),
        "log2": Names("log2", "log2"),
        "log10": Names("log10", "log10"),
        "sqrt": Names("sqrt", "sqrt", "Sqrt"),
        "rsqrt": Names("rsqrt", "rsqrt"),
        "square": Names("square", "square"),
        "reciprocal": Names("reciprocal", "reciprocal", "Reciprocal"),
        "sin": Names("sin", "sin", "Sin"),
        "cos": Names("cos", "cos", "Cos"),
    }
)
"""Names by equation: rows of what is the equation itself, however its parameters are given.

Functions that a framework has with settings of its own (Keras's `relu`, `gelu` with its
approximation, PyTorch's `softplus`) are read beside the others of that framework.
"""


@dataclass(frozen=True)
class NamedFunction:
    """A framework's name for a function: that of the equation, and where its parameters come from.

    `parameters` has, by the name in the equation, the one in the framework and the default there.
    """

    function: str
    parameters: Mapping[str, tuple[str, float | None]]

    def values(self, given: Mapping[str, object]) -> dict[str, float]:
        """The parameters by their names in the equation, from those that the framework has."""
        return {
            ours: float(given.get(theirs, default))  # type: ignore[arg-type]
            for ours, (theirs, default) in self.parameters.items()
        }


def names_in(framework: Framework) -> dict[str, NamedFunction]:
    """Every function of a framework, by its name there."""
    column = ("keras", "pytorch", "onnx").index(framework)
    found = {}
    for function, names in FUNCTIONS.items():
        parameters = {}
        for ours, row in names.parameters.items():
            theirs, _, default = row[column].partition("=")
            if theirs:
                parameters[ours] = (theirs, float(default) if default else None)
        more = names.keras_functions.split() if framework == "keras" else []
        for name in [*getattr(names, framework).split(), *more]:
            found[name] = NamedFunction(function, parameters)
    return found


def keras_kinds() -> dict[str, str]:
    """The function of each of Keras's layers and operations (`ops.HardTanh`), by its name there."""
    kinds = {}
    for names in FUNCTIONS.values():
        if names.keras:
            words = names.keras.split("_")
            kinds[f"ops.{''.join(word.capitalize() for word in words)}"] = names.keras
        kinds.update(dict.fromkeys(names.keras_layers.split(), names.keras))
    return kinds
