"""Ways in which Python functions of a network share something that it does not know of.

Each makes a `Pair`: `sense` gives a position, `act` moves it by its input.
"""

from __future__ import annotations

import functools
import queue
import tempfile
import threading
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import spikewright as sw
from spikewright.network.processes import Process


class Pair(NamedTuple):
    """Functions of nodes, or objects in their place, that share a position, 1 at first."""

    sense: Any
    act: Any


WAYS: dict[str, Callable[[], Pair]] = {}
COPIED = {
    "methods of an object", "a callable object", "a variable of a closure",
    "a dictionary in partial", "processes",
}  # fmt: skip
"""The ways whose state every sample of a batch gets a copy of; all others are refused."""


_opened: list[Any] = []


def close() -> None:
    """Close what the ways have opened."""
    for one in _opened:
        one.close()
    _opened.clear()


def way(name: str) -> Callable[[Callable[[], Pair]], Callable[[], Pair]]:
    """Decorator: register a way."""

    def add(make: Callable[[], Pair]) -> Callable[[], Pair]:
        WAYS[name] = make
        return make

    return add


class Robot:
    """A position with two faces."""

    def __init__(self) -> None:
        self.position = 1.0

    def sense(self, t: float) -> float:
        """Read it."""
        return self.position

    def act(self, t: float, x: Any) -> None:
        """Change it."""
        self.position += float(x[0])

    def __call__(self, t: float, x: Any) -> None:
        self.act(t, x)


@way("methods of an object")
def _methods() -> Pair:
    robot = Robot()
    return Pair(robot.sense, robot.act)


@way("a callable object")
def _callable() -> Pair:
    robot = Robot()
    return Pair(lambda t: robot.position, robot)


@way("a variable of a closure")
def _cell() -> Pair:
    position = 1.0

    def act(t: float, x: Any) -> None:
        nonlocal position
        position += float(x[0])

    return Pair(lambda t: position, act)


def _read(state: dict[str, float], t: float) -> float:
    return state["position"]


def _move(state: dict[str, float], t: float, x: Any) -> None:
    state["position"] += float(x[0])


@way("a dictionary in partial")
def _partial() -> Pair:
    state = {"position": 1.0}
    return Pair(functools.partial(_read, state), functools.partial(_move, state))


class Sensing(Process):
    """A process that reads what another one writes."""

    def __init__(self, robot: Robot) -> None:
        super().__init__()
        self.robot = robot

    def make_step(self, *_: Any) -> Any:
        """Read the position."""
        return self.robot.sense


class Acting(Process):
    """The other one."""

    default_size_in, default_size_out = 1, 0

    def __init__(self, robot: Robot) -> None:
        super().__init__()
        self.robot = robot

    def make_step(self, *_: Any) -> Any:
        """Change the position."""
        return self.robot.act


@way("processes")
def _processes() -> Pair:
    robot = Robot()
    return Pair(Sensing(robot), Acting(robot))


_position = 1.0


@way("a global")
def _global() -> Pair:
    global _position
    _position = 1.0

    def act(t: float, x: Any) -> None:
        global _position
        _position += float(x[0])

    return Pair(lambda t: _position, act)


class Shared:
    """A position that all objects have in common."""

    position = 1.0

    def sense(self, t: float) -> float:
        """Read it."""
        return self.position

    @classmethod
    def act(cls, t: float, x: Any) -> None:
        """Change it."""
        cls.position += float(x[0])


@way("a class attribute")
def _class() -> Pair:
    Shared.position = 1.0
    return Pair(Shared().sense, Shared().act)


_space = types.ModuleType("space")


@way("an attribute of a module")
def _module() -> Pair:
    _space.position = 1.0  # type: ignore[attr-defined]

    def act(t: float, x: Any) -> None:
        _space.position += float(x[0])  # type: ignore[attr-defined]

    return Pair(lambda t: _space.position, act)  # type: ignore[attr-defined]


def _counted(t: float) -> float:
    return float(_counted.position)  # type: ignore[attr-defined]


@way("an attribute of a function")
def _function() -> Pair:
    _counted.position = 1.0  # type: ignore[attr-defined]

    def act(t: float, x: Any) -> None:
        _counted.position += float(x[0])  # type: ignore[attr-defined]

    return Pair(_counted, act)


@way("a queue with a thread")
def _thread() -> Pair:
    asked: queue.Queue[float] = queue.Queue()
    answered: queue.Queue[float] = queue.Queue()

    def work() -> None:
        position = 1.0
        while True:
            answered.put(position)
            position += asked.get()

    threading.Thread(target=work, daemon=True).start()
    return Pair(lambda t: answered.get(timeout=10), lambda t, x: asked.put(float(x[0])))


@way("a file")
def _file() -> Pair:
    kept = tempfile.SpooledTemporaryFile(1000, "w+")  # noqa: SIM115 - the functions hold it
    _opened.append(kept)
    kept.write("1.0")

    def sense(t: float) -> float:
        kept.seek(0)
        return float(kept.read())

    def act(t: float, x: Any) -> None:
        now = sense(t)
        kept.seek(0)
        kept.truncate()
        kept.write(repr(now + float(x[0])))

    return Pair(sense, act)


def network(pair: Pair, first: str = "sense") -> tuple[sw.Network, sw.Probe]:
    """A loop that is closed by the pair alone: `act` gets half the position, one step late."""
    with sw.Network(seed=1) as net:
        made = {}
        for name in ("sense", "act") if first == "sense" else ("act", "sense"):
            source = name == "sense"
            sizes = {"size_out": 1} if source else {"size_in": 1, "size_out": 0}
            made[name] = sw.Node(getattr(pair, name), label=name, **sizes)
        sw.Connection(made["sense"], made["act"], synapse=0, transform=-0.5)
        probe = sw.Probe(made["sense"])
    return net, probe


def positions(steps: int) -> list[float]:
    """The positions that are sensed."""
    found, sent = [1.0], 0.0
    for _ in range(steps - 1):
        position = found[-1] - 0.5 * sent
        sent = found[-1]
        found.append(position)
    return found
