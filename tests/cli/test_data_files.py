"""Data files: real numbers, as many samples of everything, one reader for every command."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright import demo
from spikewright.cli import main
from spikewright.cli.files import load_samples
from spikewright.errors import DamagedFileError, SimulationError

MODEL = str(demo.MODEL)
X, Y = demo.held_out(3)
PAIRS = np.zeros(3, [("a", float), ("b", float)])
WRONG: dict[str, tuple[NDArray, str]] = {
    "text": (X.astype(str), "'x' holds <U"),
    "bytes": (X.astype("S8"), "'x' holds |S8, which are no real numbers"),
    "complex": (X + 1j, "'x' holds complex64, which are no real numbers"),
    "structured": (PAIRS, "'x' holds [('a', '<f8'), ('b', '<f8')], which are no real numbers"),
    "times": (np.zeros(3, "M8[s]"), "'x' holds datetime64[s], which are no real numbers"),
    "objects": (np.array([None, 1, 2]), "is no .npz file of numbers (its array "),
    "no samples": (X[:0], "'x' is empty, of shape (0, 1, 8, 8)"),
    "no values": (np.zeros((3, 0)), "'x' is empty, of shape (3, 0)"),
    "no batch": (np.float64(1), "'x' has no batch axis"),
    "fewer": (X[:2], "holds different numbers of samples: 3 of y, 2 of x"),
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i8", "?", ">f4"])
def test_real_numbers_of_any_kind_are_read(dtype: str, tmp_path: Path) -> None:
    """With the first samples alone where that is asked for."""
    np.savez(tmp_path / "data.npz", x=X.astype(dtype), y=Y)
    found = load_samples(tmp_path / "data.npz", 2)

    np.testing.assert_array_equal(found.x, X.astype(dtype)[:2])
    np.testing.assert_array_equal(found.y, Y[:2])  # type: ignore[arg-type]


@pytest.mark.parametrize("case", WRONG)
def test_anything_else_is_refused_by_name(case: str, tmp_path: Path) -> None:
    """Also as an input among several, and as y."""
    wrong, message = WRONG[case]
    path = tmp_path / "data.npz"
    for name, other in (("x", "y"), ("b", "a"), ("y", "x")):
        np.savez(path, **{other: Y, name: wrong})  # type: ignore[arg-type]
        with pytest.raises((DamagedFileError, SimulationError)) as caught:
            load_samples(path)
        said = message.replace("'x'", repr(name)).replace("3 of y, 2 of x", f"3 of {other}, 2 of")
        assert str(caught.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize("option", ["--data", "--calibration", "--validation"])
def test_every_option_for_data_reads_alike(option: str, tmp_path: Path) -> None:
    """The same sentence, whatever the data is for."""
    np.savez(tmp_path / "good.npz", x=X, y=Y)
    np.savez(tmp_path / "text.npz", x=X.astype(str), y=Y)
    good, text = str(tmp_path / "good.npz"), str(tmp_path / "text.npz")
    asked = {
        "--data": ("run", MODEL, "--data", text, "--steps", "3"),
        "--calibration": ("convert", MODEL, "--scale", "percentile:99", "--calibration", text),
        "--validation": ("tune", MODEL, "--data", good, "--validation", text),
    }[option]
    result = CliRunner().invoke(main, asked)

    assert result.exit_code == 2
    assert f"{text}: 'x' holds <U" in result.stderr
    assert "no real numbers" in result.stderr


def _file(compressed: bool) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, x=X, y=Y)
    return stream.getvalue()


FILES = [_file(False), _file(True)]


@settings(max_examples=300)
@given(
    which=st.sampled_from([0, 1]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3
    ),
)
def test_damaged_files_are_named(
    which: int, changes: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wherever bytes are others: what can be read is read, else the path and what is wrong."""
    content = bytearray(FILES[which])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(bytes(content))
    try:
        load_samples(path)
    except (DamagedFileError, SimulationError) as error:
        assert str(error).startswith(f"{path}: ")


HEADERS = st.fixed_dictionaries(
    {
        "descr": st.sampled_from(
            ["'<f8'", "'<f80'", "'O'", "[('a', 'O')]", "'U9'", "None", "(", "3"]
        ),
        "fortran_order": st.sampled_from(["False", "True", "9", "x"]),
        "shape": st.sampled_from(
            ["(3,)", "(99999999999999,)", "(-1,)", "()", "3", "(3, 'a')", "(2**99,)", "(10**18, 0)"]
        ),
    }
)


@settings(max_examples=200)
@given(header=HEADERS, version=st.sampled_from([1, 2, 3, 9]), padding=st.integers(0, 3))
def test_hostile_headers_are_named(
    header: dict[str, str], version: int, padding: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever an array says that it is: nothing is allocated for it, nothing is run."""
    text = "{" + ", ".join(f"'{name}': {value}" for name, value in header.items()) + "}"
    told = text.encode() + b" " * padding + b"\n"
    size = len(told).to_bytes(2 if version == 1 else 4, "little")
    path = tmp_path_factory.getbasetemp() / "hostile.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY" + bytes([version, 0]) + size + told + b"\0" * 24)
    try:
        load_samples(path)
    except (DamagedFileError, SimulationError) as error:
        assert str(error).startswith(f"{path}: ")
