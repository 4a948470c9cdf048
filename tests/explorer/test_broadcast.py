"""The sessions of pages that watch a run: all see the same, and the latest values win."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from explorers import HEADERS, HOSTILE, OWN, PORT, TOKEN, send, unpacked
from networks import network, run
from starlette.testclient import TestClient

import spikewright as sw
from spikewright.explorer.live import LiveRun, live
from spikewright.explorer.serving import LONGEST, application


class Page:
    """A page: it is greeted, asks and reads, and keeps what it was told."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.facts, _ = unpacked(socket.receive_bytes())
        self.number = 0
        self.kept: list[list[np.ndarray]] = [[] for _ in self.facts["plots"]]
        self.state = self.read()

    def read(self) -> dict[str, Any]:
        """The next message; samples of a run are kept."""
        message = self.socket.receive()
        if message.get("bytes") is None:
            return dict(json.loads(message["text"]))
        header, arrays = unpacked(message["bytes"])
        if header["kind"] == "run":
            if self.number and header["resets"] != self.state["resets"]:
                self.kept = [[] for _ in self.kept]
            for place, kept in enumerate(self.kept):
                kept.append(arrays[str(place)])
            self.state = header
        return header

    def ask(self, **request: Any) -> None:
        """Ask for something, and read until it is heard."""
        self.number += 1
        self.socket.send_text(json.dumps({"number": self.number, **request}))
        while self.state.get("number") != self.number:
            self.read()

    def until(self, step: int) -> None:
        """Read until the run is there."""
        while self.state["step"] < step:
            self.read()

    def samples(self, place: int) -> np.ndarray:
        """All samples of a plot that it was told."""
        return np.concatenate(self.kept[place])


@pytest.fixture
def shown() -> LiveRun:
    """A run that nobody has watched yet."""
    return run()


@pytest.fixture
def client(shown: LiveRun) -> Iterator[TestClient]:
    """A browser on this machine."""
    with TestClient(application(shown, TOKEN, PORT), base_url=OWN) as opened:
        yield opened


@pytest.fixture
def page(client: TestClient) -> Iterator[Page]:
    """A page that has just opened."""
    with client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket:
        yield Page(socket)


def test_it_stands_still_at_first(page: Page) -> None:
    """With the network's own values, and no recordings."""
    assert (page.state["step"], page.state["playing"], page.state["wrong"]) == (0, False, None)
    assert page.state["values"] == [[0.5], [0.1, -0.2]]
    assert [len(page.samples(place)) for place in range(6)] == [0] * 6


def test_a_step_is_one_step(page: Page) -> None:
    """Each with the values that were moved before it, as a simulator gives them."""
    values = (0.5, -0.7, 0.9)
    for place, value in enumerate(values):
        page.ask(values={"0": [value]})
        page.ask(act="step")
        page.until(place + 1)
    net = network()
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(3, {net.nodes[0]: np.reshape(values, (3, 1))})

    assert page.state["step"] == 3
    np.testing.assert_array_equal(page.samples(4), sim.data[net.probes[4]][:, page_numbers(80)])


def page_numbers(size: int) -> np.ndarray:
    """Places of the ten values that are shown of so many."""
    return np.linspace(0, size - 1, 10).astype(int)


def test_it_plays_until_it_is_paused(page: Page, shown: LiveRun) -> None:
    """What was told while it played is what was recorded; after the pause no step follows."""
    page.ask(speed=10.0, playing=True)
    page.until(300)
    page.ask(playing=False)
    page.ask(curves=0)
    while page.read()["kind"] != "curves":
        pass  # they come after the block that was under way
    there = shown.seen.step
    time.sleep(0.2)
    assert shown.seen.step == there
    page.ask(act="step")
    page.until(there + 1)

    assert page.state["step"] == shown.seen.step == there + 1
    assert not page.state["playing"]
    net = network()
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(there + 1)
    data = sim.data[net.probes[0]]
    assert len(page.samples(0)) >= 300
    np.testing.assert_array_equal(page.samples(0), data[len(data) - len(page.samples(0)) :])


def test_the_latest_value_wins(page: Page, shown: LiveRun) -> None:
    """However fast a slider moves, the run goes on with where it is at last."""
    page.ask(playing=True)
    for place in range(200):
        page.socket.send_text(json.dumps({"number": 2 + place, "values": {"0": [place / 200]}}))
    page.number = 201
    while page.state["number"] != 201:
        page.read()
    there = page.state["step"]
    page.until(there + 400)

    assert shown.values[0] == pytest.approx([199 / 200])
    assert abs(float(page.samples(0)[-1, 0]) - 0.995) < 0.1


def test_a_reset_goes_back_to_the_beginning(page: Page) -> None:
    """It pauses, keeps the moved values, and later steps are the first ones again."""
    page.ask(values={"1": [1.0, 0.5]}, speed=10.0, playing=True)
    page.until(50)
    page.ask(act="reset")
    while page.state["resets"] == 0:
        page.read()
    assert (page.state["step"], page.state["playing"]) == (0, False)
    assert page.state["values"][1] == [1.0, 0.5]
    page.ask(act="step")
    page.until(1)
    assert len(page.samples(0)) == 1


