"""Families of networks: who is a member, what is done with one, and what the page says of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torchvision
from benchmarks.families import apart, measuring, of_keras, of_torchvision, page
from benchmarks.families.inputs import values
from benchmarks.families.member import ONLY, Member, Origin
from benchmarks.families.origins import ONNX, ORIGINS, keys
from benchmarks.families.warming import warm_module
from torch import nn

from pages import Page
from spikewright.frontends.keras.importing import import_keras

keras = import_keras()

GUARANTEES = {"exact", "convergent", "approximated"}


def test_every_classification_family_of_torchvision_has_a_member() -> None:
    """A file of torchvision's models without a member would be a family left out."""
    names = torchvision.models.list_models(module=torchvision.models)
    modules = {torchvision.models.get_model_builder(name).__module__ for name in names}
    members = [getattr(torchvision.models, name).__module__ for name in of_torchvision.CLASSIFIERS]

    assert set(members) == modules


def test_every_family_of_keras_applications_has_a_member() -> None:
    """Likewise; VGG19 is of VGG16's family."""
    public = vars(keras.applications)
    modules = {name: item.__module__ for name, item in public.items() if inspect.isfunction(item)}
    members = {modules[name] for name in of_keras.MEMBERS}

    assert members == set(modules.values()) - {modules["VGG19"]}


def _rows() -> Iterator[list[str]]:
    """The cells of every row of the page's tables."""
    for line in Page("families.md").text.splitlines():
        if line.startswith("| ") and not line.startswith("| network"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _verdicts() -> dict[str, str]:
    """What the page says became of every key."""
    at = [k for k, column in enumerate(page.COLUMNS) if column in page.VERDICTS]
    known = set(keys())
    keyed = zip((key for key in keys() if not key.endswith(ONNX)), _rows(), strict=True)
    return {
        key + form: row[k]
        for key, row in keyed
        for form, k in zip(("", ONNX), at, strict=True)
        if key + form in known
    }


def test_the_page_has_every_member_and_no_other() -> None:
    """In the order of the tables, with its family and its input."""
    members = [(n, m) for origin in ORIGINS.values() for n, m in origin.members.items()]
    expected = [[name, m.family, m.shown] for name, m in members]

    assert [row[:3] for row in _rows()] == expected


def test_the_page_has_a_verdict_for_everything_and_a_reason_for_what_is_not_converted() -> None:
    """A guarantee, or below the tables a reason under the title of what became of it."""
    text = Page("families.md").text
    for key, verdict in _verdicts().items():
        if verdict not in GUARANTEES:
            part = text.split(f"## {page.REASONS[verdict]}\n")[1].split("\n## ")[0]
            assert re.search(rf"^\* {re.escape(key)}: .*\w", part, re.MULTILINE), key
    differing = text.partition(f"## {page.REASONS[measuring.DIFFERS]}\n")[2].split("\n## ")[0]
    assert all("rounding alone explains" in line for line in differing.split("\n* ")[1:])
    assert apart.FAILED not in _verdicts().values()


class _FindsMedians(nn.Module):
    """What cannot be read."""

    def forward(self, x: Any) -> Any:
        return x.median(dim=1, keepdim=True).values


class _MixesSamples(nn.Module):
    """What is not what it seems to be."""

    def forward(self, x: Any) -> Any:
        return x - x.mean(dim=0)


def _origin(make: Callable[[], nn.Module], export: Callable[..., Any]) -> Origin:
    return Origin(
        "", {"n": Member("", {ONLY: values(5)})}, lambda name, member: make(), warm_module, export
    )


def _no_export(*given: Any) -> Any:
    raise RuntimeError("no such operator\nwith a traceback")


def _relu() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU())


@pytest.mark.parametrize(
    ("make", "form", "outcome", "why"),
    [
        (_relu, "", "converted", ""),
        (_relu, ONNX, "not exported", "RuntimeError: no such operator"),
        (_FindsMedians, "", "refused", "median"),
        (_MixesSamples, "", "refused", ""),
    ],
)
def test_every_outcome_is_told_from_the_others(
    make: Callable[[], nn.Module],
    form: str,
    outcome: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what agrees with its source is converted; all else has its reason."""
    monkeypatch.setitem(ORIGINS, "here", _origin(make, _no_export))
    row = measuring.measured(f"here/n{form}")

    assert row["outcome"] == outcome
    assert row.get("why", "").startswith(why) or why in row["why"].splitlines()[0]
    assert ("why" in row) == (outcome != "converted")
    assert (row.get("error", 1.0) <= row.get("bound", 0.0)) == (outcome == "converted")


MEMBERS = (
    "torchvision/squeezenet1_1", "timm/starnet_s050", "transformers/BertModel", "keras/MobileNet",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("form", ["", ONNX])
def test_members_are_converted_and_verified(name: str, form: str) -> None:
    """A small one of each place that is installed, as the page has it."""
    pytest.importorskip(name.partition("/")[0])
    row = apart.apart(measuring.measured, name + form)

    assert (row["outcome"], row.get("why", "")) == ("converted", "")
    assert row["guarantee"] == _verdicts()[name + form]
    assert row["error"] <= row["bound"]
