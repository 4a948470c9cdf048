"""First sentences of the docstrings of installed packages, as tokens: whose are they?

Nothing is imported and nothing is downloaded: sources are parsed where they lie. Other versions of
the packages are other data, from which a network is trained anew. Names of the packages are left
out of the texts.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("numpy", "scipy", "sklearn", "torch", "keras", "matplotlib")
TOLD = {*PACKAGES, "np", "sp", "scikit", "learn", "pytorch", "plt", "pyplot", "mpl"}
"""Words that name a package."""
LENGTH, WORDS = 32, 2000
PADDING, UNKNOWN, FIRST = 0, 1, 2  # ids that are no words
SHORTEST = 5  # words of a text
OF_EACH = 2500  # texts of a package, at most
TESTED = 5  # of so many texts one is a test


@dataclass(frozen=True)
class Texts:
    """Token ids `(n, 32)`, masks that are 1 where a text is, and the places of their packages."""

    ids: NDArray[np.int64]
    masks: NDArray[np.int64]
    labels: NDArray[np.int64]

    def at(self, some: NDArray) -> Texts:
        """Some of them."""
        return Texts(self.ids[some], self.masks[some], self.labels[some])

    @property
    def given(self) -> dict[str, NDArray]:
        """The arguments of a model of transformers, by name."""
        return {"input_ids": self.ids, "attention_mask": self.masks}


def texts() -> tuple[Texts, Texts]:
    """Texts to train on and texts to test with, shuffled; raises where a package is missing."""
    words: list[tuple[str, ...]] = []
    labels: list[int] = []
    seen: set[tuple[str, ...]] = set()
    for label, package in enumerate(PACKAGES):
        chosen = list(islice(_new(_texts(_folder(package)), seen), OF_EACH))
        words += chosen
        labels += [label] * len(chosen)
    order = np.random.default_rng(0).permutation(len(words))
    tested = order[: len(order) // TESTED]
    trained = order[len(order) // TESTED :]
    known = _vocabulary([words[k] for k in trained])
    found = _coded(words, labels, known)
    return found.at(trained), found.at(tested)


def _new(found: Iterator[tuple[str, ...]], seen: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Texts that were not seen before, each once."""
    for text in found:
        if text not in seen:
            seen.add(text)
            yield text


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the texts are docstrings of {', '.join(PACKAGES)}: no {package}"
        )
    return Path(spec.origin).parent


def _texts(folder: Path) -> Iterator[tuple[str, ...]]:
    """The words of every docstring's beginning; the order of files is random, and stays so."""
    for path in sorted(folder.rglob("*.py"), key=lambda path: _order(path.relative_to(folder))):
        if {"tests", "testing", "_vendor", "externals"} & set(path.relative_to(folder).parts):
            continue
        for docstring in _docstrings(path):
            beginning = docstring.strip().split("\n\n")[0]
            found = [w for w in re.findall(r"[a-z]+|\d", beginning.lower()) if w not in TOLD]
            if len(found) >= SHORTEST:
                yield tuple(found[: LENGTH - 1])


def _docstrings(path: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in strings of others
        tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def _order(path: Path) -> str:
    return hashlib.sha256(path.as_posix().encode()).hexdigest()


def _vocabulary(found: list[tuple[str, ...]]) -> dict[str, int]:
    """The most frequent words, by their ids."""
    counts = Counter(word for text in found for word in text)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: WORDS - FIRST - 1]
    return {word: FIRST + 1 + k for k, word in enumerate(frequent)}


def _coded(words: list[tuple[str, ...]], labels: list[int], known: dict[str, int]) -> Texts:
    """Texts behind a token for all of each, padded to one length."""
    ids = np.full((len(words), LENGTH), PADDING)
    for k, text in enumerate(words):
        ids[k, : len(text) + 1] = [FIRST, *(known.get(word, UNKNOWN) for word in text)]
    return Texts(ids, (ids != PADDING).astype(np.int64), np.array(labels))
