"""`spikewright diagnose`: see `spikewright.Conversion.diagnose`."""

from __future__ import annotations

from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import RunStepOptions, SampleOptions, command
from spikewright.cli.output import tell
from spikewright.diagnosis.diagnosis import DiagnoseOptions


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.report,
    groups=(RunStepOptions, DiagnoseOptions, SampleOptions),
    without=(),
    spiking=True,
)
def diagnose(given: Given) -> None:
    """Print the losses of accuracy of MODEL, layer by layer, and changes against them.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved. Some hundred samples are enough.
    """
    samples = given.samples
    found = given.conversion.diagnose(samples.x, samples.y, **given.settings)
    if given.paths["report"] is not None:
        facts = {"samples": found.samples, **given.run}
        given.subject().write(given.paths["report"], "Diagnosis", facts, diagnosis=found.records)
    given.answer_of_network(found.as_dict(), lambda: tell(str(found)))
