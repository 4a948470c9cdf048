"""A worker serves: it reads commands and writes answers, a JSON object a line."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any

Commands = Mapping[str, Callable[..., dict[str, Any]]]


def serve(make: Callable[[], Commands]) -> None:
    """Answer the commands that `make` returns, until standard input ends.

    Whatever libraries print goes to standard error, from their import by `make` on.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.simplefilter("ignore")  # of libraries; they are many and not ours
    commands = make()
    for line in sys.stdin:
        print(json.dumps(_answer(commands, json.loads(line))), file=answers, flush=True)


def _answer(commands: Commands, message: dict[str, Any]) -> dict[str, Any]:
    try:
        return commands[message.pop("do")](**message)
    except Exception as error:  # the other side says what it means for the comparison
        traceback.print_exc()
        first = (str(error).splitlines() or ["no message"])[0]
        return {"error": f"{type(error).__name__}: {first}"}
