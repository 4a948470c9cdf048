"""Padded positions count in nothing: neither what they hold nor how many they are changes a figure.

A small transformer is read with a mask of its tokens. Its samples are given with other tokens under
the mask, and, in a network for longer sequences, with more padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright.cli.main import main
from spikewright.diagnosis.loss import Loss
from spikewright.errors import ConversionError, SimulationError
from spikewright.graph.masks import masks_of

SAMPLES, LENGTH, LONGER, WIDTH, ROWS, STEPS = 14, 7, 9, 8, 20, 16
NETWORK_ITSELF = ("weight memory", "state memory")  # a longer network has more of them


class Transformer(torch.nn.Module):
    """One layer of attention over tokens, which a mask hides; an answer a sample, or a token."""

    def __init__(self, length: int, pooling: str, mask: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.length, self.pooling, self.mask = length, pooling, mask
        self.embedding = torch.nn.Embedding(ROWS, WIDTH)
        self.query, self.key, self.value = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.up, self.down = torch.nn.Linear(WIDTH, 16), torch.nn.Linear(16, WIDTH)
        self.normal, self.head = torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, 3)
        self.place = torch.nn.Parameter(0.1 * torch.randn(LONGER, WIDTH))

    def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.place[: self.length]
        q, k, v = (
            f(x).reshape(-1, self.length, 2, 4).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        scores, seen = q @ k.transpose(-1, -2) / 2, attention_mask[:, None, None]
        if self.mask == "compared":
            scores = torch.where(seen > 0.5, scores, torch.tensor(-1e4))
        else:
            scores = scores + (1 - seen) * -1e9
        seen_values = torch.softmax(scores, -1) @ v
        x = x + seen_values.transpose(1, 2).reshape(x.shape)
        x = self.normal(x + self.down(torch.relu(self.up(x))))
        if self.pooling == "first":
            return self.head(x[:, 0])
        if self.pooling == "mean":
            counts = attention_mask.sum(1, keepdim=True)
            return self.head((x * attention_mask[:, :, None]).sum(1) / counts)
        return self.head(x)


def _data(length: int = LENGTH, hidden: int = 3) -> dict[str, NDArray]:
    """Samples of several lengths; `hidden` seeds the tokens under the mask."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, LENGTH + 1, SAMPLES)
    lengths[0] = LENGTH
    real = np.pad(rng.integers(3, ROWS, (SAMPLES, LENGTH)), ((0, 0), (0, length - LENGTH)))
    mask = np.arange(length) < lengths[:, None]
    others = np.random.default_rng(hidden).integers(3, ROWS, real.shape)
    return {"ids": np.where(mask, real, others), "attention_mask": mask.astype(np.float32)}


GIVEN = {"same": _data(), "other tokens": _data(hidden=4), "more padding": _data(LONGER, hidden=5)}
OTHERS = [name for name in GIVEN if name != "same"]
KINDS = [("tokens", "compared"), ("first", "added"), ("mean", "added")]
RULE = sw.MinimumError(STEPS, spikes_per_step=1)
RULES: Mapping[str, sw.ScaleRule] = {
    "error": RULE,
    "channels": sw.MinimumError(STEPS, spikes_per_step=1, per="channel"),
    "budget": sw.EnergyBudget(STEPS, spikes=100.0),
    "percentile": sw.Percentile(percentile=99.0),
}
LABELS = np.random.default_rng(1).integers(0, 3, SAMPLES)


@cache
def _plain(given: str, pooling: str, mask: str) -> sw.Conversion:
    x = GIVEN[given]
    model = Transformer(x["ids"].shape[1], pooling, mask).eval()
    example = {name: torch.tensor(array) for name, array in x.items()}
    return sw.convert(model, example_input=example, spiking=True, scale_firing_rates=200.0)


@cache
def _ruled(given: str, pooling: str, mask: str) -> sw.Conversion:
    changes = {"scale_firing_rates": RULE, "calibration": GIVEN[given]}
    return _plain(given, pooling, mask).replace(**changes)


def _scales(conversion: sw.Conversion) -> dict[str, NDArray]:
    return {name: e.rate_scale for name, e in conversion.populations().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "kind"), list(zip(RULES, cycle(KINDS), strict=False)), ids=list(RULES)
)
def test_thresholds_do_not_depend_on_padding(rule: str, kind: tuple[str, str]) -> None:
    """Every rule chooses the same thresholds whatever padding holds, and however long it is."""
    found = {
        name: _scales(_plain(name, *kind).replace(scale_firing_rates=RULES[rule], calibration=x))
        for name, x in GIVEN.items()
    }
    for other in OTHERS:
        for name, scale in found["same"].items():
            np.testing.assert_allclose(found[other][name], scale, rtol=1e-6, err_msg=name)


def test_statistics_do_not_depend_on_padding(tmp_path: Path) -> None:
    """What padding holds changes no bit of statistics, and a file of them is read as it was."""
    first, second = (_plain("same", "mean", "added").calibrate(GIVEN[n], progress=False)
                     for n in ("same", "other tokens"))  # fmt: skip
    assert first.layers == second.layers and first.examples == second.examples
    counted = int(GIVEN["same"]["attention_mask"].sum())
    assert first.layers["relu"].values.total.tolist() == [counted] * 16
    first.save(tmp_path / "statistics.sw")
    assert sw.Statistics.load(tmp_path / "statistics.sw").layers == first.layers


