"""Commands made from declared options: no option of a command is made anywhere else but of files.

A command has the options of the groups that its library function takes, in the words that are
declared there. `option_texts.py` says how values are written whose type does not say it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypedDict

import click

from spikewright._base.options import REQUIRED, Declared, Option, options_of, whole
from spikewright.choosing.coding import RateCode
from spikewright.choosing.correction import CORRECTIONS
from spikewright.choosing.rules import ScaleRule
from spikewright.cli import option_texts
from spikewright.cli.given import Given
from spikewright.cli.option_texts import FORMS, PYTHON_ONLY, OptionForm, between_commas, by_layer
from spikewright.cli.resuming import resumable
from spikewright.conversion.options import GivenOptions
from spikewright.engines.settings import StepOptions
from spikewright.quantising import Quantised

Function = Callable[..., Any]
_READ: Mapping[Any, Callable[[str], Any]] = {
    int: option_texts.whole, float: option_texts.number, str: str
}  # fmt: skip
_KINDS: Mapping[Any, str] = {option_texts.whole: "integer", option_texts.number: "float"}
"""The word for a number in usage errors and metavars, by the function that reads it."""


class SampleOptions(TypedDict, total=False):
    """Options of commands that take samples."""

    limit: Annotated[
        int | None, Option(None, "Use only this many samples, the first ones.", whole(1))
    ]


class RunStepOptions(StepOptions, total=False):
    """The length of a run."""

    steps: Annotated[
        int | None,
        Option(
            None,
            "Time steps for each sample; needed unless --coding or the saved network determines "
            "them.",
            whole(1),
        ),
    ]


class ChoiceOptions(GivenOptions, total=False):
    """The options of a conversion, and what commands have in the place of objects."""

    neurons: Annotated[
        Any,
        Option(
            None,
            "Spiking neurons of a layer, or of all with an activation, such as "
            "conv0=SpikingRectifiedLinear or relu=IntegrateAndFire:max_spikes_per_step=1, "
            "repeated; a layer's name wins, and default means all others. Implies --spiking.",
        ),
    ]


class Text(click.ParamType):
    """The value of an option, read from its text and checked as it is declared."""

    def __init__(self, one: Declared, read: Callable[[str], Any]) -> None:
        self.one, self.read = one, read
        self.name = _KINDS.get(read, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; a usage error for a text that makes none."""
        if not isinstance(value, str):
            return value
        try:
            found = self.read(value)
        except OSError:
            raise  # errors of files are ValueErrors too, and say more than a usage error
        except ValueError as error:
            self.fail(str(error), param, ctx)
        reason = "" if self.one.item is not None else self.one.problem(found)
        if reason:
            self.fail(reason.replace("None or ", ""), param, ctx)
        return found


def command(
    *files: Function,
    groups: Sequence[Any] = (),
    forms: Mapping[str, OptionForm] = MappingProxyType({}),
    without: Collection[str] | None = None,
    spiking: bool = False,
) -> Callable[[Callable[[Given], None]], click.Command]:
    """Decorator: a command with arguments of files, the options of groups, and `--json`.

    The function gets what was given. With `without` the command has the options of a conversion but
    these too. `spiking` commands make spiking networks of models unless `--rate` is given.
    """
    of_choices = set() if without is None else {*options_of(GivenOptions)} - {*forms}
    own: dict[str, Declared] = {}
    for group in groups:
        own |= _of_commands(group, of_choices, forms)
    chosen = {} if without is None else _of_commands(ChoiceOptions, {*without, *own})
    chosen = {n: replace(o, option=replace(o.option, default=None)) for n, o in chosen.items()}

    def decorate(function: Callable[[Given], None]) -> click.Command:
        @wraps(function)
        def called(**values: Any) -> None:
            choices = _choices({n: values.pop(n) for n in chosen}, values.get("dt"))
            settings = {name: values.pop(name) for name in own}
            how = {"spiking": spiking, "may_choose": "scale_firing_rates" in chosen}
            with resumable(settings):
                function(Given(values, choices, settings, values.pop("as_json"), **how))

        made: Any = as_json(called)
        for one in (*reversed(chosen.values()), *reversed(own.values())):
            made = _click(one, forms, spiking)(made)
        for file in reversed(files):
            made = file(made)
        return click.command(function.__name__.strip("_"))(made)

    return decorate


