"""The benchmark of moving inputs, on tiny networks: all rows compute the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import moving, network, workloads
from benchmarks.network import Flatten
from benchmarks.peer import engines as own
from benchmarks.workloads import ConvSpec, DenseSpec, Spec

import spikewright as sw

DENSE = Spec("moving dense", 4, 12, (40,), (DenseSpec(24), DenseSpec(5)))
CONV = Spec("moving conv", 2, 12, (2, 8, 8), (ConvSpec(4, 2, 1), Flatten(), DenseSpec(5)))


def small(name: str) -> moving.Row:
    """A row with a tiny network."""
    row = moving.ROWS[name]
    shape = DENSE if len(row.spec.shape) == 1 else CONV
    return replace(row, spec=replace(shape, name=f"{shape.name} {name}"))


@pytest.mark.parametrize("name", moving.ROWS)
def test_a_row_is_exact_and_spikes_as_often_as_wanted(name: str, tmp_path: Path) -> None:
    """On the row's own frames, native and reference; its file holds the frames as they are."""
    row = small(name)
    path = workloads.stored(row.spec, moving.RATE, tmp_path, row.draw)
    work = network.load(path)
    assert work.frames is not None
    np.testing.assert_array_equal(work.frames, row.draw(row.spec))
    assert work.frames.dtype == row.draw(row.spec).dtype
    moving.check_exact(work)
    conversion = own.converted(work)
    (ensemble,) = conversion.populations().values()
    (counts,) = own.run(conversion, work, engine="reference").spike_counts().values()
    places = ensemble.n_neurons * work.batch * work.steps
    assert counts.sum() / places == pytest.approx(moving.RATE, rel=0.1)


def test_each_step_reads_its_own_frame(tmp_path: Path) -> None:
    """PyTorch's values and a cut of samples and steps are those of the frames, bytes by 255."""
    row = small("bytes")
    work = network.load(workloads.stored(row.spec, moving.RATE, tmp_path, row.draw)).cut(3, 5)
    frames = row.draw(row.spec)[:3, :5]
    assert work.values.shape == (5, 3, 40)
    np.testing.assert_array_equal(work.values[4], frames[:, 4] / np.float32(255))


def test_another_network_is_not_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spikes that differ from the reference engine's end the benchmark."""
    row = small("events")
    work = network.load(workloads.stored(row.spec, moving.RATE, tmp_path, row.draw))

    def other(conversion: sw.Conversion, work: network.Workload, engine: str) -> object:
        some = replace(work, frames=np.roll(work.frames, 1)) if engine == "native" else work
        return own.run(conversion, some, engine="reference")

    monkeypatch.setattr(moving, "run", other)
    with pytest.raises(SystemExit, match="spikes of"):
        moving.check_exact(work)


def test_the_tables_have_a_line_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios to PyTorch's passes, and milliseconds a frame for each number of threads."""
    monkeypatch.setattr(moving, "ROWS", {"events": small("events")})
    monkeypatch.setattr(moving, "PEERS", ())
    how = moving.parser().parse_args(["--rows", "events", "--cache", str(tmp_path)])
    text = list(moving.section(how))
    _, _, line = text[1].splitlines()
    assert all(float(cell) > 0 for cell in line.strip("| ").split(" | ")[2:])
    *_, one, two = text[3].splitlines()
    assert "1 thread " in one
    assert "2 threads " in two
    assert all(float(cell) > 0 for cell in two.strip("| ").split(" | ")[1:])