def test_samples_that_are_all_padding_give_no_statistics() -> None:
    """Where a mask hides everything there is nothing to calibrate on, and that is said."""
    x = {**GIVEN["same"], "attention_mask": np.zeros((SAMPLES, LENGTH))}
    with pytest.raises(ConversionError, match="in all samples the mask hides them"):
        _plain("same", "tokens", "added").calibrate(x, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:2], ids="-".join)
def test_figures_of_evaluations_do_not_depend_on_padding(kind: tuple[str, str]) -> None:
    """Accuracy, errors, rates, spikes, operations and joules are those without padding."""
    y = LABELS if kind[0] != "tokens" else None
    found = {}
    for name, x in GIVEN.items():
        evaluation = _ruled(name, *kind).evaluate(x, y, STEPS, at=[8], progress=False)
        found[name] = [r for r in evaluation.records if r.name not in NETWORK_ITSELF]
    for other in OTHERS:
        assert len(found[other]) == len(found["same"])
        for one, same in zip(found[other], found["same"], strict=True):
            assert one.name == same.name
            np.testing.assert_allclose(one.value, same.value, rtol=1e-6, err_msg=str(same))


def test_targets_at_padding_count_in_no_error() -> None:
    """Of an output for every token the errors are those of tokens that are no padding."""
    rng = np.random.default_rng(2)
    conversion, x = _ruled("same", "tokens", "compared"), GIVEN["same"]
    y = rng.normal(size=(SAMPLES, LENGTH, 3))
    hidden = x["attention_mask"][:, :, None] == 0
    found = [
        conversion.evaluate(x, target, STEPS, operations=False, progress=False).records
        for target in (y, np.where(hidden, 100.0, y))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS[::2], ids="-".join)
def test_runs_count_no_spikes_of_padding(kind: tuple[str, str]) -> None:
    """Spikes, rates, silence and saturation of a run are those without padding."""
    found = {}
    for name, x in GIVEN.items():
        run = _ruled(name, *kind).run(x, STEPS, progress=False)
        counts = {layer: n.tolist() for layer, n in run.spike_counts().items()}
        measures = run.firing_rates, run.silent_fractions, run.saturated_fractions
        found[name] = counts, [measure() for measure in measures]
    for other in OTHERS:
        assert found[other][0] == found["same"][0]
        for one, same in zip(found[other][1], found["same"][1], strict=True):
            assert one == pytest.approx(same)


CORRECTIONS: Mapping[str, Mapping[str, Any]] = {
    "bias": {"bias_correction": sw.BiasCorrection(STEPS)},
    "steps": {"bias_correction": sw.StepCorrection(4, per="channel")},
    "voltage": {"initial_voltage": sw.VoltageCorrection(STEPS)},
}


