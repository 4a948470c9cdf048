"""Files, names, addresses and messages of strangers: used, or one error of the project's; never
raw, never run, never without an end.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from hostile import verdicts
from hostile_inputs import KINDS, drawn
from hostile_models import ESCAPES

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name", "ignore:__array__")
TESTS = Path(__file__).parent
SETUP = f"""
import sys; sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / "explorer")!r}]
from hostile_uses import prepare, use_all
prepare(*{{kinds!r}})
"""
COUNTS = {
    "npz": 160, "external": 80, "functions": 40, "constants": 30, "names": 50, "nir": 30,
    "keras": 20, "pt2": 20, "saved": 70,
}  # fmt: skip
"""Files of each kind in the slow suite."""


def faults(kinds: Collection[str], paths: list[Path], folder: Path) -> list[str]:
    """What of some files was neither used nor refused as it should be: ten in each process."""
    lists = []
    for number in range(0, len(paths), 10):
        lists.append(folder / f"list-{number}.json")
        lists[-1].write_text(json.dumps([str(path) for path in paths[number : number + 10]]))
    setup = SETUP.format(kinds=tuple(kinds))
    found = list(zip(lists, verdicts(setup, "use_all(path)", lists, seconds=120), strict=True))
    assert not (folder / "executed").exists()
    return [f"{path.name}: {v.kind}: {v.message}" for path, v in found if not v.good]


def test_a_few_files(tmp_path: Path) -> None:
    """A sample of what the slow suite does, of those kinds that take no framework."""
    kinds = ("npz", "external", "functions", "names", "saved")
    paths = [path for kind in kinds for path in drawn(kind, tmp_path, 4, seed=0)]
    assert faults(kinds, paths, tmp_path) == []


@pytest.mark.slow
def test_many_files(tmp_path: Path) -> None:
    """Anything that a stranger could send, in bounded time and memory, with nothing run."""
    paths = [path for kind in KINDS for path in drawn(kind, tmp_path, COUNTS[kind], seed=1)]
    assert faults(KINDS, paths, tmp_path) == []


def words(rng: random.Random) -> str:
    """A text of any characters: a path, an address, a name."""
    parts = [
        "x", "/", "..", ":", "//", "tcp", "@", " ", "\0", "\ud800", ESCAPES, "é", "~", "%", "\n",
    ]  # fmt: skip
    parts += [".onnx", ".keras", ".npz", ".pt2", ".nir", "n" * 300, "n" * 5000, *string.punctuation]
    return "".join(rng.choices(parts, k=rng.randrange(1, 7)))


OPENED, MESSAGES = 100, 250
"""Paths for every opener and writer, and messages to both pages of the explorer."""


def texts(kind: str, make: Callable[[random.Random], str], count: int, folder: Path) -> list[Path]:
    """Files of a kind that hold so many texts, some in each."""
    made = []
    for number in range(0, count, 25):
        rng = random.Random(f"{kind} {number}")
        made.append(folder / f"{kind}-{number}.json")
        made[-1].write_text(json.dumps([make(rng) for _ in range(25)]))
    return made


def message(rng: random.Random) -> str:
    """JSON that a page might send, or not quite."""
    names = [
        "number", "scale", "steps", "layers", "values", "curves", "rule", "drawn", "cap",
        words(rng),
    ]  # fmt: skip
    values: list[Any] = [
        0, 1, -1, 1e400, 10**4400, [], {}, None, True, words(rng), [[[1]]], {"0": [1]},
    ]  # fmt: skip
    deep = "[" * rng.choice((1, 500, 5000, 10**5))
    text = json.dumps({rng.choice(names): 0}) if rng.random() < 0.1 else ""
    pairs = {rng.choice(names): rng.choice([v for v in values if v != 10**4400]) for _ in range(3)}
    text = text or rng.choice(
        [json.dumps(pairs), deep, "1" * 5000, words(rng), f'{{"number": {deep}']
    )
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.3 else text


@pytest.mark.slow
def test_many_texts_as_paths_and_messages(tmp_path: Path) -> None:
    """Every opener and writer, and both pages of the explorer."""
    paths = texts("paths", words, OPENED, tmp_path) + texts("messages", message, MESSAGES, tmp_path)
    assert faults(("paths", "messages"), paths, tmp_path) == []
