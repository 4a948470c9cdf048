"""An explorer of a `Conversion`: a page begins with its choices, and can take them back."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from explorers import accuracy, subject, unpacked

import spikewright as sw
from spikewright.cli import main
from spikewright.errors import ConversionError
from spikewright.explorer import answers
from spikewright.explorer.answers import sample_answer
from spikewright.explorer.explore import _session as session_of
from spikewright.explorer.message import ExplorerSettings, changes_of

MADE: list[dict[str, Any]] = [
    {"scale_firing_rates": 6.0, "max_spikes_per_step": 1},
    {"scale_firing_rates": 6.0, "synapse": 0.02},
    {"scale_firing_rates": 6.0, "initial_voltage": "zero"},
    {"scale_firing_rates": {"relu1": 4.0, "relu2": 9.0}},
    {"spiking": ExplorerSettings(neuron="bipolar").spiking},
    {"scale_firing_rates": sw.Percentile(99, per="layer"), "calibration": ...},
    {"bias_correction": sw.BiasCorrection(4), "calibration": ...},
    {"initial_voltage": sw.VoltageCorrection(4), "calibration": ...},
]


def _made(arguments: dict[str, Any]) -> sw.Conversion:
    x, _ = sw.demo.held_out(30)
    data = {"calibration": x} if "calibration" in arguments else {}
    return sw.convert(sw.demo.MODEL, **{"spiking": True, **arguments, **data})


@pytest.mark.parametrize("arguments", MADE, ids=[str(list(a)) for a in MADE])
@pytest.mark.parametrize("saved", [False, True])
def test_what_a_conversion_was_made_with_is_taken_back(
    tmp_path: Path, arguments: dict[str, Any], saved: bool
) -> None:
    """Python and the command mean the page's choices, not those left over; or there is no command.

    There are calls and commands of both kinds, and some of what is left over would be seen.
    """
    x, y = sw.demo.held_out(60)
    np.savez(tmp_path / "x.npz", x=x, y=y)
    made = _made(arguments)
    made.save(tmp_path / "net.sw")
    made = sw.load(tmp_path / "net.sw") if saved else made
    command = ("spikewright", "evaluate", str(tmp_path / "net.sw"), f"--data={tmp_path / 'x.npz'}")
    whole = session_of(made, x, y, None, command if saved else (), "")
    settings = ExplorerSettings(scale=200.0, steps=6)
    names: dict[str, Any] = {"conversion": made, "x": x}
    exec(unpacked(sample_answer(whole, 0, settings))[0]["call"], names)

    found = names["conversion"].run(x, steps=6, progress=False).output
    np.testing.assert_array_equal(
        found, whole.converted(settings).run(x, steps=6, progress=False).output
    )
    _, *words = shlex.split(whole.command_of(settings)) or [""]
    stays = {"max_spikes_per_step", "synapse", "bias_correction"} & set(arguments)
    assert bool(words) == (saved and not stays)
    if words:
        done = CliRunner().invoke(main, [*words, "--json"])
        (last,) = answers.data_messages(whole, settings, bool)
        assert last["value"] == accuracy(json.loads(done.stdout), 6)


FIRST: list[dict[str, Any]] = [
    {"scale": 6.0, "cap": 1},
    {"scale": 6.0, "synapse": 0.02},
    {"scale": 6.0, "start": "zero"},
    {"layers": (("relu1", 4.0), ("relu2", 9.0))},
    {"neuron": "bipolar"},
]


@pytest.mark.parametrize("arguments, expected", list(zip(MADE, FIRST, strict=False)), ids=str)
def test_a_page_begins_with_the_choices_of_a_conversion(
    arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Where the page has them; all others are as at first."""
    x, y = sw.demo.held_out(8)
    assert session_of(_made(arguments), x, y, None, (), "").first == replace(
        ExplorerSettings(), **expected
    )


def test_numbers_of_a_rule_are_where_a_page_begins() -> None:
    """Those of each layer; a scale for each channel is none of its choices."""
    x, y = sw.demo.held_out(30)
    for per, many in (("layer", 2), ("channel", 0)):
        rule = sw.Percentile(99, per=per)
        made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=rule, calibration=x)
        first = session_of(made, x, y, None, (), "").first
        assert len(first.layers) == many
        assert not many or dict(first.layers) == made.resolved["scale_firing_rates"]


