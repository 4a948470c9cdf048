"""Every network twice from one seed: one is read, the other never, and then they are compared.

Neither was called before, since many networks prepare themselves in their first call. They are
compared as they are, by the outputs of two calls, and after these; the random states by what they
were before. Each is read, verified and refused, those of `transformers` with hidden states too.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.families.apart import Row
from benchmarks.families.member import Member, Origin
from benchmarks.families.origins import found

UNCHANGED, CHANGED = "unchanged", "changed"
SHOWN = 5  # differences that a row quotes


def compared(key: str) -> Row:
    """The row of a network: how many differences there are between the one read and its twin."""
    origin, name, member = found(key)
    begin, lines, uses = time.process_time(), list[str](), 0
    for hidden in (False, True) if origin.title == "transformers" else (False,):
        for refused in (False, True):
            uses += 1
            used, never = (_made(origin, name, member, hidden, refused) for _ in range(2))
            lines += _differences(used, never, origin, member, refused)
    row: Row = {"outcome": CHANGED if lines else UNCHANGED, "differences": len(lines), "uses": uses}
    if lines:
        row["why"] = "; ".join(lines[:SHOWN])
    return row | {"seconds": time.process_time() - begin}


def _made(origin: Origin, name: str, member: Member, hidden: bool, refused: bool) -> Any:
    """A network that nothing has called yet; one that is `refused` ends in what no reader takes."""
    if origin.keras:
        from spikewright.frontends.keras.loading import import_keras

        import_keras().backend.clear_session()  # its names begin anew
    model = origin.make(name, member)
    if name.startswith("detection."):
        model.eval()  # in training it wants targets
    if hidden:
        model.config.output_hidden_states = True
    if not refused:
        return model
    return _refused_model(model) if origin.keras else _refused_module(model)


def _refused_module(model: Any) -> Any:
    """A module behind whose output is an operator that no reader takes."""
    import torch

    class Refused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            outputs = torch.utils._pytree.tree_leaves(self.inner(*args, **kwargs))
            first = next(leaf for leaf in outputs if isinstance(leaf, torch.Tensor))
            return torch.special.bessel_j0(first)

    return Refused()


def _refused_model(model: Any) -> Any:
    """The same around a Keras model."""
    import torch

    from spikewright.frontends.keras.loading import import_keras

    keras = import_keras()
    first, *_ = keras.tree.flatten(model(model.input))
    end = keras.layers.Lambda(lambda x: torch.special.bessel_j0(x), first.shape[1:])
    return keras.Model(model.input, end(first))


def _differences(
    used: Any, never: Any, origin: Origin, member: Member, refused: bool
) -> Iterator[str]:
    """A line for each difference between a network that is used here and its twin."""
    from spikewright.testing.states import differences, state_of, state_of_process

    if state_of(never) != state_of(used):
        raise AssertionError(
            f"twins differ at first: {differences(state_of(never), state_of(used))}"
        )
    _seeded()
    before = state_of_process()
    _use(used, member, origin.example, refused)
    yield from differences(before, state_of_process())
    yield from differences(state_of(never), state_of(used))
    for call in ("first call", "second call"):
        outputs = [_outputs(origin, model, member) for model in (never, used)]
        if len(outputs[0]) != len(outputs[1]):
            yield f"{call}: {len(outputs[0])} outputs -> {len(outputs[1])}"
        for one, other in zip(*outputs, strict=False):
            if one.shape != other.shape or not np.array_equal(one, other, equal_nan=True):
                yield f"{call}: an output differs"
        yield from (
            f"after the {call}: {line}" for line in differences(*map(state_of, (never, used)))
        )


def _use(model: Any, member: Member, with_example: bool, refused: bool) -> None:
    """Convert and verify a network; raises where one that is to be refused is not."""
    import spikewright as sw
    from spikewright.errors import ReadError, SpikewrightError

    samples = member.samples(2)
    example = samples if with_example else None
    try:
        sw.convert(model, spiking=True, example_input=example).verify(samples)
    except ReadError:
        return
    except SpikewrightError:
        if refused:
            raise
        return  # such as a network that differs: it is to be as it was all the same
    if refused:
        raise AssertionError("it was to be refused, and was not")


def _outputs(origin: Origin, model: Any, member: Member) -> list[Any]:
    """The outputs of a call as a user makes it, in the model's own mode, from one random state."""
    import torch

    _seeded()
    with torch.no_grad():
        made = origin.call(model, member.samples(2))
    leaves = torch.utils._pytree.tree_leaves(made)
    return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _seeded() -> None:
    import torch

    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
