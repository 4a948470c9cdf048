"""Large files stay on disk: memory holds of their arrays what is being read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from spikewright._base import mapped, storage
from spikewright._base.arguments import immutable
from spikewright._base.mapped import MappedFile, give_back
from spikewright.errors import DamagedFileError

SIZE = 2**20  # float64 numbers
KIB = 2**10


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Those of a file that is mapped, which nobody else has read."""
    monkeypatch.setattr(mapped, "LARGE", 1)
    given = {"a": np.arange(SIZE, dtype=np.float64), "b": np.ones((3, 5), np.float32)}
    storage.write(tmp_path / "file.sw", "graph", {}, given)
    _, found = storage.read(tmp_path / "file.sw", "graph")
    return dict(found)


def resident(array: np.ndarray) -> int:
    """KiB of memory that hold the mapping that an array lies in."""
    place, found = array.__array_interface__["data"][0], False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            begin, end = (int(number, 16) for number in first.split("-"))
            found = begin <= place < end
        elif found and first == "Rss:":
            return int(rest[0])
    raise AssertionError("no mapping has the array")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no list of mappings")
def test_memory_is_given_back_and_comes_again(arrays: dict[str, np.ndarray]) -> None:
    """A part gives back that of its file; the numbers stay what they are."""
    array = arrays["a"]
    assert immutable(array)
    assert immutable(array.reshape(2, -1)[1].T)
    assert array.sum() == SIZE * (SIZE - 1) / 2
    assert resident(array) >= 8 * SIZE // KIB
    give_back(array[5:].reshape(-1, 1))
    assert resident(array) < 100
    np.testing.assert_array_equal(array, np.arange(SIZE))
    np.testing.assert_array_equal(arrays["b"], np.ones((3, 5)))


def test_nobody_writes_to_a_file_through_its_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Arrays are read-only, and cannot be made otherwise."""
    with pytest.raises(ValueError, match="WRITEABLE"):
        arrays["a"].setflags(write=True)


def test_a_file_that_takes_its_place_changes_nothing(
    arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Saving over a file that is in use, or deleting it, is safe."""
    storage.write(tmp_path / "file.sw", "graph", {}, {"a": np.zeros(SIZE)})
    give_back(arrays["a"])
    np.testing.assert_array_equal(arrays["a"], np.arange(SIZE))
    (tmp_path / "file.sw").unlink()
    give_back(arrays["a"])
    np.testing.assert_array_equal(arrays["a"], np.arange(SIZE))


@pytest.mark.parametrize("change", ["bytes", "size"])
def test_a_file_that_is_written_to_is_refused(
    change: str, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Its numbers are others than those that were checked; the error says what to do."""
    path = tmp_path / "file.sw"
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if change == "bytes":
            file.seek(-8, os.SEEK_END)
        file.write(b"\1" * 8)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DamagedFileError, match=r"file\.sw: was written to .* Load it again"):
        give_back(arrays["a"])


def test_small_files_are_read_and_closed(tmp_path: Path) -> None:
    """They stay what they were, whatever becomes of the file."""
    storage.write(tmp_path / "file.sw", "graph", {}, {"a": np.ones(3)})
    _, found = storage.read(tmp_path / "file.sw", "graph")
    (tmp_path / "file.sw").write_bytes(b"")
    give_back(found["a"])
    np.testing.assert_array_equal(found["a"], np.ones(3))


def test_arrays_of_no_file_stay_as_they_are() -> None:
    """Those of one's own, parts of them, and what is no array."""
    for array in (np.ones(3), np.ones((3, 2)).T[1:], None, 3.0):
        give_back(array)


def test_a_file_is_closed_with_its_last_array(arrays: dict[str, np.ndarray]) -> None:
    """Nothing else holds it open."""
    holder = arrays["a"].base
    while isinstance(holder, np.ndarray):
        holder = holder.base
    assert isinstance(holder.obj, MappedFile)
    number = holder.obj._file
    os.fstat(number)
    arrays.clear()
    del holder
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)
