"""The session with a page: answers are those of the library, and the latest settings win."""

from __future__ import annotations

import base64
import json
import shlex
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from explorers import HEADERS, HOSTILE, OWN, PORT, SAMPLES, TOKEN, accuracy, send, subject, unpacked
from starlette.testclient import TestClient

import spikewright as sw
from slowly import in_turn
from spikewright._base.amounts import SPIKES, format_difference
from spikewright.cli import main
from spikewright.conversion import watch
from spikewright.errors import SimulationError
from spikewright.explorer import answers
from spikewright.explorer.answers import advice_message, greeting, sample_answer
from spikewright.explorer.explore import _session as session_of
from spikewright.explorer.message import NEURONS, ExplorerSettings, changes_of
from spikewright.explorer.model_session import ModelSession
from spikewright.explorer.serving import application
from spikewright.records import select

FEW = {"steps": 8, "scale": 20.0, "sample": 3}


@pytest.fixture(scope="module")
def digits() -> ModelSession:
    """The network and the data."""
    return subject()


class Page:
    """A page: it is greeted, sends settings and reads."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.facts, self.arrays = unpacked(socket.receive_bytes())

    def settings(self, number: int, **settings: Any) -> None:
        """Ask for something."""
        self.socket.send_text(json.dumps({"number": number, **settings}))

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The next message."""
        message = self.socket.receive()
        if message.get("bytes") is not None:
            return unpacked(message["bytes"])
        return json.loads(message["text"]), {}

    def until(self, kind: str, number: int) -> list[dict[str, Any]]:
        """All messages up to one of a kind."""
        found = [self.read()[0]]
        while (found[-1]["kind"], found[-1]["number"]) != (kind, number):
            found.append(self.read()[0])
        return found


@pytest.fixture
def page(digits: ModelSession) -> Iterator[Page]:
    """A page that has just opened."""
    client = TestClient(application(digits, TOKEN, PORT), base_url=OWN)
    with client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket:
        yield Page(socket)


def test_a_page_is_told_what_there_is(page: Page, digits: ModelSession) -> None:
    """Samples as pictures with their labels, layers, and what may be chosen."""
    assert page.facts["samples"] == SAMPLES
    assert page.facts["labels"] == list(digits.y[:60])
    assert page.facts["drawable"] and page.facts["image"] == [8, 8, 1]
    assert [layer["name"] for layer in page.facts["layers"]] == ["relu1", "relu2"]
    (x,) = digits.x.values()
    pictures = page.arrays["thumbnails"]
    assert pictures.shape == (60, 8, 8, 1)
    np.testing.assert_allclose(pictures[..., 0] * (16 / 255), x[:60, 0], atol=16 / 255)


@pytest.mark.parametrize("cap", [None, 1])
@pytest.mark.parametrize("readout", ["mean", "last"])
def test_a_sample_is_what_watch_gives(
    page: Page, digits: ModelSession, readout: str, cap: int | None
) -> None:
    """Spikes of the most active neurons, feature maps and outputs, to the last spike."""
    page.settings(1, readout=readout, cap=cap, **{**FEW, "scale": 100.0})
    header, arrays = page.read()
    made = digits.base.replace(spiking=True, scale_firing_rates=100.0, max_spikes_per_step=cap)
    (x,) = digits.x.values()
    expected = watch(made, x[3:4], 8, readout=readout)

    for place, (name, counts) in enumerate(expected.counts.items()):
        told, flat = header["layers"][place], counts.reshape(8, -1)
        assert (told["name"], told["spikes"]) == (name, counts.sum())
        assert told["rate"] == pytest.approx(counts.mean() * 1000)
        rows = flat[:, arrays[f"{place} numbers"]]
        np.testing.assert_array_equal(arrays[f"{place} raster"], rows)
        most = np.sort(flat.sum(axis=0))[::-1][: rows.shape[1]]
        np.testing.assert_array_equal(rows.sum(axis=0), most)
        channels = arrays[f"{place} channels"]
        np.testing.assert_array_equal(arrays[f"{place} maps"], counts[:, channels])
    assert (arrays["0 raster"].max() == 1) == (cap == 1)
    (answers,), (source,) = expected.answers.values(), expected.source.values()
    np.testing.assert_allclose(arrays["answers"], answers, rtol=1e-6)
    np.testing.assert_allclose(arrays["source"], source, rtol=1e-6)
    assert header["output"]["answer"] == answers[-1].argmax()
    assert header["label"] == digits.y[3]


