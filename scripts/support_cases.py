"""The readings that docs/support.md is made of: every operator with a reader, in the cases of the
front ends' own tests.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spikewright.errors import ReadError
from spikewright.graph import Graph

TESTS = Path(__file__).parents[1] / "tests" / "frontends"


class Reading(NamedTuple):
    """A graph in which an operator was read; its nodes have `kind` as their source's kind.

    Without a graph the case is one that is refused.
    """

    operator: str
    kind: str
    graph: Graph | None


def of_keras(names: set[str]) -> Iterator[Reading]:
    """Every layer and operation with each of its options."""
    _reach_tests()
    import keras_more_cases  # noqa: F401
    import keras_operation_cases  # noqa: F401
    import keras_recurrent_cases  # noqa: F401  (these register their cases)
    from keras.src.applications.convnext import LayerScale
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
    from keras_cases import CASES
    from keras_helpers import functional

    from spikewright.frontends.keras import read

    found = {  # these two are no layers of `keras.layers`
        **CASES,
        "LayerScale": [(LayerScale(0.1, 3), [(4, 3)])],
        "CustomScaleLayer": [(CustomScaleLayer(0.3), [(4, 3), (4, 3)])],
    }
    for kind in sorted(names & set(found)):
        for layer, shapes in found[kind]:
            yield Reading(kind, kind, read(functional(layer, *shapes)).graph)


def of_pytorch(names: set[str]) -> Iterator[Reading]:
    """Every operator of an exported program."""
    _reach_tests()
    import torch
    from pytorch_helpers import Of
    from test_pytorch_operators import CASES

    from spikewright.frontends.pytorch.exporting import export
    from spikewright.frontends.pytorch.modules import read_program

    for target in sorted(names & set(CASES)):
        case = CASES[target]
        generator = torch.Generator().manual_seed(6)
        example = torch.randn(2, *case.shape, generator=generator)
        if case.whole:
            example = torch.randint(6, example.shape, generator=generator)

        def model(_: Any, x: torch.Tensor, case: Any = case, target: str = target) -> Any:
            return case.run(target, x)

        try:
            graph = read_program(export(Of(model), example)).graph
        except ReadError:
            graph = None  # a reduction over everything: the tests have it as refused
        yield Reading(target, target.split(".")[1].strip("_"), graph)


def of_onnx(names: set[str]) -> Iterator[Reading]:
    """ONNX's own node tests that are read, and the front end's for what they do not show."""
    _reach_tests()
    from onnx_classical_cases import CASES as CLASSICAL
    from onnx_classical_cases import ML, classical
    from onnx_helpers import single
    from test_onnx_backend_nodes import cases, prepared
    from test_onnx_operators import CASES
    from test_onnx_whole_numbers import LOOKED_UP, MORE, whole

    from spikewright.frontends.onnx import read

    for name in sorted(names):
        domain, _, operator = name.rpartition(".")
        models = [
            made[0]
            for main, case in cases().get(operator, [])
            if not domain and (made := prepared(main, case, one_sample=True)) is not None
        ]
        if domain == ML:
            models = [classical(operator, *case) for case in CLASSICAL[operator]]
        for shown, given in CASES:
            if shown == operator:
                labels = ("independent", "positive", "runs", "standard")
                models.append(
                    single(operator, **{k: v for k, v in given.items() if k not in labels})
                )
        if operator in ("And", "Not", "Or", "Xor"):
            models.append(_of_truths(operator))
        if operator == "SimplifiedLayerNormalization":
            models.append(_of_a_fused_normalization(operator))
        if operator in ("IsInf", "IsNaN"):
            models = [_of_a_guard(operator)]
        if operator in ("Ceil", "Floor", "Round"):
            models = [_of_a_rounding(operator)]
        models += [
            whole(*nodes, **MORE)
            for nodes in LOOKED_UP.values()
            if any(node.op_type == operator for node in nodes)
        ]
        for proto in models:
            try:
                graph = read(proto).graph
            except ReadError:
                graph = None  # the tests list the case, with the reason
            yield Reading(name, operator, graph)


def _of_a_rounding(operator: str) -> Any:
    """Values between bounds, rounded."""
    import numpy as np
    from onnx_helpers import model, node

    shift = -0.25 if operator == "Ceil" else 0.25
    bounds = {"low": np.float32(shift), "high": np.float32(shift + 3)}
    nodes = [
        node("Add", "x low", "moved"),
        node("Clip", "moved low high", "bounded"),
        node(operator, "bounded", "y"),
    ]
    return model(nodes, {"x": ["n", 3]}, ["y"], bounds)


def _of_a_guard(operator: str) -> Any:
    """A softmax that is zero where it has no value."""
    import numpy as np
    from onnx_helpers import model, node

    nodes = [
        node("Softmax", "x", "s"),
        node(operator, "s", "none"),
        node("Where", "none zero s", "y"),
    ]
    return model(nodes, {"x": ["n", 3]}, ["y"], {"zero": np.float32(0)}, opset=20)


def _of_truths(operator: str) -> Any:
    """An operator on truth values, between comparisons and a choice."""
    import numpy as np
    from onnx_helpers import model, node

    given = "above" if operator == "Not" else "above below"
    nodes = [
        node("Greater", "x low", "above"),
        node("Less", "x high", "below"),
        node(operator, given, "true"),
        node("Where", "true x low", "y"),
    ]
    bounds = {"low": np.float32(-1.0), "high": np.float32(1.0)}
    return model(nodes, {"x": ["n", 3]}, ["y"], bounds)


def _of_a_fused_normalization(operator: str) -> Any:
    """An operator that onnxruntime's optimiser writes under the standard's domain."""
    import numpy as np
    from onnx_helpers import model, node

    scale = {"scale": np.ones(4, np.float32)}
    return model([node(operator, "x scale", "y", axis=-1)], {"x": ["n", 4]}, ["y"], scale)


def _reach_tests() -> None:
    """Cases are written once, in the tests."""
    warnings.simplefilter("ignore")
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
