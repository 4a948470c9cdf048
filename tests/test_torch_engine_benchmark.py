"""The benchmark of the torch engine: devices that are not there, and what a row holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import torch_engine
from benchmarks.network import Dense, Workload
from benchmarks.timing import machine

from spikewright.errors import BuildError


def small() -> Workload:
    """A network of 20 neurons for three samples."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=size).astype(np.float32) for size in [(20, 7), (20,), (4, 20), (4,)]]
    x = rng.uniform(size=(3, 7)).astype(np.float32)
    return Workload("W1", 0.1, 5, x, (Dense(*drawn[:2]), Dense(*drawn[2:])))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is made; the processor is named."""
    monkeypatch.setattr("sys.argv", ["torch_engine", "--device", "cuda"])
    monkeypatch.setattr(torch_engine, "case", None)
    with pytest.raises(SystemExit):
        torch_engine.main()
    assert "device 'cuda'" in capsys.readouterr().err
    assert torch_engine.named("cpu") == machine()["processor"]


def test_a_device_that_the_engine_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or figures would be of another one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(BuildError, match="takes cuda here, not cpu"):
        torch_engine.named("cpu")


def test_a_row_is_of_both_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many forward passes as steps, and their ratio."""
    work = small()
    monkeypatch.setattr(torch_engine, "workload", lambda name, rate: replace(work, rate=rate))
    name, ours, theirs, ratio = torch_engine.measured("W1", 10, "cpu", 5)
    assert name == "W1, 10 %" and float(ours) >= 0.0 and float(theirs) >= 0.0 and float(ratio) > 0.0
