"""The program `spikewright`: its commands, and its messages when a user makes a mistake."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from spikewright.advice import on_the_command_line
from spikewright.cli.convert import convert
from spikewright.cli.given import ARGUMENTS
from spikewright.cli.measuring import diagnose, evaluate, run
from spikewright.cli.options import DEBUG_FLAG, debug
from spikewright.cli.output import in_options, nothing_lost, options_of, print_text
from spikewright.cli.showing import demo, explore
from spikewright.cli.studies import sweep, tune
from spikewright.cli.train import train
from spikewright.cli.verdicts import doctor, fits, inspect
from spikewright.errors import (
    ConversionWarning,
    ExistingFileError,
    ReadError,
    SpikewrightError,
    printable,
)

DEBUG = "spikewright.debug"
"""The key in the context's `meta` that tells whether --debug was given."""


class UserError(click.ClickException):
    """A mistake that a sentence on standard error explains; the program exits with 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Commands(click.Group):
    """A group whose commands end in a sentence, never in a traceback, for a user's mistakes."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the program; it does not end well where output was lost."""
        with nothing_lost():
            return super().main(*args, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments of the program: reports say how to do it again.

        `--debug` may stand anywhere, so that it can be put behind a command that went wrong.
        """
        ctx.meta[DEBUG] = DEBUG_FLAG in args
        args = [argument for argument in args if argument != DEBUG_FLAG]
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors that a user can mend become a `UserError`."""
        try:
            with warnings.catch_warnings(), on_the_command_line():
                warnings.simplefilter("always", ConversionWarning)
                warnings.showwarning = partial(_print_warning, warnings.showwarning)
                return super().invoke(ctx)
        except ExistingFileError as error:
            raise UserError(error.advising("--force")) from error
        except SpikewrightError as error:
            if ctx.meta[DEBUG]:
                print_text(_behind(error), err=True)
            raise UserError(_worded(str(error))) from error
        except click.UsageError as error:
            command = "spikewright" if error.ctx is None else error.ctx.command_path
            message = error.format_message().rstrip(".")
            raise UserError(f"{message}. See: {command} --help") from error
        except OSError as error:
            raise UserError(_describe(error)) from error


def _worded(text: str) -> str:
    """A sentence of the library with options in the place of arguments."""
    return in_options(text, options_of(main.commands.values()))


def _behind(error: SpikewrightError) -> str:
    """The details of an error: its traceback, and the message of the model's framework."""
    trace = "".join(traceback.format_exception(error))
    return "\n".join([trace, error.details]) if isinstance(error, ReadError) else trace


def _print_warning(
    otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any
) -> None:
    """Print warnings of a conversion as one sentence, and other warnings as usual."""
    if issubclass(category, ConversionWarning):
        print_text(f"warning: {_worded(str(message))}", err=True)
    else:
        otherwise(printable(str(message)), category, *where)


def _describe(error: OSError) -> str:
    """`file: reason` for errors of the operating system, a message of our own as it is."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


@click.group("spikewright", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spikewright", message="%(prog)s %(version)s")
@debug
def main() -> None:
    """Turn a trained network into a spiking one, run it, and see what each choice costs.

    Begin with `spikewright demo`. Every command takes --json for one JSON document on standard
    output, and exits with 2 after a mistake that it explains on standard error; with --debug, put
    anywhere, it also prints the details of the mistake.
    """


for command in (
    demo, explore, inspect, convert, fits, run, evaluate, sweep, diagnose, tune, train, doctor,
):  # fmt: skip
    main.add_command(command)
