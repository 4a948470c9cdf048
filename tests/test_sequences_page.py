"""docs/sequences.md is true: its examples run, and print what stands below them."""

from __future__ import annotations

import re

import numpy as np

from pages import Page
from spikewright import encoders
from spikewright.frontends.unrolling import MAX_STEPS

PAGE = Page("sequences.md")


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom; means of encoded input agree with constant input."""
    printed, names = PAGE.run()

    assert printed == PAGE.printed
    answers = {
        name: names[name].predict().argmax(axis=1)
        for name in ("constant", "regular", "random", "ramped")
    }
    for name, found in answers.items():
        assert np.mean(found == answers["constant"]) > 0.9, name


def test_the_page_names_every_encoder_and_the_limit() -> None:
    """A new one is described the day it is public."""
    public = set(encoders.__all__) - {"Encoder"}
    assert public == set(re.findall(r"^\| `(\w+)\(", PAGE.text, re.MULTILINE))
    assert f"more than {MAX_STEPS} steps" in PAGE.text
