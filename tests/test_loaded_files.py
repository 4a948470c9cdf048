"""Files changed by somebody who knows the format: usable, or one clear error; never a hang."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from file_examples import EXAMPLES, Parts, write
from file_uses import use
from hostile import verdicts
from mutations import mutated, mutated_arrays
from spikewright.graph.layers import LAYERS
from spikewright.network.entries import REGISTRIES

TESTS = Path(__file__).parent
SETUP = f"import sys; sys.path[:0] = [{str(TESTS)!r}]; import file_uses; file_uses.prepare()"
SUFFIX = {"decoders": ".decoders"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all files of this module."""
    return tmp_path_factory.mktemp("files")


@cache
def examples(kind: str, folder: Path) -> list[Parts]:
    """All examples of a kind."""
    return list(EXAMPLES[kind](folder))


def hostile_files(kind: str, folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Examples of a kind in turn, changed in their plain data or in their arrays."""
    whole = examples(kind, folder)
    for number in range(count):
        rng = random.Random(f"{kind} {seed} {number}")
        content, arrays = whole[number % len(whole)]
        if arrays and rng.random() < 0.2:
            arrays = mutated_arrays(arrays, rng)
        else:
            content = mutated(content, rng)
        path = folder / f"{kind}-{seed}-{number}{SUFFIX.get(kind, '')}"
        write(kind, path, content, arrays)
        yield path


def faults(paths: Sequence[Path]) -> list[str]:
    """What of the files was neither used nor refused as it should be."""
    found = zip(paths, verdicts(SETUP, "file_uses.use(path)", paths), strict=True)
    return [f"{path.name}: {v.kind}: {v.message}" for path, v in found if not v.good]


def whole_files(kind: str, folder: Path, every: int) -> Iterator[Path]:
    """Examples of a kind as they are, one of so many."""
    for number, parts in enumerate(examples(kind, folder)[::every]):
        path = folder / f"{kind}-whole-{every}-{number}{SUFFIX.get(kind, '')}"
        write(kind, path, *parts)
        yield path


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_few_whole_files(kind: str, folder: Path) -> None:
    """They are used, so that what is used of changed files is what can be."""
    for path in whole_files(kind, folder, every=29):
        use(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXAMPLES)
def test_all_whole_files(kind: str, folder: Path) -> None:
    """As above, every one."""
    for path in whole_files(kind, folder, every=1):
        use(str(path))


def test_a_few_changed_files(folder: Path) -> None:
    """A sample of what the slow suite does, of every kind."""
    assert faults([path for kind in EXAMPLES for path in hostile_files(kind, folder, 2, 0)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXAMPLES)
def test_many_changed_files(kind: str, folder: Path) -> None:
    """Anything anywhere, behind a checksum that is right."""
    assert faults(list(hostile_files(kind, folder, 75, seed=1))) == []


def test_every_class_that_a_file_may_name_is_in_one(folder: Path) -> None:
    """A class is tested here from the day it is registered."""
    named = {
        word
        for kind in ("network", "graph")
        for p in examples(kind, folder)
        for word in _types(p[0])
    }
    for registry in (*REGISTRIES, LAYERS):
        assert set(registry) <= named


def _types(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("type"), str):
            yield content["type"]
        for item in content.values():
            yield from _types(item)
    elif isinstance(content, list):
        for item in content:
            yield from _types(item)
