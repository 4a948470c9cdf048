"""Limits that keep the code carriable: names of one meaning, calls and classes of few parts."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import spikewright

ROOT = Path(spikewright.__file__).parent

SHARED = {
    # a layer of a graph and the same over time, as a transform, a function of nodes or neurons
    "Convolution", "ConvolutionTranspose", "Divide", "LayerNormalization", "Lookup", "MatMul",
    "MaxPool", "Maximum", "Minimum", "Multiply", "ParametricReLU", "Permute", "PythonCall",
    "RMSNormalization", "Reshape", "Slice", "Take", "UnitNormalization",
    # neurons and functions of nodes that compute any elementwise function
    "Elementwise",
    # an operator's kernel in several engines
    "LearnedKernel", "LinearKernel", "DelayedSparseKernel",
    # a layer and a regulariser of two frameworks
    "RateRange", "RoundedReLU",
    # the product of two numbers, as an array of ensembles and as a module around it
    "Product",
}  # fmt: skip
"""Class names that stand in several files, for the same thing."""

ANY_NUMBER = {"by_kind", "reads", "el", "self._typed", "partial"}
"""Functions that take any number of alike arguments."""
OF_TORCH = {"run", "_Rounded.apply"}
"""Functions of PyTorch that take no keywords."""
AS_NENGO = {("network/ensemble.py", "__init__")}
"""Constructors with the parameters of Nengo's."""
ENTRIES = {"Limits", "Arithmetic", "EnsembleEntry"}
"""Records of files: chips' profiles, and ensembles with all that users give them."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every file of the package, parsed."""
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Nodes of these kinds in all files, each with its file."""
    for file, tree in trees():
        yield from ((file, node) for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.slow
def test_a_class_name_means_one_thing() -> None:
    """It stands in several files only for the same thing, listed here."""
    files = defaultdict(set)
    for file, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        files[node.name].add(file)
    several = {name: sorted(found) for name, found in files.items() if len(found) > 1}

    assert {name: found for name, found in several.items() if name not in SHARED} == {}
    assert SHARED - set(several) == set()
    assert len(SHARED) <= 25


@pytest.mark.slow
def test_functions_have_at_most_twelve_parameters() -> None:
    """Those of a group of declared options count as one."""
    found = {}
    for file, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = [argument for argument in given if argument.arg not in ("self", "cls")]
        if len(own) > 12 and (file, node.name) not in AS_NENGO:
            found[file, node.name] = len(own)

    assert found == {}


@pytest.mark.slow
def test_calls_have_at_most_six_arguments_without_a_name() -> None:
    """A reader of the call sees what each one is."""
    found = {}
    for file, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        name = ast.unparse(node.func)
        given = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
        if len(given) > 6 and name not in ANY_NUMBER | OF_TORCH:
            found[file, node.lineno] = name

    assert found == {}


@pytest.mark.slow
def test_dataclasses_have_at_most_sixteen_fields() -> None:
    """A class of more parts holds several things."""
    found = {}
    for file, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        declared = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
        fields = sum(isinstance(one, ast.AnnAssign) for one in node.body)
        if declared and fields > 16 and node.name not in ENTRIES:
            found[file, node.name] = fields

    assert found == {}


@pytest.mark.slow
def test_at_most_a_hundred_names_are_public() -> None:
    """What methods return, transforms and curves have modules of their own."""
    assert len(spikewright.__all__) <= 100
