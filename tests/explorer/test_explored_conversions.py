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
from explorers import accuracy, unpacked

import spikewright as sw
from spikewright.cli import main
from spikewright.errors import SimulationError
from spikewright.explorer import answers
from spikewright.explorer.answers import look
from spikewright.explorer.explore import _subject as subject_of
from spikewright.explorer.message import Wish

MADE: list[dict[str, Any]] = [
    {"scale_firing_rates": 6.0, "max_spikes_per_step": 1},
    {"scale_firing_rates": 6.0, "synapse": 0.02},
    {"scale_firing_rates": 6.0, "initial_voltage": "zero"},
    {"scale_firing_rates": {"relu1": 4.0, "relu2": 9.0}},
    {"spiking": Wish(neuron="bipolar").spiking},
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
    whole = subject_of(made, x, y, None, command if saved else (), "")
    wish = Wish(scale=200.0, steps=6)
    names: dict[str, Any] = {"conversion": made, "x": x}
    exec(unpacked(look(whole, 0, wish))[0]["call"], names)

    found = names["conversion"].run(x, steps=6, progress=False).output
    np.testing.assert_array_equal(
        found, whole.converted(wish).run(x, steps=6, progress=False).output
    )
    _, *words = shlex.split(whole.command_of(wish)) or [""]
    stays = {"max_spikes_per_step", "synapse", "bias_correction"} & set(arguments)
    assert bool(words) == (saved and not stays)
    if words:
        done = CliRunner().invoke(main, [*words, "--json"])
        (last,) = answers.measured(whole, wish, bool)
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
    assert subject_of(_made(arguments), x, y, None, (), "").first == replace(Wish(), **expected)


def test_numbers_of_a_rule_are_where_a_page_begins() -> None:
    """Those of each layer; a scale for each channel is none of its choices."""
    x, y = sw.demo.held_out(30)
    for per, many in (("layer", 2), ("channel", 0)):
        rule = sw.Percentile(99, per=per)
        made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=rule, calibration=x)
        first = subject_of(made, x, y, None, (), "").first
        assert len(first.layers) == many
        assert not many or dict(first.layers) == made.resolved["scale_firing_rates"]


def test_a_conversion_is_made_again() -> None:
    """Of a `Conversion` the lines of Python say `again`, and change what the page chose."""
    x, y = sw.demo.held_out(8)
    made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=7.0, max_spikes_per_step=2)
    whole = subject_of(made, x, y, None, (), "")
    assert (whole.first.scale, whole.first.cap) == (7.0, 2)
    wish = replace(whole.first, steps=5, layers=(("relu1", 50.0),))
    header, _ = unpacked(look(whole, 1, wish))
    names: dict[str, Any] = {"conversion": made}
    exec(header["call"], {"x": x}, names)

    scales = {"relu1": 50.0, "relu2": 7.0}
    expected = made.again(scale_firing_rates=scales).run(x, steps=5, progress=False)
    found = names["conversion"].run(x, steps=5, progress=False)
    np.testing.assert_array_equal(found.output, expected.output)


def test_a_code_with_steps_is_not_explored() -> None:
    """A page moves all that the code chooses, and so would show another network."""
    x, y = sw.demo.held_out(30)
    made = sw.convert(sw.demo.MODEL, spiking=True, coding=sw.SignedDigits(4, 1), calibration=x)
    with pytest.raises(SimulationError, match="all of which SignedDigits chooses: give the model"):
        sw.explore(made, x, y)
