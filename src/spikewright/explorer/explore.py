"""`spikewright.explore`: serve the interactive page on this machine."""

from __future__ import annotations

import logging
import math
import secrets
import socket
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright.choosing.coding import SignedDigits
from spikewright.conversion import Conversion, convert
from spikewright.errors import SimulationError
from spikewright.explorer.live import LiveRun, is_network, live
from spikewright.explorer.message import ExplorerSettings, change_of, settings_with
from spikewright.explorer.model_session import DROPPED, ModelSession
from spikewright.frontends import example_for
from spikewright.graph.integer_inputs import random_rows, whole_inputs
from spikewright.lower.trace import suppress_warnings
from spikewright.running.inputs import as_held, refuse_sequences
from spikewright.running.recording import outputs_of
from spikewright.showing import demo
from spikewright.study.programs import source_text

_RANDOM = 16  # samples, where none are given
_HOST = "127.0.0.1"


class Explorer:
    """A page that is served until `close`, at `url`: to this machine alone, and by its token.

    In a notebook it shows itself in a frame.
    """

    def __init__(self, session: ModelSession | LiveRun, port: int = 0) -> None:
        uvicorn = require("uvicorn")
        from spikewright.explorer.serving import LONGEST, application

        try:
            self._listening = socket.create_server((_HOST, port))
        except OSError as error:
            raise SimulationError(
                f"port {port} cannot be listened at ({error.strerror}): give another, or 0 for "
                "any that is free"
            ) from error
        self._session = session
        token, found = secrets.token_urlsafe(24), self._listening.getsockname()[1]
        self.url = f"http://{_HOST}:{found}/{token}/"
        app = application(session, token, found)
        logging.getLogger("uvicorn.error").addFilter(_brief)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, ws_max_size=LONGEST, lifespan="off"
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.run(sockets=[self._listening])

    def wait(self) -> None:
        """Wait until the server ends, or Ctrl-C ends it."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5.0)
        if isinstance(self._session, LiveRun):
            self._session.close()

    def __repr__(self) -> str:
        return f"<Explorer at {self.url}>"

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{escape(self.url)}" title="Spikewright explorer" '
            'style="width: 100%; height: 900px; border: 0"></iframe>'
        )


def _brief(record: logging.LogRecord) -> bool:
    """Log bytes that came as text, and are none, in one line without a traceback."""
    if record.exc_info and isinstance(record.exc_info[1], UnicodeError):
        record.exc_info = None
    return True


def explore(
    model: Any = None,
    x: Any = None,
    y: Any = None,
    *,
    example_input: Any = None,
    port: int = 0,
    browser: bool = False,
    command: Sequence[str] = (),
    name: str = "",
    class_names: Sequence[str] | None = None,
) -> Explorer:
    """Serve an interactive page: change settings or inputs and watch the spikes.

    `model` is what `convert` takes, or a `Conversion`: the choices of its conversion are moved.
    None is the digits of the demonstration, with their network. Of a `Network` or a
    `nengo.Network` the page runs the network, moves its constant nodes, and shows what its
    probes record. `x` and `y` are data as for `Conversion.evaluate`, arrays held constant;
    without `x` there are some random samples. The page is served on 127.0.0.1 at `port` (0: any
    that is free), with a token in its address, `Explorer.url`, until `Explorer.close`. `browser`
    opens it. For the page to show, `command` is the beginning of a command that measures
    the same network and data, and `name` the Python that gives a `Conversion`. `class_names` stand
    in the place of class numbers, as many as the output has values.

    Raises as `convert` or a simulator does, `SimulationError` for data that does not fit, for
    sequences, for a network without probes and for a port that is taken, and `MissingExtraError`
    without the `explore` extra.
    """
    require("starlette")
    if is_network(model):
        _refuse_data(x=x, y=y, example_input=example_input, class_names=class_names)
        found = Explorer(live(model), port)
    else:
        given = model, x, y, example_input, tuple(command), name
        session = _named(_digits() if model is None else _session(*given), class_names)
        _ = session.truth  # raises for labels or targets that do not fit
        found = Explorer(session, port)
    if browser:
        webbrowser.open(found.url)
    return found


def _refuse_data(**given: Any) -> None:
    """Raise `SimulationError` for data beside a network whose inputs are moved on the page."""
    for name, value in given.items():
        if value is not None:
            raise SimulationError(
                f"{name}= is for models that are converted: the inputs of a Network are moved on "
                "the page, so leave it out"
            )


def _named(session: ModelSession, given: Sequence[str] | None) -> ModelSession:
    """The session with names of its classes; raises `SimulationError` for too few or too many."""
    if given is None:
        return session
    names = tuple(map(str, given))
    shape = next(iter(outputs_of(session.base.lowered).values())).shape
    if len(names) != math.prod(shape):
        raise SimulationError(
            f"class_names: the output has shape {shape}, so give {math.prod(shape)} names; got "
            f"{len(names)}: {', '.join(names)}"
        )
    return replace(session, class_names=names)


def _digits() -> ModelSession:
    x, y = demo.held_out()
    base = convert(demo.MODEL)
    (name,) = base.inputs
    lines = ("from spikewright import demo", "", "x, y = demo.held_out()")
    return ModelSession(base, {name: x}, y, "Handwritten digits", "demo.MODEL", lines)


@suppress_warnings()
def _session(
    model: Any, x: Any, y: Any, example: Any, command: tuple[str, ...], name: str
) -> ModelSession:
    ready = isinstance(model, Conversion)
    first = None if ready else example_for(model, example, x)
    made = model if ready else convert(model, example_input=first)
    refuse_sequences(made.lowered.stepping, "explore")
    if not made.populations():
        raise SimulationError("no layer of the model has neurons: there is nothing to explore")
    arrays = as_held(_random(made) if x is None else x, made.graph, ", held constant")
    title = Path(model).name if isinstance(model, str | Path) else "Your network"
    text = name or ("conversion" if ready else source_text(model, example, x))
    return ModelSession(
        base=_plain(made),
        x=arrays,
        y=y,
        title=title,
        model=text,
        lines=(),
        command=command,
        first=_first(made),
        given=made.arguments,
        again=ready,
    )


def _plain(made: Conversion) -> Conversion:
    """The network without what the page chooses."""
    return made.replace(
        spiking=True,
        coding=None,
        scale_firing_rates=None,
        initial_voltage=None,
        max_spikes_per_step=None,
        synapse=None,
        **dict.fromkeys(DROPPED),
    )


def _first(made: Conversion) -> ExplorerSettings:
    """The choices that a conversion was made with, where the page has them.

    Silent steps of each layer's own are found anew.
    """
    digits = isinstance(made.coding, SignedDigits)
    found: dict[str, Any] = {"digits": made.coding.steps} if digits else {}
    for name, value in made.arguments.items():
        if value is not None:
            found |= change_of(name, made.resolved[name]) or {}
    return settings_with(found)


def _random(made: Conversion) -> dict[str, Any]:
    """Seeded random samples: values from 0 to 1, or numbers of rows."""
    rng, rows = np.random.default_rng(0), whole_inputs(made.graph)
    shapes = {name: (_RANDOM, *node.shape_out) for name, node in made.inputs.items()}
    return {
        name: random_rows(rng, rows[name], shape)
        if name in rows
        else rng.random(shape).astype(np.float32)
        for name, shape in shapes.items()
    }