def test_another_page_sees_the_same(client: TestClient, page: Page) -> None:
    """As a reload does: values, speed, and all that was recorded; what it moves both see."""
    page.ask(values={"0": [-0.4]}, speed=10.0)
    for place in range(3):
        page.ask(act="step")
        page.until(place + 1)
    with client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket:
        other = Page(socket)
        for name in ("step", "speed", "values", "playing"):
            assert other.state[name] == page.state[name]
        for place in range(6):
            np.testing.assert_array_equal(other.samples(place), page.samples(place))
        other.ask(values={"0": [0.9]})
        while page.state["values"][0] != [0.9]:
            page.read()


def test_nothing_runs_while_nobody_watches(client: TestClient, shown: LiveRun) -> None:
    """It goes on when a page comes back."""
    with client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket:
        page = Page(socket)
        page.ask(playing=True)
        page.until(30)
    ends, there = time.monotonic() + 60, -1
    while there != shown.seen.step:  # until the server knows that the page has left
        assert time.monotonic() < ends
        there = shown.seen.step
        time.sleep(0.3)
    with client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket:
        Page(socket).until(there + 30)


def test_curves_are_sent_when_they_are_asked_for(page: Page) -> None:
    """Of the ensemble that was named."""
    page.ask(curves=1)
    found = page.read()
    assert (found["kind"], found["ensemble"], found["neurons"]) == ("curves", 1, 60)


WRONG = [
    ("no JSON", "JSON"),
    ("[1]", "JSON object"),
    ('{"nonsense": 1}', "nonsense"),
    ('{"number": -1}', "number"),
    ('{"number": null}', "number"),
    ('{"playing": 1}', "playing"),
    ('{"speed": 0}', "speed"),
    ('{"speed": 1e9}', "speed"),
    ('{"speed": NaN}', "speed"),
    ('{"act": "leap"}', "act"),
    ('{"act": ["step"]}', "act"),
    ('{"curves": 2}', "curves"),
    ('{"curves": -1}', "curves"),
    ('{"curves": true}', "curves"),
    ('{"values": [0.5]}', "values"),
    ('{"values": {"7": [0.5]}}', "values"),
    ('{"values": {"x": [0.5]}}', "values"),
    ('{"values": {"0": 0.5}}', "stimulus"),
    ('{"values": {"0": [0.5, 0.5]}}', "stimulus"),
    ('{"values": {"0": [1.5]}}', "stimulus"),
    ('{"values": {"0": [Infinity]}}', "stimulus"),
    ('{"values": {"0": ["a"]}}', "stimulus"),
    ('{"values": {"0": [1' + 400 * "0" + "]}}", "stimulus"),
    ("1" * (LONGEST + 1), "characters"),
    *HOSTILE,
]


@pytest.mark.parametrize("text, named", WRONG, ids=[repr(text)[:40] for text, _ in WRONG])
def test_a_wrong_request_is_answered_with_a_sentence(
    page: Page, text: str | bytes, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It names what is wrong, changes nothing, and the session goes on."""
    before = {name: page.state[name] for name in ("values", "speed", "playing", "step")}
    send(page.socket, text)
    found = page.read()
    while found["kind"] != "error":
        found = page.read()
    assert named in found["text"]
    assert len(found["text"]) < 1000 and found["text"].isprintable()
    assert not caplog.records

    page.ask()
    assert {name: page.state[name] for name in before} == before


def test_a_run_that_fails_stands_still_and_says_why() -> None:
    """Whatever a model's own function raises; a reset begins anew."""
    wrong = [True]

    def broken(t: float) -> float:
        if wrong[0] and t > 0.003:
            raise ZeroDivisionError("no more")
        return t

    with sw.Network(seed=0) as net:
        sw.Probe(sw.Node(broken, size_out=1, label="source"))
    with (
        TestClient(application(live(net), TOKEN, PORT), base_url=OWN) as client,
        client.websocket_connect(f"/{TOKEN}/socket", headers=HEADERS) as socket,
    ):
        page = Page(socket)
        page.ask(playing=True)
        while page.state["wrong"] is None:
            page.read()
        assert "source" in page.state["wrong"] and "no more" in page.state["wrong"]
        assert not page.state["playing"]
        wrong[0] = False
        page.ask(act="reset")
        page.ask(speed=10.0, playing=True)
        page.until(10)
        assert page.state["wrong"] is None


def test_the_server_is_heard_while_a_block_runs(
    client: TestClient, page: Page, shown: LiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are served, and moves and a pause are taken, while the simulator is busy."""
    running, go_on = threading.Event(), threading.Event()

    def advance(steps: int) -> None:
        running.set()
        assert go_on.wait(20)

    monkeypatch.setattr(shown, "advance", advance)
    page.ask(playing=True)
    assert running.wait(20)
    page.ask(values={"0": [0.25]})
    page.ask(playing=False)
    assert client.get(f"/{TOKEN}/network.js").status_code == 200
    assert not go_on.is_set() and shown.values[0] == (0.25,)
    assert (page.state["playing"], page.state["step"]) == (False, 0)
    go_on.set()
