"""Expressions: what they say, and that nothing else is ever run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.errors import NetworkError
from spikewright.modelling.semantic import SemanticPointer, Vocabulary
from spikewright.modelling.semantic.expression import (
    read,
)


def vocabulary() -> Vocabulary:
    """Three pointers."""
    made = Vocabulary(8, max_similarity=1.0, seed=0)
    made.populate("A; B; C")
    return made


CASES = {
    "A": lambda a, b, c: a,
    "A + B - C": lambda a, b, c: a + b - c,
    "A * B + C": lambda a, b, c: a * b + c,
    "A * (B + C)": lambda a, b, c: a * (b + c),
    "~A * -B": lambda a, b, c: ~a * -b,
    "+A": lambda a, b, c: a,
    "2 * A / 4 - 1e-1 * B": lambda a, b, c: 0.5 * a - 0.1 * b,
    "0.5 * 2 * A * 3": lambda a, b, c: 3 * a,
    "dot(A, B) * C": lambda a, b, c: a.dot(b) * c,
    "(1 + 2) * A": lambda a, b, c: 3 * a,
    " A ": lambda a, b, c: a,
    "0": lambda a, b, c: SemanticPointer(np.zeros(8)),
    "0 * A": lambda a, b, c: 0 * a,
}


@pytest.mark.parametrize("text", CASES)
def test_expressions_mean_what_they_say(text: str) -> None:
    """The same as the algebra of the pointers themselves."""
    known = vocabulary()
    wanted = CASES[text](known["A"], known["B"], known["C"])
    np.testing.assert_allclose(known.parse(text).v, wanted.v, atol=1e-12)


HOSTILE = [
    "__import__('os').system('true')",
    "open('/etc/passwd')",
    "A.__class__.__mro__",
    "a.__class__",
    "(A).v",
    "[A for A in (1,)]",
    "lambda: A",
    "A if B else C",
    "A and B",
    "A == B",
    "A < B",
    "not A",
    "A[0]",
    "A, B",
    "{A}",
    "{'A': B}",
    "f'{A}'",
    "'A'",
    "b'A'",
    "None",
    "True",
    "1j",
    "...",
    "A ** B",
    "9 ** 9 ** 9",
    "A @ B",
    "A % 2",
    "A // 2",
    "A << 2",
    "A | B",
    "A / B",
    "A / 0",
    "1 / (1 - 1)",
    "1e999 * A",
    "9" * 400 + " * A",
    "9" * 9000 + " * A",
    "dot(A)",
    "dot(A, B, C)",
    "dot(A, B=C)",
    "dot(*A, B)",
    "eval(A, B)",
    "a.dot(A, B)",
    "(A := B)",
    "await A",
    "yield A",
    "import os",
    "A = B",
    "A; B",
    "A\nB",
    "",
    "   ",
    "A +",
    "((A)",
    "A\0",
    "_A",
    "__builtins__",
    "A B",
    "ℵ",
    "*A",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_expression_is_refused(text: str) -> None:
    """With an error of our own that quotes it, before anything of it is evaluated."""
    with pytest.raises(NetworkError):
        read(text)
    with pytest.raises(NetworkError):
        vocabulary().parse(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 5000 + "A" + ")" * 5000, "-" * 5000 + "A", "~" * 9000 + "A", "A" + "+A" * 4000,
     "dot(" * 500 + "A" + ",A)" * 500, "A" * 20000],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_depth_and_length_are_bounded(text: str) -> None:
    """So that no text takes the stack or the memory; the error quotes only its beginning."""
    with pytest.raises(NetworkError) as caught:
        read(text)
    assert len(str(caught.value)) < 400


@given(st.text(alphabet="AaBb01.+-*/~() ,=[]{}'_\\dot", max_size=40))
def test_any_text_is_an_expression_or_an_error_of_ours(text: str) -> None:
    """Never another exception, and never a pointer of another length."""
    try:
        value = vocabulary().parse(text)
    except NetworkError:
        return
    assert len(value) == 8


@pytest.mark.parametrize("text", [7, None, b"A", ["A"]])
def test_expressions_are_text(text: object) -> None:
    """Anything else is named."""
    with pytest.raises(NetworkError, match="an expression is text"):
        read(text)  # type: ignore[arg-type]
