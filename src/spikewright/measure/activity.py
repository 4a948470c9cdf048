"""Activity as records: firing rates in Hz, spikes per sample, silent and saturated neurons."""

from __future__ import annotations

from spikewright.measure.run import Run
from spikewright.records import Record


def activity(run: Run) -> list[Record]:
    """One record per layer and measure, then the spikes per sample of the whole network."""
    n = run.record["batch"]
    how = {"steps": run.steps, "dt": run.dt}
    records = [
        Record("firing rate", rate, "Hz", n, how={**how, "layer": layer})
        for layer, rate in run.firing_rates().items()
    ]
    counts = run.spike_counts()
    records += [
        Record("spikes per sample", float(c.mean()), "spikes", n, how={**how, "layer": layer})
        for layer, c in counts.items()
    ]
    for name, fractions in (
        ("silent neurons", run.silent_fractions()),
        ("saturated neurons", run.saturated_fractions()),
    ):
        records += [
            Record(name, value, "fraction", n, how={**how, "layer": layer})
            for layer, value in fractions.items()
        ]
    if counts:
        total = float(sum(counts.values()).mean())  # type: ignore[union-attr]
        records.append(Record("spikes per sample", total, "spikes", n, how=how))
    return records
