"""Options of functions and of commands, each declared once.

A group of options is a `TypedDict` whose items say their type, default, meaning and check:

    class Computed(TypedDict, total=False):
        seed: Annotated[int, Option(0, "Seed of all that is random.", whole(0))]

    @declared(SimulationError)
    def run(x: Any, **options: Unpack[Computed]) -> Run:
        \"\"\"Run the network.\"\"\"

`run` gets every option, checked and with its default where none was given. Its signature and its
docstring name them all, for `help`, notebooks and the site; the command line reads the same groups.

An unknown keyword is an error that suggests the one that may be meant.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, wraps
from types import MappingProxyType, NoneType, UnionType
from typing import Any, ForwardRef, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SpikewrightError

P = ParamSpec("P")
R = TypeVar("R")

_NOTHING: Mapping[str, str] = MappingProxyType({})


def suggests_keywords(
    hints: Mapping[str, str] = _NOTHING,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: the `TypeError` for an unknown keyword suggests the one that may be meant.

    `hints` maps names from other libraries to a sentence that names the argument here.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = tuple(inspect.signature(function).parameters)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse_unknown(function, kwargs, known, hints)
            return function(*args, **kwargs)

        return checked

    return decorate


def refuse_unknown(
    function: Callable[..., object],
    given: Iterable[str],
    known: Collection[str],
    hints: Mapping[str, str] = _NOTHING,
) -> None:
    """Raise `TypeError` for keywords that are not `known`, with the one that each may mean."""
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    *_, owner, called = ("", *function.__qualname__.split("."))
    called = owner if called == "__init__" else called
    hints_found = [did_you_mean(name, known, hints) for name in unknown]
    sentences = [
        f"{called}() has no argument {name!r}. {hint}".strip()
        for name, hint in zip(unknown, hints_found, strict=True)
    ]
    raise TypeError(" ".join(sentences))


def did_you_mean(name: str, known: Iterable[str], hints: Mapping[str, str] = _NOTHING) -> str:
    """A sentence that suggests what an unknown name stands for; "" where no known name is near."""
    known = list(known)
    near = [name] if name in hints else get_close_matches(name, [*known, *hints], 1)
    if near and near[0] in hints:
        return hints[near[0]]
    return f"Did you mean {near[0]!r}?" if near else ""


REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has to be given."""


@dataclass(frozen=True)
class Check:
    """A rule for values: `must` completes "seed must be ..."; `then` is the next rule."""

    must: str
    holds: Callable[[Any], bool]
    then: Check | None = None

    def broken(self, value: Any) -> str:
        """The words of the first rule that a value does not keep; "" where it keeps all."""
        if not self.holds(value):
            return self.must
        return "" if self.then is None else self.then.broken(value)


def whole(least: int, most: int | None = None) -> Check:
    """A whole number from `least`, to `most` where there is a bound."""
    to = "" if most is None else f" to {most}"
    return Check(
        f"a whole number from {least}{to}",
        lambda value: is_whole(value) and least <= value and (most is None or value <= most),
    )


def number(least: float = -1e300, above: float | None = None, most: float = 1e300) -> Check:
    """A number from `least` or above `above`, to `most` where there is a bound."""
    low = f" above {above:g}" if above is not None else f" from {least:g}" * (least > -1e300)
    high = f"{' and up' if above is not None else ''} to {most:g}" if most < 1e300 else ""
    return Check(
        f"a number{low}{high}",
        lambda value: (
            is_number(value) and least <= value <= most and (above is None or value > above)
        ),
    )


def one_of(names: Iterable[Any]) -> Check:
    """One of some values."""
    known = tuple(names)
    return Check(
        f"one of {', '.join(map(repr, known))}",
        lambda value: any(isinstance(value, type(one)) and value == one for one in known),
    )


_TRUTH = Check("True or False", lambda value: isinstance(value, bool))


@dataclass(frozen=True)
class Option:
    """The default of an option, its meaning in a sentence, and the check of values given for it."""

    default: Any
    help: str
    check: Check | None = None