@pytest.mark.slow
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrections_do_not_depend_on_padding(correction: str) -> None:
    """Corrections are measured where there is no padding."""
    ((argument, _),) = CORRECTIONS[correction].items()
    found = {}
    for name, x in GIVEN.items():
        made = _ruled(name, "mean", "added").replace(calibration=x, **CORRECTIONS[correction])
        found[name] = made.resolved[argument]
    for other in OTHERS:
        for name, value in found["same"].items():
            part = tuple(slice(n) for n in np.shape(value))
            np.testing.assert_allclose(found[other][name][part], value, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_diagnoses_do_not_depend_on_padding() -> None:
    """Losses of layers, their causes and what is proposed are those without padding."""
    found: dict[str, tuple[Loss, str]] = {}
    for name, x in GIVEN.items():
        diagnosis = _ruled(name, "tokens", "added").diagnose(x, None, STEPS, progress=False)
        found[name] = diagnosis.loss, str(diagnosis)
    for other in OTHERS:
        assert found[other][0].change == pytest.approx(found["same"][0].change)
        assert found[other][1] == found["same"][1]


@pytest.mark.slow
def test_comparisons_of_rules_do_not_depend_on_padding() -> None:
    """The losses by which rules are compared are those of outputs that are no padding."""
    found = [
        sw.best_rule(_plain("same", "tokens", "added"), GIVEN[name], steps=STEPS)
        for name in ("same", "other tokens")
    ]
    first, second = ([(row.setting.name, row.lost) for row in one.points] for one in found)
    assert first == second


def _streamed(conversion: sw.Conversion, x: Mapping[str, NDArray]) -> NDArray:
    stream = conversion.stream(batch_size=SAMPLES)
    for _ in range(STEPS):
        stream.step(x)
    return np.asarray(stream.predict())


def _over_time(conversion: sw.Conversion, x: Mapping[str, NDArray]) -> NDArray:
    mask = np.repeat(x["attention_mask"][:, None], STEPS, axis=1)
    return np.asarray(conversion.run({**x, "attention_mask": mask}, progress=False).predict())


ENTRIES: Mapping[str, Callable[[sw.Conversion, Mapping[str, NDArray]], NDArray]] = {
    "stream": _streamed,
    "a mask over time": _over_time,
    "a list": lambda c, x: np.asarray(c.run([*x.values()], STEPS, progress=False).predict()),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_takes_masks(entry: str) -> None:
    """A mask is held over the steps, or given anew at each, wherever input goes in."""
    conversion, x = _ruled("same", "mean", "compared"), GIVEN["same"]
    expected = conversion.run(x, STEPS, progress=False).predict()
    np.testing.assert_allclose(ENTRIES[entry](conversion, x), expected, atol=1e-6)


def test_files_and_commands_take_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A saved network knows its mask, and a data file has one array an input."""
    conversion, x = _ruled("same", "mean", "compared"), GIVEN["same"]
    conversion.save(tmp_path / "network.sw")
    loaded = sw.load(tmp_path / "network.sw")
    spikes = [c.run(x, STEPS, progress=False).spike_counts() for c in (conversion, loaded)]
    assert {n: s.tolist() for n, s in spikes[0].items()} == {
        n: s.tolist() for n, s in spikes[1].items()
    }
    np.savez(tmp_path / "data.npz", **x, y=LABELS)
    command = ["evaluate", tmp_path / "network.sw", "--data", tmp_path / "data.npz", "--steps", 4]
    with pytest.raises(SystemExit) as left:
        main([*map(str, command)])
    assert left.value.code in (0, None)
    assert "accuracy" in capsys.readouterr().out


def test_masks_and_numbers_of_rows_are_not_encoded() -> None:
    """An encoder for all inputs leaves masks as they are; where nothing else is left it says so."""
    conversion, x = _ruled("same", "mean", "added"), GIVEN["same"]
    with pytest.raises(SimulationError, match="has nothing to encode"):
        conversion.run(x, STEPS, encoder=sw.encoders.Poisson(1000.0), progress=False)


def test_what_follows_from_a_mask_alone_has_no_neurons() -> None:
    """Comparisons of a mask are computed at every step: spikes would hide the wrong positions."""
    conversion, x = _ruled("same", "tokens", "compared"), GIVEN["same"]
    assert "gt" in conversion.canonical and "gt" not in conversion.populations()
    assert conversion.trace.status("gt") == "exact"
    kept = x["attention_mask"].astype(bool)
    other = _ruled("other tokens", "tokens", "compared")
    first, second = (
        c.run(GIVEN[n], 1, progress=False).predict()
        for c, n in ((conversion, "same"), (other, "other tokens"))
    )
    np.testing.assert_array_equal(first[kept], second[kept])


def test_the_trace_says_which_positions_are_padding() -> None:
    """The mask and what it hides, or a warning where what is called a mask hides nothing."""
    trace = _plain("same", "mean", "added").trace
    (entry,) = [e for e in trace if e.stage == "padding"]
    assert (entry.layer, entry.status) == ("attention_mask", "exact")
    assert entry.text.startswith("positions of ids at which it is 0 are padding")

    class Unmasked(Transformer):
        def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.head(self.embedding(ids).mean(1) + attention_mask.mean(1, keepdim=True))

    example = {name: torch.tensor(array) for name, array in GIVEN["same"].items()}
    conversion = sw.convert(Unmasked(LENGTH, "mean", "added").eval(), example_input=example)
    (entry,) = [e for e in conversion.trace if e.stage == "padding"]
    assert entry.status == "warning" and "all of them count" in entry.text
    assert not masks_of(conversion.canonical)


def test_a_row_that_is_all_padding_answers_as_the_source_does() -> None:
    """With every key hidden attention is uniform, as the framework's; verified, and finite."""
    x = {**GIVEN["same"], "attention_mask": GIVEN["same"]["attention_mask"].copy()}
    x["attention_mask"][2] = 0
    conversion = _ruled("same", "first", "added")
    conversion.verify(x)
    run = conversion.run(x, 256, progress=False)
    with torch.no_grad():
        model = Transformer(LENGTH, "first", "added").eval()
        expected = model(*(torch.tensor(array) for array in x.values())).numpy()
    assert np.abs(np.asarray(run.predict()) - expected).max() < 0.05
    assert run.spike_counts()["relu"][2] == 0


class Choosing(torch.nn.Module):
    """The larger of two values that spike, by a comparison of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(4, 6), torch.nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, v = torch.relu(self.first(x)), torch.relu(self.second(x))
        return torch.where(u > v, u, 0.5 * v - 1.0)


def test_a_comparison_of_values_that_spike_tends_to_the_source() -> None:
    """It is decided at each step, by the means so far: the error falls as one over the steps."""
    model, x = Choosing().eval(), torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    conversion = sw.convert(model, example_input=x, spiking=True, scale_firing_rates=200.0)
    assert conversion.trace.status("gt") == "convergent"
    assert conversion.trace.guarantee == "convergent"
    with torch.no_grad():
        source = model(x).numpy()
    errors = [
        float(np.abs(conversion.run(x.numpy(), steps, progress=False).predict() - source).mean())
        for steps in (64, 256, 1024)
    ]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1]
