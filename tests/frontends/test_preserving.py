"""A model is afterwards what it was, whatever read it, called it or failed in between: PyTorch."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize

import spikewright as sw
from spikewright.errors import ReadError
from spikewright.frontends import read
from spikewright.frontends.preserving import preserved
from spikewright.testing.states import differences, left_as_it_was, state_of, state_of_process

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
Change = Callable[[Any], None]


class Memory:
    """An object of a user's own, which is no module."""

    def __init__(self) -> None:
        self.calls, self.seen = 0, {"values": [0.0]}


class Slotted:
    """An object without a dict of attributes."""

    __slots__ = ("absent", "calls")

    def __init__(self) -> None:
        self.calls = 0


class Doubled(nn.Module):
    """A parametrisation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the weights."""
        return 2 * x


class Changing(nn.Module):
    """Computes `relu(W x + b)`, after a change of its own in every call."""

    calls_of_class = 0
    names_of_class: list[str] = []  # noqa: RUF012

    def __init__(self, change: Change) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.change, self.first = change, nn.Linear(3, 4)
        self.norm, self.table = nn.BatchNorm1d(4), nn.Embedding(5, 4, max_norm=0.1)
        self.register_buffer("count", torch.zeros(()))
        self.plain, self.array = torch.zeros(3), np.zeros(3)
        self.memory, self.slotted = Memory(), Slotted()
        self.same = self.memory
        self.items: Any = [1, 2, 3]
        self.kept = {
            "list": [1],
            "set": {1},
            "deque": deque([1], 3),
            "order": OrderedDict(a=1, b=2),
        }
        self.rng, self.generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.old = np.random.RandomState(0)
        self.dice = random.Random(0)
        self.wide = nn.Linear(3, 4)
        parametrize.register_parametrization(self.wide, "weight", Doubled())
        self.first.weight.grad = torch.ones(4, 3)
        self.first.bias.requires_grad_(False)
        self.norm.eval()

    @lru_cache  # noqa: B019
    def grid(self) -> torch.Tensor:
        """A constant, computed once."""
        return torch.ones(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        self.change(self)
        return torch.relu(self.first(x))


def _hooks(m: Changing) -> None:
    """What `transformers` does: hooks on parts at the first call, and a mark on the whole."""
    if not getattr(m, "_hooks_installed", False):
        for part in (m.first, m.norm):
            part.register_forward_hook(lambda *call: None)
            part.register_forward_pre_hook(lambda *call: None)
            part.register_full_backward_hook(lambda *call: None)
            part.register_state_dict_post_hook(lambda *call: None)
            part.register_state_dict_pre_hook(lambda *call: None)
            part.register_load_state_dict_post_hook(lambda *call: None)
            part.register_load_state_dict_pre_hook(lambda *call: None)
        m._hooks_installed = True


def _attributes(m: Changing) -> None:
    m.added, m.training, m.norm.eps = 1, False, 0.5
    m.norm.train()
    if "items" in vars(m):
        del m.items


def _containers(m: Changing) -> None:
    m.kept["more"], m.kept["list"] = 1, [2]
    m.items.append(4)
    m.kept["set"].add(2)
    m.kept["deque"].extend([2, 3, 4])
    m.kept["order"].move_to_end("a")


def _buffers(m: Changing) -> None:
    m.count += 1
    m.register_buffer("more", torch.zeros(2))
    m.norm.running_mean = torch.full((4,), 7.0)
    m.norm.running_var.mul_(2)


def _statistics(m: Changing) -> None:
    m.norm.train()
    m.norm(torch.ones(3, 4))


def _modules(m: Changing) -> None:
    m.norm = nn.BatchNorm1d(4)
    m.extra = nn.Linear(2, 2)
    m.first.forward = lambda x: nn.Linear.forward(m.first, x)


def _parameters(m: Changing) -> None:
    with torch.no_grad():
        m.table(torch.zeros(2, dtype=torch.long))  # a norm of at most .1: written into the weights
        m.wide.bias.add_(1)
        m.wide.parametrizations.weight.original.data = torch.zeros(4, 3)
    m.first.bias.requires_grad_(True)
    m.first.weight.grad.zero_()
    m.first.weight.grad = None
    m.norm.weight.grad = torch.ones(4)
    m.norm.bias.register_hook(lambda gradient: None)
    m.norm.bias.mark = "set"


def _parametrization(m: Changing) -> None:
    if hasattr(m.wide, "parametrizations"):
        parametrize.remove_parametrizations(m.wide, "weight")


def _tensor(m: Changing) -> None:
    m.plain.add_(1)
    m.array += 1


def _objects(m: Changing) -> None:
    m.memory.calls += 1
    m.memory.seen["values"].append(1.0)
    m.memory.more = Memory()
    m.slotted.calls += 1
    m.slotted.absent = 1
    m.same = Memory()


def _class(m: Changing) -> None:
    Changing.calls_of_class += 1
    Changing.names_of_class.append("call")
    Changing.more_of_class = 1  # type: ignore[attr-defined]


def _draws(m: Changing) -> None:
    torch.rand(2)
    np.random.rand(2)
    random.random()
    m.rng.random(), m.old.rand(), m.dice.random()
    torch.rand(2, generator=m.generator)


def _global_hooks(m: Changing) -> None:
    register_module_forward_hook(lambda *call: None)


def _counted() -> Change:
    count, seen = 0, []

    def change(m: Changing) -> None:
        nonlocal count
        count += 1
        seen.append(count)

    return change


CHANGES: dict[str, Callable[[], Change]] = {
    "hooks": lambda: _hooks,
    "attributes": lambda: _attributes,
    "containers": lambda: _containers,
    "buffers": lambda: _buffers,
    "statistics": lambda: _statistics,
    "modules": lambda: _modules,
    "parameters": lambda: _parameters,
    "parametrization": lambda: _parametrization,
    "plain tensors": lambda: _tensor,
    "objects": lambda: _objects,
    "classes": lambda: _class,
    "random numbers": lambda: _draws,
    "global hooks": lambda: _global_hooks,
    "closures": _counted,
}


REFUSED = ("buffers", "parameters", "parametrization", "plain tensors")
"""Changes for which a module is not read."""


@pytest.fixture(autouse=True)
def _classes_as_they_were() -> Iterator[None]:
    """What a test changes in the class is no other test's."""
    yield
    Changing.calls_of_class, Changing.names_of_class = 0, []
    if hasattr(Changing, "more_of_class"):
        del Changing.more_of_class


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_is_seen_by_the_description(kind: str) -> None:
    """The comparison of these tests sees each of the changes, so that the laws below can fail."""
    model = Changing(CHANGES[kind]())
    before = state_of(model) | state_of_process()
    hooks = dict(nn.modules.module._global_forward_hooks)
    try:
        model(X)
        assert differences(before, state_of(model) | state_of_process())
    finally:
        nn.modules.module._global_forward_hooks.clear()
        nn.modules.module._global_forward_hooks.update(hooks)


@pytest.mark.parametrize("kind", CHANGES)
def test_reading_and_calling_leave_a_module_as_it_was(kind: str) -> None:
    """Whatever its forward changes, and whether it is read or refused for it."""
    model = Changing(CHANGES[kind]())
    with left_as_it_was(model):
        try:
            source = read(model, X)
        except ReadError:
            assert kind in REFUSED
            return
        inputs = {"x": X.numpy()}
        with left_as_it_was(model):
            source.call(inputs)
        source.activations(inputs)


ENDS = {
    "refused": (lambda x: torch.linalg.svdvals(x), ReadError),
    "failing": (lambda x: x @ torch.zeros(9, 9), ReadError),
    "interrupted": (lambda x: (_ for _ in ()).throw(KeyboardInterrupt), KeyboardInterrupt),
}


@pytest.mark.parametrize(("kind", "how"), list(zip(CHANGES, cycle(ENDS), strict=False)))
def test_a_module_that_is_not_read_is_left_as_it_was(kind: str, how: str) -> None:
    """A refusal at the end, an error in the middle, an interrupt: whatever had changed by then."""
    end, error = ENDS[how]
    model = Of(lambda m, x: end(m.changing(x)), changing=Changing(CHANGES[kind]()))
    with left_as_it_was(model), pytest.raises(error):
        read(model, X)


def test_a_user_s_recording_hook_records_nothing_of_ours() -> None:
    """The list of a hook is the user's: tracing must not leave its own tensors in it."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    recorded: list[torch.Tensor] = []

    def record(module: Any, args: Any, output: torch.Tensor) -> None:
        recorded.append(output)

    model[0].register_forward_hook(record)
    conversion = sw.convert(model, example_input=X)
    conversion.verify()
    assert recorded == [] and len(model[0]._forward_hooks) == 1


def test_cached_results_are_no_tensors_of_tracing() -> None:
    """A constant that a method caches would else be one of tracing, and the next call fails."""
    model = Of(lambda m, x: m.changing(x) * m.changing.grid(), changing=Changing(lambda m: None))
    read(model, X)
    assert type(model.changing.grid()) is torch.Tensor
    torch.testing.assert_close(model(X), model(X))


def test_an_example_is_left_as_it_was() -> None:
    """A first layer in place writes into what it is given, which is the user's."""
    x = X.clone()
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    source = read(model, x)
    source.call({"input": X.numpy()} if "input" in source.graph else {source.graph.inputs[0]: x})
    assert torch.equal(x, X)


def test_no_tensor_is_copied_that_nothing_writes_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is copied once, before the first write; what is only read stays where it is."""
    model = Changing(lambda m: None)
    copied: list[int] = []
    clone = torch.UntypedStorage.clone

    def counted(storage: Any) -> Any:
        copied.append(storage.nbytes())
        return clone(storage)

    monkeypatch.setattr(torch.UntypedStorage, "clone", counted)
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    with preserved(model):
        model(X)
    assert copied == []
    with preserved(model), torch.no_grad():
        model.first.weight.view(-1)[0] = 1
        model.first.weight.data.add_(1)
    assert copied == [4 * 12]
    assert pointers == [parameter.data_ptr() for parameter in model.parameters()]


def test_one_guard_inside_another_ends_where_it_began() -> None:
    """The inner one puts back what it found, the outer one what there was before."""
    model = Changing(lambda m: None)
    with left_as_it_was(model), preserved(model):
        model.items.append(4)
        model.count += 1
        with preserved(model):
            model.items.append(5)
            model.count += 1
        assert model.items == [1, 2, 3, 4] and model.count == 1


def test_an_interrupt_while_things_are_put_back_comes_after_that() -> None:
    """Half of a model put back would be neither what it was nor what it is."""
    model = Changing(lambda m: None)
    with left_as_it_was(model), pytest.raises(KeyboardInterrupt), preserved(model) as before:
        model.items.append(4)
        model.count += 1
        at = len(before._noted) // 2
        before._noted.insert(at, _Interrupting())
    assert model.items == [1, 2, 3]


class _Interrupting:
    """Something that the user interrupts when it is put back for the first time."""

    times = 0

    def put_back(self) -> None:
        """Interrupted once."""
        self.times += 1
        if self.times == 1:
            raise KeyboardInterrupt


def test_what_threads_share_is_left_alone() -> None:
    """An object with a lock may be changing for others: putting it back would undo their work."""
    import threading

    class Shared(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    model = Changing(lambda m: None)
    model.shared = Shared()
    with preserved(model):
        model.shared.calls = 7
        model.memory.calls = 7
    assert (model.shared.calls, model.memory.calls) == (7, 0)


def test_training_and_running_leave_a_module_as_it_was() -> None:
    """From converting to weights for the source: nothing changes but what is written on demand."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2))
    model[1].register_forward_hook(lambda *call: None)
    x = np.abs(X.numpy()).repeat(8, 0)
    labels = np.arange(len(x)) % 2
    with left_as_it_was(model):
        conversion = sw.convert(model, spiking=True, example_input=X, scale_firing_rates=10)
    for use in (
        lambda: conversion.verify(),
        lambda: conversion.run(x, 8, progress=False),
        lambda: conversion.evaluate(x, labels, 8, progress=False),
        lambda: conversion.train(x, labels, steps=4, epochs=1, progress=False),
    ):
        with left_as_it_was(model):
            result = use()
    with left_as_it_was(model):
        result.source_state()
