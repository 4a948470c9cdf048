"""`spikewright diagnose`: see `spikewright.Conversion.diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikewright.cli import files
from spikewright.cli.opening import open_conversion
from spikewright.cli.options import RunStepOptions, SampleOptions, command
from spikewright.cli.output import emit, introduce, network_of, tell
from spikewright.cli.reporting import Subject, write_report
from spikewright.cli.samples import load_samples
from spikewright.diagnosis import DiagnoseOptions


class _Options(RunStepOptions, SampleOptions, DiagnoseOptions, total=False):
    pass


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.report,
    files.force,
    group=_Options,
    without=(),
    spiking=True,
)
def diagnose(
    model: Path,
    data: Path,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Print the losses of accuracy of MODEL, layer by layer, and changes against them.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved. Some hundred samples are enough.
    """
    samples = load_samples(data, limit)
    conversion = open_conversion(model, choices, spiking=True)
    found = conversion.diagnose(samples.x, samples.y, **settings)
    if report is not None:
        subject = Subject(model, data, conversion, choices, samples)
        run = {name: settings[name] for name in ("steps", "dt", "seed", "engine")}
        facts = {"samples": found.samples, **run}
        raster = subject.raster(**run)
        write_report(report, subject, "Diagnosis", facts, diagnosis=found.records, raster=raster)
    if as_json:
        emit({"network": network_of(conversion), **found.as_dict()})
        return
    introduce(conversion, model.name)
    tell(str(found))
