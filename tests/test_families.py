"""Families of networks: who is a member, what is done with one, and what the page says of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from benchmarks import families, marked
from benchmarks.families import apart, digits, measuring, of_keras, of_torchvision, page, unchanged
from benchmarks.families.__main__ import chosen, is_done, summary, write
from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import lengths, mask, padded_ids, values
from benchmarks.families.member import ONLY, Member, Origin
from benchmarks.families.origins import EXPORTED, ONNX, ORIGINS, found, keys
from benchmarks.families.warming import alive, warm_module
from scripts.pages import DOCS, Page
from torch import nn

import spikewright as sw
from spikewright.conversion.verification_result import Difference, Verification
from spikewright.frontends.keras.loading import import_keras
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input

keras = import_keras()

GUARANTEES = {"exact", "convergent", "approximated"}
LEAST = {
    "keras": 10, "torchvision": 20, "timm": 12, "transformers": 10, "text": 36, "pytorch": 16,
    "diffusers": 4, "keras_models": 12, "keras_hub": 11,
}  # fmt: skip


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


@pytest.mark.parametrize("place", ORIGINS)
def test_a_place_has_many_families(place: str) -> None:
    """No family stands twice in the table of one place."""
    families = [member.family for member in ORIGINS[place].members.values()]

    assert len(families) >= LEAST[place]
    assert len(set(families)) == len(families)


def test_every_row_that_was_named_is_there() -> None:
    """Those of the list that was made before any of them was tried."""
    listed = Path(families.__file__).with_name("README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (\w+/\w+) \| (.+?) \|", listed, re.MULTILINE)

    assert len(named) >= 60
    for key, family in named:
        assert found(key)[2].family == family


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


def _said_of_digits() -> str:
    """The part of the page between the marks of signed digits, for some rows."""
    return marked.found(page.DIGITS, DOCS / "families.md")


def _rows() -> Iterator[list[str]]:
    """The cells of every row of the page's tables."""
    for line in Page("families.md").text.replace(_said_of_digits(), "").splitlines():
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
    expected = [[name, m.family, m.input_text] for name, m in members]

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


def test_the_page_counts_what_its_tables_say() -> None:
    """At least 90 % of networks and files are converted and verified."""
    verdicts = {key: v for key, v in _verdicts().items() if v != measuring.NOT_EXPORTED}
    own = [v in GUARANTEES for key, v in verdicts.items() if not key.endswith(ONNX)]
    files = [v in GUARANTEES for key, v in verdicts.items() if key.endswith(ONNX)]

    said = f"**{sum(own)} of {len(own)} networks and {sum(files)} of {len(files)} ONNX files are"
    assert said in Page("families.md").text
    assert sum(own + files) >= 0.9 * len(own + files)


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


def _of_digits(**distances: float) -> dict[str, Any]:
    """A row of signed digits."""
    row = {"outcome": "converted", "layers": 3, "seconds": 2.0, digits.DEVIATION: 1e-4}
    return row | dict.fromkeys(digits.DISTANCES, 0.25) | distances


def test_digits_are_a_section_of_the_page_that_stays(tmp_path: Path) -> None:
    """With medians, rows beyond 1, and kinds of layers that are refused; the rest is written anew.

    The page in docs/ is one that was written so.
    """
    rows = {
        "keras/VGG16": _of_digits(**{"network from twin": 2.0}) | {digits.CHOSEN: [0.5, 1.05]},
        "torchvision/resnet18": _of_digits(),
        "keras/ResNet50": _of_digits(),
        "timm/xcit": {"outcome": "refused", "why": "", "kinds": ["GELU", "Softmax"]},
        "text/BertModel": {"outcome": "refused", "why": "", "kinds": ["GELU"]},
        "text/T5": {"outcome": "refused", "why": "cannot be read", "kinds": []},
        "timm/a": {"outcome": "failed", "why": "not done in 600 s"},
    }
    part = page.digits_part(rows, {"torch": "2"})
    assert "**3 of 7 networks**" in part and "network from twin 0.25" in part
    assert "than that is from the source: keras/VGG16, whose outputs deviate by 1e-04" in part
    assert "of their size (chosen by samples: 0.50 from the twin, 1.05 from the source)." in part
    assert "3 are refused by name, 1 of them whatever the code." in part
    assert "GELU (2), Softmax (1)." in part
    assert "| VGG16 | Keras | 3 | 0.25 | 2.00 |" in part and "* timm/a: `not done in 600 s`" in part

    path = tmp_path / "page.md"
    for made in ("", part):
        write({"torchvision/resnet18": {"outcome": "refused", "why": "no"}}, path)
        assert marked.found(page.DIGITS, path) == made
        marked.put(page.DIGITS, part, path)
    assert page.around(_said_of_digits()) in Page("families.md").text


