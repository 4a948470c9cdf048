"""Modules that cannot be traced: the reason, the place, and the alternatives."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.pytorch.arguments import OperatorArguments

_QUANTISED = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torch.ao.quantization.fake_quantize",
    "torch.ao.quantization.observer",
    "torch.nn.quantized",
)
_PLAIN = (torch.Tensor, torch.nn.Parameter)
_TABLES = (torch.nn.Embedding, torch.nn.EmbeddingBag)


def refuse_kind(module: Any) -> None:
    """Raise `ReadError` for modules of kinds that are never traced."""
    if isinstance(module, torch.jit.ScriptModule):
        raise ReadError(
            f"a {type(module).__name__} holds no Python code to trace. Give the module that it was "
            "compiled from, or a .pt2 file."
        )
    if any(isinstance(p, torch.nn.UninitializedParameter) for p in module.parameters()):
        raise ReadError(
            f"the {type(module).__name__} has lazy layers without weights. Run it once first."
        )
    quantised = _quantised(module)
    if quantised:
        raise ReadError(
            f"the {type(module).__name__} has quantised layers, {quantised}, whose values are "
            "packed as whole numbers, or watched to become such. Give the float model that it was "
            "made from."
        )


def _quantised(module: Any) -> str:
    """The first part that is of a quantiser, with its class, or an empty text."""
    for path, part in module.named_modules():
        kinds = [type(weight) for weight in part.parameters(recurse=False)]
        kinds = [kind for kind in kinds if kind not in _PLAIN and hasattr(kind, "dequantize")]
        if type(part).__module__.startswith(_QUANTISED):
            kinds = [type(part)]
        if kinds:
            return f"{path!r} ({kinds[0].__name__})"
    return ""


class Failure(NamedTuple):
    """A call that could not be traced, why, and the modules that had returned by then."""

    call: OperatorArguments
    error: Exception
    done: Sequence[Any]


def failed(module: Any, failure: Failure) -> ReadError:
    """The error for a module that `torch.export` could not trace."""
    if failure.call.misfit:
        return ReadError(f"{failure.call.misfit} As its only argument: {_reason(failure.error)}.")
    place = _place(module, failure.error)
    inside = ""
    if place:
        inside = f", inside {place!r} ({type(module.get_submodule(place)).__name__})"
    moves = ". ".join(_moves(module, place, failure))
    return ReadError(
        f"torch.export cannot trace this {type(module).__name__}{inside}: "
        f"{_reason(failure.error)}. The example input was {failure.call}. {moves}."
    )


def untraceable_part(module: Any, error: ReadError) -> Any | None:
    """The part in whose code tracing failed, from the error of `failed`; None for the whole."""
    cause = error.__cause__
    place = _place(module, cause) if isinstance(cause, Exception) else ""
    return module.get_submodule(place) if place else None


def _moves(module: Any, place: str, failure: Failure) -> Iterator[str]:
    """The next moves: another example, other code, a part of the module, or a call of a part."""
    call = failure.call
    if isinstance(module.get_submodule(place), _TABLES) and not call.whole:
        yield advise("numbers of rows")
        return
    absent = call.absent(module)
    if absent and "NoneType" in str(failure.error):
        yield advise("absent arguments", names=" or ".join(absent[:4]))
        return
    runs = _runs(module, call)
    if not runs:
        yield advise("example that the module takes")
    elif _is_branch(failure.error):
        yield advise("branches")
    found = _parts(module, place, failure) if runs or failure.done else []
    parts = [f"model.{name} ({kind})" for name, kind in found]
    if parts:
        yield advise("part of a module", part=" or ".join(parts))
    if place and runs and not is_asked_for():
        yield advise("call of a part")


def _runs(module: Any, call: OperatorArguments) -> bool:
    """Whether the module's own call takes the example."""
    try:
        with torch.no_grad():
            module(*call.args, **call.kwargs)
    except Exception:
        return False
    return True


def _is_branch(error: Exception) -> bool:
    """Whether code went on by the value of a tensor."""
    return "DataDependent" in type(error).__name__


def _place(module: Any, error: Exception) -> str:
    """Path of the innermost part in whose code it failed; empty for the module itself."""
    paths = {id(part): path for path, part in module.named_modules()}
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    found = [paths[own] for frame in frames if (own := id(frame.f_locals.get("self"))) in paths]
    return found[-1] if found else ""


def _parts(module: Any, place: str, failure: Failure) -> list[tuple[str, str]]:
    """The two largest children with their kinds: of those that had returned, if there are any."""
    children = {name: part for name, part in module.named_children() if _size(part)}
    children.pop(place.split(".")[0], None)
    done = {name: part for name, part in children.items() if part in failure.done}
    found = sorted((done or children).items(), key=lambda child: -_size(child[1]))
    return [(name, type(part).__name__) for name, part in found[:2]]


def _size(part: Any) -> int:
    return sum(weight.numel() for weight in part.parameters())


def _reason(error: Exception) -> str:
    """The first lines of PyTorch's message, or its meaning where it names an internal symbol."""
    kind, text = type(error).__name__, str(error)
    if _is_branch(error):
        caused = re.search(r"Caused by: \((.*?)\)", text)
        where = f" ({caused[1]})" if caused else ""
        return f"how it goes on depends on the values of its input{where}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{kind}: {' '.join(lines[:3])[:400]}".rstrip(".")
