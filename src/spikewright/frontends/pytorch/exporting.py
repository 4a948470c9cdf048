"""A live module becomes an exported program, quietly; the module itself is left as it was.

Where it cannot be traced, the error says why, at which place, and what else would do.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.modules import transformer
from torch.nn.modules.module import register_module_forward_hook

from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.pytorch.arguments import (
    OperatorArguments,
    calls_of,
    inference,
    set_by_forward,
    variants,
)
from spikewright.frontends.pytorch.custom_op_wrapper import (
    as_operators,
    ask_every_expert,
    by_lengths,
)

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


_PYTORCH = Path(torch.__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))


class _Text(io.StringIO):
    """A stream in memory in the place of standard error, whose file faults are written to."""

    def fileno(self) -> int:
        stream = sys.__stderr__
        return super().fileno() if stream is None else stream.fileno()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of PyTorch's reaches the screen; a `ReadError` has it in its `details`.

    Warnings of code that is not PyTorch's are given again at the end, where nothing was refused.
    """
    printed = _Text()
    try:
        with ExitStack() as stack:
            stack.enter_context(_logged(printed))
            stack.enter_context(redirect_stderr(printed))
            warned = stack.enter_context(warnings.catch_warnings(record=True))
            yield
    except ReadError as error:
        texts = [str(one.message) for one in warned]
        error.details = "\n".join([*texts, printed.getvalue()]).strip()
        if error.details:
            error.add_note("What PyTorch said beside it is in `details` of the error.")
        raise
    for one in warned:
        if not _is_inside(Path(one.filename)):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _is_inside(path: Path) -> bool:
    """Whether a file is PyTorch's, or of the standard library that PyTorch calls."""
    own = path.is_relative_to(_PYTHON) and "site-packages" not in path.parts
    return own or path.is_relative_to(_PYTORCH)


@contextmanager
def _logged(stream: io.StringIO) -> Iterator[None]:
    """PyTorch's loggers write to a stream in place of standard error."""
    screen = (sys.stderr, sys.__stderr__)
    moved = {handler: handler.stream for handler in _handlers() if handler.stream in screen}
    for handler in moved:
        handler.stream = stream
    try:
        yield
    finally:
        for handler in _handlers():  # some are made in between
            if handler.stream is stream:
                handler.stream = moved.get(handler, screen[0])


def _handlers() -> list[Any]:
    """The handlers by which PyTorch's loggers write to streams."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("torch")]
    found = [handler for name in names for handler in logging.getLogger(name).handlers]
    return [handler for handler in found if isinstance(handler, logging.StreamHandler)]


class Traced(NamedTuple):
    """A module's program for the first `samples` of the example, which `call` holds.

    `changed` are the attributes that forward has set.
    """

    program: Any
    call: OperatorArguments
    changed: Sequence[str]
    samples: int


def trace(module: Any, example_input: Any, opaque: Sequence[Any] = ()) -> Traced:
    """Trace a module in evaluation mode, on the first sample of the example.

    Where it does not take one sample, it is traced on all of the example. `opaque` parts are called
    by an operator each. Raises `ReadError` when there is no usable example input or `torch.export`
    cannot trace it.
    """
    if example_input is None:
        raise ReadError(
            f"a {type(module).__name__} is read by tracing it, which needs an example input. "
            f"{advise('example of a module')}."
        )
    calls = calls_of(module, example_input)
    failures = list[Failure]()
    with _plain_attention():
        for count in dict.fromkeys((1, len(calls[0].tensors[0]))):
            found = _first_traced(module, calls, count, opaque, failures)
            if found is not None:
                return found
    furthest = max(failures, key=lambda failure: len(failure.done))
    raise failed(module, furthest) from furthest.error


def _first_traced(
    module: Any,
    calls: Sequence[OperatorArguments],
    count: int,
    opaque: Sequence[Any],
    failures: list[Failure],
) -> Traced | None:
    """The first way to give so many samples that can be traced; notes the failures of others."""
    doubtful = None
    for call in calls:
        for given in variants(module, call):
            made_float = call.whole and not given.whole
            traced = _traced(module, given, count, made_float, opaque)
            if isinstance(traced, Failure):
                failures.append(traced)
            elif made_float and _makes_whole(traced.program):
                doubtful = doubtful or traced
            else:
                return traced
    return doubtful


def _makes_whole(program: Any) -> bool:
    """Whether an operator makes whole numbers of an input, which then is to hold such itself."""
    inputs = {
        node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs
    }
    made = [user.meta.get("val") for node in inputs for user in node.users]
    return any(isinstance(v, torch.Tensor) and not v.is_floating_point() for v in made)


def _traced(
    module: Any,
    call: OperatorArguments,
    count: int,
    called: bool = False,
    opaque: Sequence[Any] = (),
) -> Traced | Failure:
    """The program of the first `count` samples of a call, or the reason why there is none.

    The module is `called` too, where tracing may accept inputs that a call does not, such as
    numbers of rows that are not whole.
    """
    given, done = call.rows(count), list[Any]()
    with inference(module, given.args, given.kwargs) as before:
        changed = set_by_forward(module, before)
        register_module_forward_hook(lambda part, args, output: done.append(part))
        try:
            ask_every_expert(module)
            as_operators(module, opaque, given)
            with by_lengths(module) if count == 1 else nullcontext():
                program = torch.export.export(module, given.args, dict(given.kwargs), strict=False)
            if called:
                module(*given.args, **given.kwargs)
            return Traced(program, call, changed, count)
        except Exception as error:
            return Failure(call, error, done)


def export(module: Any, example_input: Any) -> Any:
    """The program of a module for one sample; raises as `trace` does."""
    return trace(module, example_input).program


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention and transformer layers as their own code, not as one fused operator.

    Transformers also look at the values of a mask, to find out whether it is a causal one; tracing
    cannot, and their results do not depend on it.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    detect = getattr(transformer, "_detect_is_causal_mask", None)
    torch.backends.mha.set_fastpath_enabled(False)
    if detect is not None:
        transformer._detect_is_causal_mask = _as_given
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        if detect is not None:
            transformer._detect_is_causal_mask = detect


def _as_given(mask: Any, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Whether the caller says that the mask is causal."""
    return bool(is_causal)
