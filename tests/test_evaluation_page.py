"""docs/evaluation.md is true: its example runs, and it names every record and executor."""

from __future__ import annotations

import re

import numpy as np

import spikewright as sw
from pages import Page
from spikewright import demo, executors

PAGE = Page("evaluation.md")


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Executed as it stands; every character counts."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_every_record_is_named() -> None:
    """Of labels, of values, of neither; operations and energy have a page of their own."""
    x, y = demo.held_out(4)
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20.0)
    for truth in (y, np.zeros((4, 10)), None):
        found = conversion.evaluate(x, truth, 2, operations=False, thresholds=[0.5])
        for record in found.records:
            name = record.name.removeprefix("source ").removeprefix("rounded ")
            assert f"`{name}`" in PAGE.text or f"`{record.name}`" in PAGE.text, record.name


def test_every_executor_is_named() -> None:
    """Those that a name asks for."""
    names = re.findall(r'^`"(\w+)"`', executors.__doc__ or "", re.MULTILINE)

    assert names == ["local", "dask", "ray"]
    assert all(f'`"{name}"`' in PAGE.text for name in names)