@pytest.mark.parametrize(("silent", "least", "most"), [(6, 0.0, 1e-5), (0, 0.1, np.inf)])
def test_distances_are_those_of_rounding_and_of_lateness(
    silent: int, least: float, most: float
) -> None:
    """In front of a softmax, of a network of units of 1/40 whose twin is computed by hand.

    One that waits for all of its input is its twin, and one that never waits is not.
    """
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) / 3 for shape in ((30, 5), (30, 30), (3, 30))]
    nodes = [GraphNode("x", Input((5,)))]
    for array, function in zip(weights, ("relu", "relu", "softmax"), strict=True):
        made = Affine(array, np.zeros(len(array)))
        nodes.append(GraphNode(f"fc{len(nodes)}", made, (nodes[-1].name,)))
        nodes.append(GraphNode(f"f{len(nodes)}", Activation(function), (nodes[-1].name,)))
    x, coding = rng.normal(size=(9, 5)), sw.SignedDigits(6, silent)
    graph = Graph((*nodes,), {"output": nodes[-1].name})
    conversion = sw.convert(graph, spiking=True, coding=coding, scale_firing_rates=40 / 0.006)
    found = digits.distances(conversion, conversion.as_inputs(x))

    source = twin = x
    for array in weights[:2]:
        source = np.maximum(source @ array.T, 0)
        twin = np.minimum(np.floor(np.maximum(twin @ array.T, 0) * 40 + 0.5), 63) / 40
    source, twin = (values @ weights[2].T for values in (source, twin))
    of_outputs = np.sqrt(source.var(axis=0, ddof=1).mean())
    assert found["twin from source"] * of_outputs == pytest.approx(
        np.sqrt(np.square(twin - source).mean())
    )
    size = np.sqrt(np.square(source).mean())
    assert found[digits.DEVIATION] == pytest.approx(of_outputs / size)
    assert least <= found["network from twin"] <= most
    assert abs(found["network from source"] - 1) <= found["network from twin"] + 1e-9
    assert found["from twin, later"] < 0.5 * found["network from twin"] + 1e-5
    assert found["from twin, changed"] > 0


def test_where_an_error_was_on_this_machine_is_nowhere_told() -> None:
    """The first line of what is behind it, with paths from the framework on."""
    error = RuntimeError("outer")
    error.__cause__ = ValueError("a node [at /a/b/site-packages/keras/src/nn.py:3]\nmore")

    assert apart.sentence(error) == "ValueError: a node [at keras/src/nn.py:3]"


def test_agreement_within_a_wide_bound_is_no_success() -> None:
    """Where rounding explains more than a hundredth of the outputs, nothing has been verified."""
    wide, narrow = (
        Verification((Difference("y", "output", "the graph", 1e-3, bound, output=True),), "", 2)
        for bound in (0.02, 0.005)
    )

    assert measuring._verdict(wide)["outcome"] == measuring.DIFFERS
    assert "2%" in measuring._verdict(wide)["why"]
    assert measuring._verdict(narrow)["outcome"] == measuring.CONVERTED


def test_keys_say_place_name_and_form() -> None:
    """Every member as it is, and exported where such files are published."""
    assert found("torchvision/resnet18.onnx")[1:] == found("torchvision/resnet18")[1:]
    rows = {place: len(origin.members) for place, origin in ORIGINS.items()}
    exported = sum(rows[place] for place in EXPORTED)
    assert len(keys()) == len(set(keys())) == sum(rows.values()) + exported
    assert chosen(["torchvision/resnet1*"]) == ["torchvision/resnet18", "torchvision/resnet18.onnx"]