@pytest.mark.parametrize("neuron", ["default", "Poisson"])
def test_the_numbers_are_those_of_a_sweep(page: Page, neuron: str) -> None:
    """Accuracy, interval, spikes, energy and rates on all of the data, and on its first part."""
    page.settings(1, neuron=neuron, **FEW)
    found = [m for m in page.until("done", 1) if m["kind"] == "measured"]
    assert [m["samples"] for m in found] == [SAMPLES]
    x, y = sw.demo.held_out(SAMPLES)
    swept = sw.sweep(
        sw.demo.MODEL, x, y, scales=20.0, steps=8, neurons=ExplorerSettings(neuron=neuron).spiking,
        progress=False,
    )  # fmt: skip
    reading = next(r for r in swept.points if r.readout == "mean")
    accuracy = reading.scores[0].value
    last = found[-1]
    assert (last["value"], tuple(last["interval"])) == (accuracy.value, accuracy.interval)
    assert (last["spikes"], last["energy"]) == (reading.spikes, reading.energy)
    rates = [r.value for r in select(swept.records, "firing rate") if "layer" in r.how]
    assert [layer["rate"] for layer in last["layers"]] == rates


SAID: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"start": "uniform", "cap": 2}, {"initial_voltage": "uniform", "max_spikes_per_step": 2}),
    ({"synapse": 0.005}, {"synapse": 0.005}),
    ({"layers": {"relu2": 70}}, {"scale_firing_rates": {"relu1": 20.0, "relu2": 70.0}}),
    (
        {"rule": "percentile:99,per=channel"},
        {"scale_firing_rates": sw.Percentile(99, per="channel"), "calibration": ...},
    ),
]


