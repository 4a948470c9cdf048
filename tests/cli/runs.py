"""A short run of every command: {} is a folder that holds model.onnx, net.sw and data.npz."""

from __future__ import annotations

from click.testing import CliRunner, Result

from spikewright.cli import main

_DATA = ("--data", "{}/data.npz")

RUNS: dict[str, tuple[str, ...]] = {
    "demo": ("--limit", "20", "--steps", "4", "--out", "{}/demo"),
    "explore": ("--no-browser",),
    "inspect": ("{}/model.onnx",),
    "convert": ("{}/model.onnx", "--spiking", "-o", "{}/out.sw", "--calibration", "{}/data.npz",
                "--statistics", "{}/statistics"),
    "fits": ("{}/net.sw", "--chip", "loihi2"),
    "run": ("{}/net.sw", *_DATA, "--steps", "3"),
    "evaluate": ("{}/net.sw", *_DATA, "--steps", "3"),
    "sweep": ("{}/model.onnx", *_DATA, "--steps", "3", "--scale", "50"),
    "diagnose": ("{}/net.sw", *_DATA, "--steps", "3"),
    "tune": ("{}/model.onnx", *_DATA, "--trials", "2", "--max-drop", "0.9"),
    "train": ("{}/net.sw", *_DATA, "--steps", "3", "--epochs", "1", "-o", "{}/trained.sw"),
    "doctor": (),
}  # fmt: skip


def line(command: str, folder: object) -> list[str]:
    """The words of a command's run in a folder."""
    return [command, *(part.replace("{}", str(folder)) for part in RUNS[command])]


def invoke(*arguments: str, code: int = 0) -> Result:
    """Run a command, which ends with this code."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result
