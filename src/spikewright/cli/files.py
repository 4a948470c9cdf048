"""Arguments and options that name files: those that a command reads, and those that it writes.

No file of another kind is replaced unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from spikewright._base.files import FileKind, check_target
from spikewright._base.storage import SAVED
from spikewright.report.page import PAGE

F = TypeVar("F", bound=Callable[..., Any])

_FORCED = "spikewright.force"
"""The key in the context's `meta` that tells whether --force was given."""


Check = Callable[..., Any]
"""`check(path, overwrite=...)` raises `ExistingFileError` for what stands there and stays."""


class OutputPath(click.Path):
    """A place that a command writes to, checked before the command does anything.

    It may hold what is of the kind of file that is written, or what a check lets pass.
    """

    def __init__(self, kind: FileKind | Check, folder: bool = False) -> None:
        super().__init__(dir_okay=folder, file_okay=not folder, path_type=Path)
        self.check: Check = partial(check_target, kind=kind) if isinstance(kind, FileKind) else kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, once nothing stands there that the command does not replace."""
        path = super().convert(value, param, ctx)
        self.check(path, overwrite=bool(ctx is not None and ctx.meta.get(_FORCED)))
        return path


def _keep(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[_FORCED] = value


force = click.option(
    "--force",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_keep,
    help="Replace whatever stands where this command writes (default: only older files of the same "
    "kind).",
)


def forced() -> bool:
    """True where the running command was given --force."""
    return bool(click.get_current_context().meta.get(_FORCED))


def model(required: bool = True) -> Callable[[F], F]:
    """MODEL, a file of a model or a saved network."""
    return click.argument("model", required=required, type=click.Path(path_type=Path))


def data(holds: str, required: bool = True) -> Callable[[F], F]:
    """The data that a command needs, and the contents of its file."""
    return read("--data", f"A .npz file with {holds}.", required=required)


def read(flag: str, help: str, required: bool = False) -> Callable[[F], F]:
    """Any other file that a command reads."""
    return click.option(flag, required=required, type=click.Path(path_type=Path), help=help)


def out(
    what: str, kind: FileKind | Check = SAVED["conversion"], required: bool = False
) -> Callable[[F], F]:
    """The file that a command saves."""
    return written(f"Save {what}.", kind, "-o", "--out", required=required)


def written(
    help: str, kind: FileKind | Check, *flags: str, folder: bool = False, **settings: Any
) -> Callable[[F], F]:
    """Any other file or folder that a command writes; settings are those of `click.option`."""
    path = OutputPath(kind, folder)
    return click.option(*flags, type=path, show_default=True, help=help, **settings)


def report(function: F) -> F:
    """The page about the results of a command, and leave to replace what stands in its place."""
    page = written("Write a page about it here, for any browser.", PAGE, "--report")
    made: F = page(force(function))
    return made