@pytest.mark.parametrize(
    "settings, arguments", SAID, ids=[str(list(settings)) for settings, _ in SAID]
)
def test_the_call_makes_it_again(
    page: Page, digits: ModelSession, settings: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """The lines of Python, run, give the outputs of the network that was asked for."""
    page.settings(1, **FEW, **settings)
    header, _ = page.read()
    names: dict[str, Any] = {}
    exec(header["call"], names)
    (x,) = digits.x.values()
    data = {"calibration": x} if "calibration" in arguments else {}
    made = digits.base.replace(**{"spiking": True, "scale_firing_rates": 20.0, **arguments, **data})
    mine = names["conversion"].run(x, steps=8, progress=False)
    np.testing.assert_array_equal(mine.output, made.run(x, steps=8, progress=False).output)


@pytest.mark.parametrize(
    "chosen",
    [
        *({"neuron": name} for name in NEURONS),
        {"start": "zero", "cap": 1},
        {"neuron": "bipolar", "start": "uniform", "cap": 3},
        {"layers": (("relu1", 40.0),), "synapse": 0.002},
        {"rule": "minimum-error:6,per=layer", "cap": 1},
    ],
    ids=str,
)
def test_the_command_measures_the_same(tmp_path: Path, chosen: dict[str, Any]) -> None:
    """The command, run, finds the accuracy that the page shows."""
    x, y = sw.demo.held_out(20)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    command = ("spikewright", "evaluate", str(sw.demo.MODEL), f"--data={tmp_path / 'd.npz'}")
    whole = replace(subject(20), command=command)
    settings = ExplorerSettings(scale=3.0, steps=6, **chosen)
    _, *arguments = shlex.split(whole.command_of(settings))
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    (last,) = answers.data_messages(whole, settings, lambda: False)
    assert last["value"] == accuracy(json.loads(done.stdout), 6)


def test_the_latest_settings_win(page: Page) -> None:
    """Of many settings that come at once, the last is answered in full, and no other."""
    for number in range(1, 31):
        page.settings(number, steps=8, scale=float(number), neuron="Poisson")
    found = page.until("done", 30)

    measured = {m["number"] for m in found if m["kind"] in ("measured", "curve")}
    assert measured == {30}
    assert [m["scale"] for m in found if m["kind"] == "curve"] == list(answers.CURVE)


def test_advice_comes_before_all_data_is_measured(page: Page) -> None:
    """Advice on few samples follows the first score; that on all of them comes last."""
    page.settings(1, steps=4)
    found = [message for message in page.until("done", 1) if message["kind"] != "curve"]

    assert [message["kind"] for message in found] == [
        "sample", "measured", "advice", "advice", "done",
    ]  # fmt: skip
    advice = [(message["samples"], message["last"]) for message in found[2:4]]
    assert advice == [(answers.FIRST_ADVICE, False), (SAMPLES, True)]


def test_names_of_classes(digits: ModelSession) -> None:
    """The page is told them; another number of names is refused with both numbers."""
    x, y = digits.x, digits.y
    explorer = sw.explore(sw.demo.MODEL, x, y, class_names="abcdefghij")
    assert unpacked(greeting(explorer._session))[0]["class_names"] == list("abcdefghij")
    explorer.close()
    with pytest.raises(SimulationError, match="so give 10 names; got 3: a, b, c"):
        sw.explore(sw.demo.MODEL, x, y, class_names="abc")


@pytest.mark.parametrize(("shape", "drawable"), [((1, 64, 64), True), ((1, 65, 64), False)])
def test_only_small_pictures_are_drawn(shape: tuple[int, ...], drawable: bool) -> None:
    """A pad has no more than 64 lines and columns."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * shape[1], 2))
    model.append(torch.nn.ReLU())
    x = np.zeros((2, *shape), np.float32)
    assert session_of(model.eval(), x, None, None, (), "").drawable == drawable


def test_work_that_nobody_waits_for_is_given_up(digits: ModelSession) -> None:
    """A measurement stops before its next piece, and leaves nothing behind that looks finished."""
    fresh = replace(digits, known={})
    stop = threading.Event()
    stages = answers.curve_messages(fresh, ExplorerSettings(steps=4), stop.is_set)
    next(stages)
    stop.set()

    with pytest.raises(answers.Cancelled):
        next(stages)
    assert len(fresh.known) == 1


def test_what_was_measured_is_not_measured_again(
    digits: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sample, or another page, gets the numbers at once; another scale does not."""
    fresh = replace(digits, known={})
    first = list(answers.data_messages(fresh, ExplorerSettings(steps=4), lambda: False))
    calls = []
    monkeypatch.setattr(answers, "sweep", lambda *a, **k: calls.append(k) or sw.sweep(*a, **k))

    assert (
        list(answers.data_messages(fresh, ExplorerSettings(steps=4, sample=5), lambda: False))
        == first
    )
    assert calls == []
    list(answers.data_messages(fresh, ExplorerSettings(steps=4, scale=2.0), lambda: False))
    assert len(calls) == len(first)


@pytest.mark.parametrize(
    "samples, expected",
    [(5, [5]), (64, [64]), (80, [80]), (128, [64, 128]), (360, [64, 360]), (2000, [64, 256, 2000])],
)
def test_accuracy_fills_in(samples: int, expected: list[int]) -> None:
    """First some samples, then more, and all of them in the end; the last part is at least half."""
    assert answers._counts(samples) == expected


WRONG = [
    ("no JSON", "JSON"),
    ("[1]", "JSON object"),
    ('{"number": -1}', "number"),
    ('{"nonsense": 1}', "nonsense"),
    ('{"scale": 0}', "scale"),
    ('{"scale": NaN}', "scale"),
    ('{"scale": "10"}', "scale"),
    ('{"scale": 1e9}', "scale"),
    ('{"scale": 1' + 400 * "0" + "}", "scale"),
    ('{"steps": 0}', "steps"),
    ('{"steps": 1000000}', "steps"),
    ('{"steps": 2.5}', "steps"),
    ('{"cap": 0}', "cap"),
    ('{"neuron": "LIF"}', "neuron"),
    ('{"neuron": ["default"]}', "neuron"),
    ('{"start": null}', "start"),
    ('{"readout": "window"}', "readout"),
    ('{"layers": {"relu3": 2}}', "relu3"),
    ('{"layers": {"relu1": 0}}', "layers"),
    ('{"layers": [1]}', "layers"),
    ('{"rule": "no-rule"}', "no-rule"),
    ('{"rule": "minimum-error:x"}', "minimum-error"),
    ('{"rule": 5}', "rule"),
    ('{"synapse": -1}', "synapse"),
    ('{"sample": 80}', "sample"),
    ('{"sample": true}', "sample"),
    ('{"drawn": 5}', "drawn"),
    ('{"drawn": "AAAA"}', "drawn"),
    ('{"drawn": "not base64!"}', "drawn"),
]


@pytest.mark.parametrize("text, named", WRONG, ids=[text[:40] for text, _ in WRONG])
def test_wrong_settings_are_answered_with_a_sentence(page: Page, text: str, named: str) -> None:
    """It names what is wrong, and the session goes on."""
    page.socket.send_text(text)
    found, _ = page.read()
    assert found["kind"] == "error"
    assert named in found["text"]

    page.settings(2, **FEW)
    assert page.read()[0]["kind"] == "sample"


@pytest.mark.parametrize("message, word", HOSTILE, ids=[repr(m)[:30] for m, _ in HOSTILE])
def test_a_hostile_message_is_answered(
    page: Page, message: str | bytes, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a short sentence, nothing on the server, and the session goes on."""
    send(page.socket, message)
    found, _ = page.read()
    assert found["kind"] == "error"
    assert word in found["text"]
    assert len(found["text"]) < 1000 and found["text"].isprintable()
    assert not caplog.records

    page.settings(2, **FEW)
    assert page.read()[0]["kind"] == "sample"


def test_any_error_of_a_network_is_answered(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of the user's own may raise anything: the page is told, and the session goes on."""

    def broken(*arguments: Any) -> Any:
        raise ZeroDivisionError("by \x1b[2J nothing")

    with monkeypatch.context() as patch:
        patch.setattr("spikewright.explorer.serving.server.sample_answer", broken)
        page.settings(1, **FEW)
        found, _ = page.read()
    assert (found["kind"], found["number"]) == ("error", 1)
    assert found["text"] == "ZeroDivisionError: by \\x1b[2J nothing"
    page.settings(2, **FEW)
    assert page.read()[0]["kind"] == "sample"


def test_a_request_has_bounds(page: Page) -> None:
    """A request that is longer than any settings is refused unread."""
    page.socket.send_text(json.dumps({"drawn": "A" * (1 << 20)}))
    assert "characters" in page.read()[0]["text"]


def test_a_drawing_is_a_sample(page: Page, digits: ModelSession) -> None:
    """The bytes of a picture, drawn again, give the spikes of that sample."""
    (x,) = digits.x.values()
    levels = np.round(x[3, 0] / 16 * 255).astype(np.uint8)
    page.settings(1, **{**FEW, "sample": 0}, drawn=base64.b64encode(levels.tobytes()).decode())
    header, _ = page.read()
    exact = (levels.astype(np.float32) / 255 * 16)[None, None]
    made = digits.base.replace(spiking=True, scale_firing_rates=20.0)
    spikes = watch(made, exact, 8).counts["relu1"]

    assert header["label"] is None
    assert header["layers"][0]["spikes"] == spikes.sum() > 0
    assert header["output"]["source"] == digits.y[3]


def test_two_pages_do_not_disturb_each_other(digits: ModelSession) -> None:
    """Each gets its own answers, while the other asks for something else."""
    client = TestClient(application(digits, TOKEN, PORT), base_url=OWN)
    path = f"/{TOKEN}/socket"
    with (
        client.websocket_connect(path, headers=HEADERS) as first,
        client.websocket_connect(path, headers=HEADERS) as second,
    ):
        pages = Page(first), Page(second)
        for number in range(1, 6):
            for steps, page in enumerate(pages, 4):
                page.settings(number, steps=steps, scale=float(number))
        for steps, page in enumerate(pages, 4):
            found = page.until("done", 5)
            last = [m for m in found if m["kind"] == "sample"][-1]
            assert (last["steps"], last["number"]) == (steps, 5)


def test_advice_is_the_diagnosis_of_the_same_network(page: Page, digits: ModelSession) -> None:
    """Layers and changes are those of `Conversion.diagnose`; taken up, a change is that change."""
    page.settings(1, steps=16, scale=5.0, cap=1)
    advice = page.until("done", 1)[-2]
    made = digits.base.replace(spiking=True, scale_firing_rates=5.0, max_spikes_per_step=1)
    (x,) = digits.x.values()
    expected = made.diagnose(x, digits.y, 16, progress=False)

    assert advice["kind"] == "advice"
    assert advice["samples"] == SAMPLES
    assert [layer["name"] for layer in advice["layers"]] == [
        found.name for found in expected.layers
    ]
    assert [layer["text"] for layer in advice["layers"]] == [
        format_difference(found.loss.value) for found in expected.layers
    ]
    assert [(p["text"], p["gain"], p["price"]) for p in advice["proposals"]] == [
        (p.text, format_difference(-p.predicted), format_difference(p.price, unit=SPIKES))
        for p in expected.proposals[:4]
    ]
    assert any(p["changes"] for p in advice["proposals"])
    for told, proposal in zip(advice["proposals"], expected.proposals, strict=False):
        if told["changes"] is not None:
            changes = {"layers": {}, **told["changes"]}
            layers = tuple(changes.pop("layers").items())
            settings = replace(
                ExplorerSettings(steps=16, scale=5.0, cap=1, layers=layers), **changes
            )
            changed = digits.converted(settings).run(x, settings.steps, progress=False)
            wanted = made.replace(**proposal.arguments).run(x, proposal.steps, progress=False)
            np.testing.assert_array_equal(changed.output, wanted.output)


SHAPES = [(30,), (2, 16), (5, 4, 6, 3), (1, 12, 12), (3, 8, 8), (6, 5), (49,)]


@pytest.mark.parametrize(("shape", "truth"), in_turn(SHAPES, ["labels", "targets", "none"]))
def test_any_network_and_data(shape: tuple[int, ...], truth: str) -> None:
    """Input of any shape, with labels, targets or neither: every message is made, and is plain."""
    rng = np.random.default_rng(len(shape))
    torch.manual_seed(len(shape))
    size = int(np.prod(shape))
    layers = torch.nn.Flatten(), torch.nn.Linear(size, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3)
    x = rng.normal(size=(9, *shape)).astype(np.float32)
    y = {"labels": np.arange(9) % 3, "targets": rng.normal(size=(9, 3)), "none": None}[truth]
    whole = session_of(torch.nn.Sequential(*layers).eval(), x, y, None, (), "")
    settings = ExplorerSettings(steps=5)
    told, arrays = unpacked(greeting(whole))
    seen, _ = unpacked(sample_answer(whole, 1, settings))
    stages = [*answers.data_messages(whole, settings, bool), *advice_message(whole, settings, bool)]

    json.dumps([told, seen, stages], allow_nan=False)
    assert len(arrays["thumbnails"]) == 9
    measure = {"labels": "accuracy", "targets": "relative error", "none": "agreement"}[truth]
    assert stages[0]["measure"] == measure
    assert told["drawable"] == (shape in [(1, 12, 12), (6, 5), (49,)])


CHANGES: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({}, {"steps": 32}),
    ({"scale_firing_rates": 4.0}, {"steps": 32, "scale": 4.0, "layers": {}, "rule": None}),
    (
        {"scale_firing_rates": {"a": 2, "b": 0.5}},
        {"steps": 32, "layers": {"a": 2.0, "b": 0.5}, "rule": None},
    ),
    ({"max_spikes_per_step": None, "synapse": None}, {"steps": 32, "cap": None, "synapse": None}),
    ({"initial_voltage": "half"}, {"steps": 32, "start": "half"}),
    ({"spiking": ExplorerSettings(neuron="bipolar").spiking}, {"steps": 32, "neuron": "bipolar"}),
    ({"spiking": {"relu1": sw.LIF()}}, None),
    ({"scale_firing_rates": {"a": np.ones(3)}}, None),
    ({"initial_voltage": 0.25}, None),
    ({"max_pool": "average"}, None),
]


@pytest.mark.parametrize("arguments, expected", CHANGES, ids=[str(a) for a, _ in CHANGES])
def test_advice_that_settings_can_hold(
    arguments: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    """A change becomes one of choices, or none: half of it is never taken up."""
    assert changes_of(arguments, 32, ExplorerSettings()) == expected
    assert changes_of(arguments, 2000, ExplorerSettings()) is None


def test_the_first_answer_is_quick(digits: ModelSession) -> None:
    """One sample of the shipped network takes less than 100 ms of processor time."""
    taken = []
    for number in range(5):
        start = time.process_time()
        sample_answer(digits, number, ExplorerSettings(sample=number, scale=5.0 + number))
        taken.append(time.process_time() - start)

    assert min(taken) < 0.1


def test_the_server_is_heard_while_it_computes(
    digits: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are served and another page is greeted while a sample is run."""
    running, go_on = threading.Event(), threading.Event()

    def slow(*asked: Any) -> bytes:
        running.set()
        assert go_on.wait(20)
        return sample_answer(*asked)

    monkeypatch.setattr("spikewright.explorer.serving.server.sample_answer", slow)
    path = f"/{TOKEN}/socket"
    with (
        TestClient(application(digits, TOKEN, PORT), base_url=OWN) as client,
        client.websocket_connect(path, headers=HEADERS) as first,
    ):
        page = Page(first)
        page.settings(1, **FEW)
        assert running.wait(20)
        assert client.get(f"/{TOKEN}/explorer.js").status_code == 200
        with client.websocket_connect(path, headers=HEADERS) as second:
            assert Page(second).facts["kind"] == "facts"
        go_on.set()
        assert page.read()[0]["kind"] == "sample"