def test_a_conversion_is_made_again() -> None:
    """Of a `Conversion` the lines of Python say `replace`, and change what the page chose."""
    x, y = sw.demo.held_out(8)
    made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=7.0, max_spikes_per_step=2)
    whole = session_of(made, x, y, None, (), "")
    assert (whole.first.scale, whole.first.cap) == (7.0, 2)
    settings = replace(whole.first, steps=5, layers=(("relu1", 50.0),))
    header, _ = unpacked(sample_answer(whole, 1, settings))
    names: dict[str, Any] = {"conversion": made}
    exec(header["call"], {"x": x}, names)

    scales = {"relu1": 50.0, "relu2": 7.0}
    expected = made.replace(scale_firing_rates=scales).run(x, steps=5, progress=False)
    found = names["conversion"].run(x, steps=5, progress=False)
    np.testing.assert_array_equal(found.output, expected.output)


CODES = [
    (sw.SignedDigits(4, 1), {"digits": 4, "silent": 1}),
    (sw.SignedDigits(3), {"digits": 3, "silent": 1}),
    (sw.SignedDigits(4, {"relu1": 0, "relu2": 2}), {"digits": 4, "silent": None}),
    (sw.RateCode(8), {"steps": 8}),
]


@pytest.mark.parametrize(("coding", "expected"), CODES, ids=str)
def test_a_page_begins_with_the_code_of_a_conversion(coding: Any, expected: dict[str, Any]) -> None:
    """Silent steps of each layer's own are found anew."""
    x, y = sw.demo.held_out(8)
    made = sw.convert(sw.demo.MODEL, spiking=True, coding=coding, calibration=x)
    first = session_of(made, x, y, None, (), "").first
    assert {name: getattr(first, name) for name in expected} == expected


@pytest.mark.parametrize("made_with", [{}, {"coding": sw.SignedDigits(2, 2)}], ids=["rates", "2"])
@pytest.mark.parametrize(
    "wanted",
    [ExplorerSettings(digits=4), ExplorerSettings(digits=3, silent=2), ExplorerSettings(steps=6)],
)
def test_digits_are_those_of_convert(
    tmp_path: Path, made_with: dict[str, Any], wanted: ExplorerSettings
) -> None:
    """Spikes of either sign in the network's steps, accuracy, Python and the command."""
    x, y = sw.demo.held_out(60)
    np.savez(tmp_path / "x.npz", x=x, y=y)
    data = {"calibration": x} if made_with else {}
    made = sw.convert(sw.demo.MODEL, spiking=True, **made_with, **data)
    made.save(tmp_path / "net.sw")
    made = sw.load(tmp_path / "net.sw")
    command = ("spikewright", "evaluate", str(tmp_path / "net.sw"), f"--data={tmp_path / 'x.npz'}")
    whole = session_of(made, x, y, None, command, "")
    header, arrays = unpacked(sample_answer(whole, 0, wanted))
    coding = wanted.coding
    given = {"coding": coding, "calibration": x} if coding else {"scale_firing_rates": 10.0}
    direct = sw.convert(sw.demo.MODEL, spiking=True, **given)
    run = direct.run(x, wanted.run[0], progress=False)
    assert (header["own_steps"], header["steps"]) == (run.steps, run.network_steps)
    assert header["silent"] == getattr(direct.coding, "silent_steps", None)
    assert sum(layer["spikes"] for layer in header["layers"]) == sum(
        int(counts[0]) for counts in run.spike_counts().values()
    )
    raster = arrays["1 raster"]
    assert len(raster) == run.network_steps and (raster.min() == -1) == (coding is not None)
    names: dict[str, Any] = {"conversion": made, "x": x}
    exec(header["call"], names)
    found = names["conversion"].run(x, wanted.run[0], progress=False).predict()
    np.testing.assert_array_equal(found, run.predict())
    _, *words = shlex.split(whole.command_of(wanted))
    done = CliRunner().invoke(main, [*words, "--json"])
    (last,) = answers.data_messages(whole, wanted, bool)
    assert last["value"] == accuracy(json.loads(done.stdout), wanted.run[0])
    points = list(answers.curve_messages(whole, wanted, bool))
    assert bool(points) == (coding is None)


def test_more_digits_are_one_press_away() -> None:
    """A proposal of digits is a change that the page can make."""
    more = {"coding": sw.SignedDigits(5, 1), "scale_firing_rates": {"relu1": np.ones(8)}}
    assert changes_of(more, 5, ExplorerSettings(digits=4)) == {"digits": 5, "silent": 1}
    each = {"coding": sw.SignedDigits(4, {"relu1": 0, "relu2": 2})}
    assert changes_of(each, 4, ExplorerSettings(digits=4)) is None
    with pytest.raises(ConversionError, match="whole numbers from 0 to steps=2"):
        sample_answer(subject(60), 0, ExplorerSettings(digits=2, silent=3))