@pytest.mark.parametrize(
    ("row", "again", "done"),
    [
        (None, "", False),
        ("converted", "", True), ("converted", "failed", True), ("converted", "all", False),
        ("unchanged", "", True), ("unchanged", "failed", True), ("changed", "failed", False),
        ("refused", "", True), ("refused", "failed", False), ("refused", "all", False),
    ],
)  # fmt: skip
def test_a_rerun_goes_on_where_the_last_one_ended(row: str | None, again: str, done: bool) -> None:
    """What has a row is measured again where that is asked for."""
    assert is_done(row and {"outcome": row}, again) is done


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-6])
@pytest.mark.parametrize("shape", [(50,), (20, 30)])
def test_weights_that_begin_at_one_number_become_random(
    value: float, shape: tuple[int, ...]
) -> None:
    """Of a size at which what they act on still shows; others stay as they are."""
    rng = np.random.default_rng(0)
    random = rng.normal(size=shape).astype(np.float32)
    made = alive(np.full(shape, value, np.float32), rng)

    assert made.dtype == np.float32
    assert made.std() > 0
    assert 0.01 < np.abs(made).mean() < 2
    assert alive(random, rng) is random


def test_statistics_of_a_module_are_those_of_its_input() -> None:
    """Behind the norm samples have mean nothing and variance one, up to its scale and offset."""
    member = Member("", {ONLY: values(5)})
    module = warm_module(nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)), member)
    norm = module[1]

    assert not module.training
    assert (norm.running_mean != 0).all()
    assert (norm.running_var != 1).all()
    assert norm.weight.std() > 0


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


class _SaysHowMany(nn.Module):
    """A program for one size of the batch, and no other."""

    def forward(self, x: Any) -> Any:
        return torch.relu(x) / (2 if x.shape[0] == 2 else 1)


@pytest.mark.slow
def test_what_cannot_have_an_open_batch_is_exported_for_one_sample(tmp_path: Path) -> None:
    """Any number where the exporter can: of the same function, with the number written into it."""
    batches = []
    for module in (nn.ReLU(), _SaysHowMany()):
        path = torch_file(module.eval(), Member("", {ONLY: values(5)}), tmp_path)
        dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
        batches.append(dims[0].dim_value or dims[0].dim_param)

    assert isinstance(batches[0], str)
    assert batches[1] == 1


@pytest.mark.slow
def test_members_are_left_as_they_were() -> None:
    """One that is read for the first time is the twin of one that never was."""
    row = apart.apart(unchanged.compared, "transformers/BertModel")

    assert (row["outcome"], row.get("why", "")) == ("unchanged", "")


@pytest.mark.slow
@pytest.mark.parametrize("key", ["torchvision/squeezenet1_1" + ONNX, "keras/MobileNet"])
def test_members_are_converted_and_verified(key: str) -> None:
    """A small one of a framework, and one from a file, as the page has it; it measures all."""
    row = apart.apart(measuring.measured, key)

    assert (row["outcome"], row.get("why", "")) == ("converted", "")
    assert row["guarantee"] == _verdicts()[key]
    assert row["error"] <= row["bound"]


@pytest.mark.parametrize("name", ["GPT2Model", "GPT2LMHeadModel", "LlamaModel", "LlamaForCausalLM"])
def test_language_models_in_digits_are_about_as_close_as_their_twins(name: str) -> None:
    """The page has those of random weights, in six digits, at most 1.2 times as far as the twin."""
    rows = [line.split("|") for line in _said_of_digits().splitlines() if f"| {name} |" in line]
    assert len(rows) == 1
    assert float(rows[0][4 + digits.DISTANCES.index("network from source")]) <= 1.2


@pytest.mark.slow
@pytest.mark.parametrize("key", ["transformers/GPT2Model", "transformers/LlamaModel"])
def test_language_models_run_in_digits_are_about_as_close_as_their_twins(key: str) -> None:
    """Two layers of random weights, run in six digits: at most 1.2 times as far as the twin."""
    row = apart.apart(digits.measured, key)

    assert row["outcome"] == measuring.CONVERTED
    assert row["twin from source"] > 0.0
    assert 0.0 < row["network from source"] <= 1.2  # times the twin's distance
