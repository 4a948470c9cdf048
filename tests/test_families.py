"""Families of networks: who is a member, what is done with one, and what the page says of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from benchmarks.families import apart, measuring, of_keras, of_torchvision, page, unchanged
from benchmarks.families.__main__ import summary
from benchmarks.families.inputs import lengths, mask, padded_ids, values
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


@pytest.mark.parametrize("left", [False, True])
def test_a_padded_batch_has_a_sample_that_is_shorter(left: bool) -> None:
    """Ids and masks say the same of it; what is repeated differs in its padding alone."""
    member = Member(
        "", {"ids": padded_ids(7, 50, left=left, free=True), "mask": mask(7, left=left),
             "values": values(7, 2, padded=True, free=True), "length": lengths(7)},
    )  # fmt: skip
    arrays = member.arrays(2)

    np.testing.assert_array_equal(arrays["mask"], arrays["ids"] != 0)
    np.testing.assert_array_equal(arrays["mask"].sum(1), [7, 4])
    np.testing.assert_array_equal(arrays["length"], [7, 4])
    assert arrays["mask"][1, 0] != left
    assert not arrays["values"][1, 4:].any()
    assert arrays["values"][1, :4].all()
    compared = member.compared()
    differs = compared["ids"][1] != compared["ids"][2]
    np.testing.assert_array_equal(differs & (compared["mask"][1] == 1), np.zeros(7, bool))
    assert differs.any()
    np.testing.assert_array_equal(compared["mask"][1:2], compared["mask"][2:])


class _Masked(nn.Module):
    """The sum of the values that a mask leaves."""

    def forward(self, x: Any, mask: Any) -> Any:
        return (x * mask).sum(1, keepdim=True)


class _Unmasked(nn.Module):
    """The sum of all values, whatever the mask says."""

    def forward(self, x: Any, mask: Any) -> Any:
        return (x + 0 * mask).sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("make", "said"), [(_Masked, measuring.LEFT_OUT), (_Unmasked, measuring.SEEN)]
)
def test_padding_that_changes_an_output_is_seen(
    make: Callable[[], nn.Module], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the outputs are when something else stands there; the page names the network."""
    inputs = {
        "x": values(6, padded=True, free=True), "mask": mask(6, dtype="float32"),
    }  # fmt: skip
    member = Member("", inputs)
    origin = Origin("A", {"n": member}, lambda name, member: make(), warm_module, _no_export)
    monkeypatch.setitem(ORIGINS, "here", origin)
    row = measuring.measured("here/n")

    assert (row["outcome"], row.get("padding")) == ("converted", said)
    text = page.page({"here/n": row}, {"torch": "2"})
    assert f"In {int(said == measuring.LEFT_OUT)} of 1 with a mask" in text
    assert ("in n it does" in text) == (said == measuring.SEEN)


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


def test_what_is_refused_is_named_below_the_table() -> None:
    """Its row says refused, figures that do not exist are dashes."""
    done = {
        "input": "3 x 32 x 32", "layers": 69, "parameters": 11_699_112, "seconds": 4.2,
        "error": 1.3e-6, "bound": 2e-5, "guarantee": "convergent", "outcome": "converted",
    }  # fmt: skip
    refused = {"input": "32 x 32 x 3", "outcome": "refused", "why": "layer 'a' (Sparse): no"}
    rows = {
        "torchvision/resnet18": done,
        "torchvision/resnet18.onnx": refused,
        "keras/NASNetMobile": refused,
    }
    text = page.page(rows, {"torch": "2"})

    assert (
        "| resnet18 | ResNet | 3 x 32 x 32 | 69 | 11,699,112 | convergent | 1e-06 of 2e-05 | 4 "
        "| refused | - | - |"
    ) in text
    assert "| NASNetMobile | NASNet | 32 x 32 x 3 | - | - | refused | - | - | - | - | - |" in text
    assert "**1 of 2 networks and 0 of 1 ONNX files are converted and verified**" in text
    assert "* keras/NASNetMobile: layer 'a' (Sparse): no" in text


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


def _hooked(model: nn.Module, *how: Any) -> None:
    for part in model.modules():
        part.register_forward_hook(lambda *call: None)


def _noisy(model: nn.Module, *how: Any) -> None:
    torch.rand(1)


def _trained(model: nn.Module, *how: Any) -> None:
    for parameter in model.parameters():
        parameter.data.add_(1e-3)


@pytest.mark.parametrize(
    ("use", "seen"),
    [(None, ""), (_hooked, "_forward_hooks"), (_noisy, "torch.random"), (_trained, "Parameter")],
)
def test_a_network_that_was_changed_is_told_from_its_twin(
    use: Any, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading changes nothing; a hook, a number that is drawn and a weight are differences."""
    monkeypatch.setitem(ORIGINS, "here", _origin(_relu_of_one_seed, _no_export))
    if use is not None:
        monkeypatch.setattr(unchanged, "_use", use)
    row = unchanged.compared("here/n")

    assert row["uses"] == 2
    assert row["outcome"] == ("changed" if seen else "unchanged")
    assert (row["differences"] > 0) == bool(seen) and seen in row.get("why", "")
    count = f"1 networks, 2 times read or refused: {row['differences']} differences"
    assert summary({"a": row}) == count
    assert summary({"a": row, "b": {"outcome": "failed", "why": ""}}) == f"{count}, 1 failed"


def _relu_of_one_seed() -> nn.Module:
    torch.manual_seed(0)
    return _relu()


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
