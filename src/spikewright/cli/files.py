"""Arguments and options that name files, and data files: `.npz` with `x` (or an array an input) and
perhaps `y`.

No file of another kind is replaced unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from numpy.typing import NDArray

from spikewright._base.archives import read_npz
from spikewright._base.files import FileKind, check_target
from spikewright._base.storage import SAVED
from spikewright.errors import SimulationError
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
    help="Overwrite any file or folder at the output path (default: only older files of the same "
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
    page = written("Write a report here, a page for any browser.", PAGE, "--report")
    made: F = page(force(function))
    return made


@dataclass(frozen=True, eq=False)
class FileSamples:
    """Inputs, an array or `{input name: array}`, and labels `(batch,)` or None."""

    x: NDArray | dict[str, NDArray]
    y: NDArray | None

    def __len__(self) -> int:
        return len(next(iter(self.x.values())) if isinstance(self.x, dict) else self.x)

    def __getitem__(self, part: slice) -> FileSamples:
        x = {n: a[part] for n, a in self.x.items()} if isinstance(self.x, dict) else self.x[part]
        return FileSamples(x, None if self.y is None else self.y[part])


def load_samples(path: Path, limit: int | None = None) -> FileSamples:
    """Read a data file, the first `limit` samples of it; runs no code from it.

    Raises `MissingFileError`, `DamagedFileError` for files that are not a `.npz` of real numbers,
    and `SimulationError` where it holds no input, no samples, or another number of y than of x.
    """
    arrays = read_npz(path)
    if set(arrays) <= {"y"}:
        raise SimulationError(
            f"{path}: holds no array x of inputs. Write one with np.savez({path.name!r}, x=x, y=y)"
        )
    _check_lengths(path, arrays)
    cut = {name: array[:limit] for name, array in arrays.items()}
    y = cut.pop("y", None)
    return FileSamples(cut["x"] if set(cut) == {"x"} else cut, y)


def _check_lengths(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Raise `SimulationError` unless all have as many samples, at least one."""
    for name, array in arrays.items():
        if array.ndim == 0:
            raise SimulationError(f"{path}: {name!r} has no batch axis")
        if array.size == 0:
            raise SimulationError(f"{path}: {name!r} is empty, of shape {array.shape}")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise SimulationError(f"{path}: holds different numbers of samples: {counts}")