DEBUG_FLAG = "--debug"
debug = click.option(
    DEBUG_FLAG,
    is_flag=True,
    expose_value=False,
    help="Anywhere: after a mistake, also print its details: the traceback, and the message "
    "of the model's framework.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
)


def _of_commands(
    group: Any, without: Collection[str] = (), forms: Mapping[str, OptionForm] = FORMS
) -> dict[str, Declared]:
    """The options of a group that a text can say."""
    known = {*FORMS, *forms}
    found = {n: one for n, one in options_of(group).items() if n not in {*without, *PYTHON_ONLY}}
    return {name: one for name, one in found.items() if name in known or _reader(one) is not None}


def _reader(one: Declared) -> Callable[[str], Any] | None:
    """The function that reads a value of an option's type; None where no text says one."""
    if one.choices or bool in one.kinds:
        return str
    if set(one.kinds) in ({Path}, {str, Path}):
        return Path if one.kinds == (Path,) else str
    kind = one.item or (one.kinds[0] if len(one.kinds) == 1 else None)
    return _READ.get(kind)


def _click(one: Declared, forms: Mapping[str, OptionForm], spiking: bool) -> Function:
    """The click option of a declared one."""
    form, option = forms.get(one.name, FORMS.get(one.name, OptionForm())), one.option
    name = one.name.replace("_", "-")
    help = form.help or option.help
    if one.name == "spiking":
        default_text = "Spiking neurons (default)" if spiking else "Spiking neurons"
        rate = "rate neurons" if spiking else "(default) rate neurons"
        help = f"{default_text}, or {rate}, which compute what the model does."
        return click.option(form.flag, default=None, help=help)
    if bool in one.kinds:
        flags = f"--{name}" if option.default is False else f"--{name}/--no-{name}"
        return click.option(flags, one.name, is_flag=True, default=option.default, help=help)
    repeated = one.item is not None and form.read is None
    several = bool(form.several) or repeated
    if repeated and not form.help:
        help = f"{help.removesuffix('.')}; repeat the option for more."
    flag = form.flag or f"--{name.removesuffix('s') if repeated else name}"
    shown = not several and option.default not in (None, REQUIRED)
    reader = form.read or _reader(one) or str
    kind: Any = click.Choice(one.choices) if one.choices else Text(one, reader)
    if reader is Path:
        kind = click.Path(path_type=Path)
    return click.option(
        flag,
        one.name,
        type=str if form.several else kind,
        multiple=several,
        required=option.default is REQUIRED,
        default=None if several or option.default is REQUIRED else option.default,
        show_default=shown,
        metavar=form.metavar or ("PATH" if Path in one.kinds else None),
        callback=_gathering(one, form, reader) if several else None,
        help=help,
    )


def _gathering(one: Declared, form: OptionForm, read: Callable[[str], Any]) -> Callable[..., Any]:
    """The callback of an option that is given several times or in parts."""

    def gather(ctx: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> Any:
        if not values:
            return one.option.default
        if form.several == "commas":
            return between_commas(values, read, form.metavar or "")
        if form.several != "named":
            return list(values)
        found = by_layer(values, read, (form.metavar or "VALUE").rpartition("=")[2])
        if "=" in (form.metavar or "") and not isinstance(found, dict):
            raise click.BadParameter(f"give {form.metavar}, got {values[0]!r}")
        return found

    return gather


def _choices(given: Mapping[str, Any], dt: float | None) -> dict[str, Any]:
    """The arguments of `convert` that a command was given, for steps of `dt` seconds.

    Neuron types by name stand in the place of spiking or not. Raises `click.UsageError` beside
    `--rate`.
    """
    found = {name: value for name, value in given.items() if value is not None}
    neurons = found.pop("neurons", None)
    if neurons is not None:
        if found.get("spiking") is False:
            raise click.UsageError("--neurons chooses spiking neurons: leave --rate out")
        found["spiking"] = neurons
    return found if dt is None else {name: in_steps_of(dt, v) for name, v in found.items()}


def in_steps_of(dt: float, value: Any) -> Any:
    """A choice whose rules, corrections and codes, if any, are for steps of `dt` seconds."""
    if isinstance(value, dict):
        return {name: in_steps_of(dt, item) for name, item in value.items()}
    of_time = (ScaleRule, *CORRECTIONS, Quantised, RateCode)
    if isinstance(value, of_time) and hasattr(value, "dt"):
        return replace(value, dt=dt)  # type: ignore[type-var]
    return value