@dataclass(frozen=True)
class Declared:
    """One option of a group: its name and type, and what is declared about it."""

    name: str
    type: Any
    option: Option

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have, without None."""
        several = get_args(self.type) if _is_union(self.type) else (self.type,)
        return tuple(kind for kind in several if kind is not NoneType)

    @property
    def optional(self) -> bool:
        """True where the type allows None."""
        return _is_union(self.type) and NoneType in get_args(self.type)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a type that is a `Literal`; none of another."""
        kind = self.kinds[0] if len(self.kinds) == 1 else None
        return get_args(kind) if get_origin(kind) is Literal else ()

    @property
    def item(self) -> Any:
        """The type of the items of a sequence; None for another type."""
        kind = self.kinds[0] if len(self.kinds) == 1 else None
        return get_args(kind)[0] if get_origin(kind) is Sequence else None

    @property
    def check(self) -> Check | None:
        """The check that was declared, or what the type says by itself."""
        if self.option.check is not None:
            return self.option.check
        if self.choices:
            return one_of(self.choices)
        return _TRUTH if self.type is bool else None

    def problem(self, value: Any) -> str:
        """What is wrong with a value, to follow the option's name; "" for values it can have."""
        if self.check is None or (value is None and self.optional):
            return ""
        must, none = self.check.broken(value), "None or " * self.optional
        return f"must be {none}{must}, got {value!r}" if must else ""

    @property
    def parameter(self) -> inspect.Parameter:
        """The option in a signature."""
        kind = inspect.Parameter.KEYWORD_ONLY
        default, annotation = self.option.default, self.type
        return inspect.Parameter(self.name, kind, default=default, annotation=annotation)

    def __str__(self) -> str:
        default = self.option.default
        stated = default is not REQUIRED and default is not None and default != ()
        default_text = f" (default {default!r})" if stated else ""
        return f"* `{self.name}`{default_text}: {self.option.help}"


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


@cache
def options_of(group: Any) -> Mapping[str, Declared]:
    """The options of a group and of those that it inherits, by name in the order of declaration."""
    found = {}
    for name, stated in group.__annotations__.items():
        hint = _hint(stated)
        options = [item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Option)]
        if options:
            found[name] = Declared(name, hint.__origin__, options[0])
    return MappingProxyType(found)


def _hint(stated: Any) -> Any:
    """The type that an item of a group has, in the names of the module that declares it."""
    if isinstance(stated, ForwardRef):  # with `from __future__ import annotations`
        module = sys.modules[str(stated.__forward_module__)]
        return eval(stated.__forward_arg__, vars(module))
    return stated


def checked(
    group: Any, given: Mapping[str, Any], error: type[SpikewrightError] | None
) -> dict[str, Any]:
    """Every option of a group, with its default where none is given.

    Raises `error` for a value that an option cannot have; with None nothing is checked.
    """
    options = options_of(group)
    for name, value in given.items():
        if error and name in options and (reason := options[name].problem(value)):
            raise error(f"{name} {reason}")
    return {name: given.get(name, one.option.default) for name, one in options.items()}


def declared(
    error: type[SpikewrightError] | None, hints: Mapping[str, str] = _NOTHING
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of a function whose last parameter is `**options: Unpack[GROUP]`.

    It gets all options of the group. They stand in its signature and at the end of its docstring.
    Calls raise `error` for a value that an option cannot have (None leaves that to the function),
    and `TypeError` for an unknown or a missing one, naming it and one that may be meant. `hints`
    maps names from other libraries to a sentence that names the option here.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        group = _group(function)
        options = options_of(group)
        parameters = sorted([*own, *(o.parameter for o in options.values())], key=_place)
        known = [parameter.name for parameter in parameters]
        needed = [name for name, one in options.items() if one.option.default is REQUIRED]

        @wraps(function)
        def called(*args: Any, **given: Any) -> R:
            refuse_unknown(function, given, known, hints)
            missing = [name for name in needed if name not in given]
            if missing:
                names = " and ".join(map(repr, missing))
                raise TypeError(f"{function.__name__}() needs the argument {names}")
            others = {name: value for name, value in given.items() if name not in options}
            return function(*args, **others, **checked(group, given, error))

        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        listed = "\n".join(map(str, options.values()))
        called.__doc__ = f"{inspect.getdoc(function) or ''}\n\nOptions:\n\n{listed}\n"
        return called

    return decorate


def _place(parameter: inspect.Parameter) -> int:
    """Positional parameters first, then those by keyword that have to be given."""
    by_keyword = parameter.kind is parameter.KEYWORD_ONLY
    return int(parameter.kind) + (by_keyword and parameter.default is not parameter.empty)


def _group(function: Callable[..., Any]) -> Any:
    """The `TypedDict` that a function unpacks its options from."""
    *_, last = inspect.signature(function).parameters.values()
    hint = last.annotation
    if isinstance(hint, str):  # with `from __future__ import annotations`
        hint = eval(hint, function.__globals__)
    return get_args(hint)[0]
