"""Modules in the forms that people bring: optional arguments, state, kinds that are not traced."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check_values
from torch import nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends import read

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
SEQUENCE = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))


class _Optional(nn.Module):
    """Arguments that may be left out, and options."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(
        self, image: Any = None, text: Any = None, scale: float = 1.0, *, twice: bool = False
    ) -> Any:
        y = 0 if image is None else self.image(image) * scale
        y = y if text is None else y + self.text(text)
        return 2 * y if twice else y


@pytest.mark.parametrize(
    ("example", "inputs"),
    [
        (X, ["image"]),
        ((X, None), ["image"]),
        ({"image": X}, ["image"]),
        ({"text": X[:, :2]}, ["text"]),
        ({"text": X[:, :2], "image": X}, ["image", "text"]),
        ([X, X[:, :2]], ["image", "text"]),
        ({"image": X, "scale": 2.0, "twice": True}, ["image"]),
        ((X, None, 0.5), ["image"]),
    ],
)
def test_optional_arguments(example: Any, inputs: list[str]) -> None:
    """What is not given is no input, and options are what they were in the example."""
    source = read(_Optional(), example)
    assert list(source.graph.inputs) == inputs
    check_values(source)


class _Remembering(nn.Module):
    """A recurrent layer whose state is kept from call to call, as `kind` says."""

    def __init__(self, kind: str, batch: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.kind = nn.RNN(4, 3, batch_first=True), kind
        self.state = None if kind == "none" else torch.zeros(1, batch, 3)
        self.past: list[torch.Tensor] = []
        if kind == "buffer":
            del self.state
            self.register_buffer("state", torch.zeros(1, batch, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "list":
            y, last = self.rnn(x, self.past[-1] if self.past else None)
            self.past.append(last)
            return y
        y, self.state = self.rnn(x, self.state)
        return y


@pytest.mark.parametrize(
    ("kind", "name", "example"),
    [
        ("none", "attribute 'state'", SEQUENCE),
        ("tensor", "attribute 'state'", SEQUENCE),
        ("tensor", "attribute 'state'", SEQUENCE[:1]),
        ("list", "attribute 'past'", SEQUENCE),
        ("buffer", r"layer 'state' \(buffer\)", SEQUENCE),
    ],
)
def test_state_that_is_kept_in_the_module_is_refused(kind: str, name: str, example: Any) -> None:
    """By name, with what to do; the module is as it was, and so is what it says."""
    model = _Remembering(kind, len(example))
    with pytest.raises(UnsupportedLayerError, match=rf"{name}.*earlier inputs.*as an argument"):
        read(model, example)
    assert model.past == [] and not model._forward_hooks
    assert model.state is None if kind == "none" else not model.state.any()
    again = _Remembering(kind, len(example))
    torch.testing.assert_close(model(example), again(example))


class _Leaving(nn.Module):
    """Attributes that are set, and never read before they are: they are no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.calls, self.seen = nn.LSTM(4, 3, batch_first=True), 0, {"first": None}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.hidden = (torch.zeros(1, len(x), 3), torch.zeros(1, len(x), 3))
        y, self.hidden = self.rnn(x, self.hidden)
        self.seen["first"] = y
        return y


def test_attributes_that_are_set_anew_are_no_state() -> None:
    """A module that begins every call alike is read, and left without what tracing set."""
    model = _Leaving()
    conversion = sw.convert(model, example_input=SEQUENCE)
    conversion.verify()
    assert conversion.source is not None
    conversion.source.call({"x": SEQUENCE.numpy()})
    assert not hasattr(model, "hidden")
    assert (model.calls, model.seen) == (0, {"first": None})


def test_a_state_that_is_passed_is_an_input() -> None:
    """What the refusal says works: the state is an argument with its batch axis first."""

    def forward(m: Any, x: torch.Tensor, state: torch.Tensor) -> Any:
        y, last = m.rnn(x, state.transpose(0, 1).contiguous())
        return y, last.transpose(0, 1)

    model = Of(forward, rnn=nn.RNN(4, 3, batch_first=True))
    check_values(read(model, (SEQUENCE, torch.zeros(2, 1, 3))))
    with pytest.raises(ReadError, match=r"same size.*as a recurrent layer does its state"):
        read(model, (SEQUENCE, torch.zeros(1, 2, 3)))


class _Cache:
    """Something that PyTorch does not know to hold tensors."""

    def __init__(self, kept: torch.Tensor) -> None:
        self.kept = kept


def test_what_is_returned_beside_tensors_is_no_output() -> None:
    """A cache and settings among the outputs are left out, and the others keep their names."""

    def forward(m: Any, x: torch.Tensor) -> Any:
        y = torch.relu(x)
        return {"cache": _Cache(y), "hidden": y * 2, "steps": 3, "more": [_Cache(x), y + 1]}

    source = read(Of(forward), X)
    assert list(source.graph.outputs) == ["hidden", "more_1"]
    check_values(source)
    asked = source.call({"inputs_0": X.numpy()})
    np.testing.assert_allclose(asked["more_1"], X.relu().numpy() + 1, rtol=1e-6)


def test_a_module_that_takes_one_sample_alone() -> None:
    """A batch of one is doubled for tracing, unless the module takes no other."""
    rnn = nn.RNN(4, 3, batch_first=True)
    model = Of(lambda m, x: m.rnn(x, torch.full((1, 1, 3), 0.5))[0], rnn=rnn)
    source = read(model, SEQUENCE[:1])
    check_values(source)
    check_values(source, batch=1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: Any) -> None:
    """Weights and inputs of sixteen bits are read; what is read is exact, as to the weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
    conversion = sw.convert(model, example_input=X.to(dtype))
    given = X.to(dtype)
    expected = model.double()(given.double()).detach().numpy()
    for x in (given, given.float().numpy()):
        found = conversion.run(x, steps=1, progress=False).predict()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class _Upcasting(nn.Module):
    """Normalised in float32, as language models of sixteen bits do it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        wide = y.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.last(wide.to(y.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_to_the_precision_of_the_model_itself(dtype: Any) -> None:
    """A model of sixteen bits may compute in float32 on the way; in a wider model it rounds."""
    torch.manual_seed(0)
    assert read(_Upcasting().to(dtype), X.to(dtype)).graph
    with pytest.raises(UnsupportedLayerError, match="rounds values to"):
        read(Of(lambda m, x: m.linear(x).to(dtype).float(), linear=nn.Linear(4, 3)), X)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_masks_may_be_inputs(dtype: Any) -> None:
    """Truth values, whole numbers or any others: zero hides a value, all else leaves it."""

    def forward(m: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(~mask.bool(), 0.0)

    mask = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    conversion = sw.convert(Of(forward), example_input=(X, mask.to(dtype)))
    assert conversion.verify((X, mask.to(dtype)))
    check_values(read(Of(lambda m, x: forward(m, x, torch.tensor([1, 0, 1, 1]))), X))


def test_weights_without_a_model(tmp_path: Path) -> None:
    """A state dict, a checkpoint and files of them: build the model first; nothing is unpickled."""
    state = nn.Linear(4, 3).state_dict()
    for weights in (state, {"epoch": 3, "state_dict": state}):
        with pytest.raises(ReadError, match=r"weights and no model.*Build the model first"):
            sw.convert(weights, example_input=X)
    for name in ("w.pth", "w.pt", "w.ckpt", "w.safetensors"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
        with pytest.raises(ReadError, match=rf"{name}.*never opened.*model.load_state_dict\("):
            sw.convert(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        sw.convert(tmp_path / "none.pth")


class _Tokens(Of):
    """A table of rows beside its function."""

    def __init__(self, function: Any) -> None:
        torch.manual_seed(0)
        super().__init__(function, words=nn.Embedding(6, 4), last=nn.Linear(4, 3))


IDS = torch.randint(6, (3, 5), generator=torch.Generator().manual_seed(2))
BY_NUMBER = {
    "an embedding": lambda m, ids: m.words(ids),
    "a table by index": lambda m, ids: m.words.weight[ids],
    "a table by index_select": lambda m, ids: m.words.weight.index_select(
        0, ids.flatten()
    ).unflatten(0, ids.shape),
    "one-hot": lambda m, ids: F.one_hot(ids, 6).float() @ m.words.weight,
}


@pytest.mark.parametrize("name", list(BY_NUMBER))
def test_whole_numbers_that_look_rows_up(name: str) -> None:
    """Inputs of whole numbers stay such where the module itself takes nothing else."""
    model = _Tokens(lambda m, ids: m.last(torch.relu(BY_NUMBER[name](m, ids)).mean(1)))
    conversion = sw.convert(model, example_input=IDS)
    conversion.verify(IDS)
    found = conversion.run(IDS, steps=1, progress=False).predict()
    np.testing.assert_allclose(found, model(IDS).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_whole_numbers_that_are_values_are_numbers() -> None:
    """Pixels from 0 to 255 are values like any others: nothing wraps, nothing is whole."""
    pixels = torch.randint(256, (3, 4), dtype=torch.uint8)
    source = read(Of(lambda m, x: 3 * x + 0.5), pixels)
    check_values(source)


CHOSEN = {
    "gather": lambda m, x, index: torch.relu(m.last(x)).gather(1, index),
    "of each sample": lambda m, x, index: torch.relu(m.last(x))[torch.arange(len(x)), index[:, 0]],
}


@pytest.mark.parametrize("name", list(CHOSEN))
def test_indices_may_be_inputs(name: str) -> None:
    """Each sample chooses its own values."""
    model, index = _Tokens(CHOSEN[name]), IDS % 3
    conversion = sw.convert(model, example_input=(X, index))
    assert conversion.verify((X, index))
    assert conversion.verify((X, (index + 1) % 3))


def test_indices_of_all_samples_for_each_mix_them() -> None:
    """They are read where they are constant."""

    def forward(m: Any, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.relu(m.last(x))[:, index]

    index = IDS % 3
    with pytest.raises(UnsupportedLayerError, match="depends on the samples beside it"):
        read(_Tokens(forward), (X, index))
    check_values(read(_Tokens(lambda m, x: forward(m, x, index[0])), X))


def test_numbers_of_rows_that_are_not_whole() -> None:
    """The module takes none: the example is to be whole."""
    with pytest.raises(ReadError, match=r"inside 'words' \(Embedding\).*x\.long\(\)"):
        read(_Tokens(BY_NUMBER["an embedding"]), IDS.float())


def _quantised(kind: str) -> nn.Module:
    """A network made by one of PyTorch's quantisers, or on the way."""
    stubs = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
    model = nn.Sequential(stubs[0], nn.Linear(4, 3), stubs[1]).eval()
    if kind == "dynamic":
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
    if kind == "stubs":
        return model
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    watched = torch.ao.quantization.prepare(model)
    watched(X)
    return watched if kind == "watched" else torch.ao.quantization.convert(watched)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "named"),
    [("dynamic", r"'1' \(Linear\)"), ("static", "Quantize"), ("watched", "HistogramObserver")],
)
def test_quantised_modules_are_refused_in_a_sentence(kind: str, named: str) -> None:
    """What is of a quantiser is named, and the float model is asked for; stubs are none."""
    with pytest.raises(ReadError, match=rf"quantised layers, .*{named}.*float model"):
        read(_quantised(kind), X)
    check_values(read(_quantised("stubs"), X))


class _Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        warnings.warn("of the module itself", UserWarning, stacklevel=1)
        return x if x.sum() > 0 else -x


def test_pytorch_is_quiet_where_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    """Its prints, logs and warnings are in the error; its loggers write to the screen again."""
    before = {n: logging.getLogger(n).handlers[:] for n in ("torch", "torch.export")}
    streams = {n: [getattr(h, "stream", None) for h in found] for n, found in before.items()}
    with warnings.catch_warnings(record=True) as warned, pytest.raises(ReadError) as caught:
        warnings.simplefilter("always")
        read(_Branching(), X)
    assert capfd.readouterr() == ("", "") and not warned
    assert "def forward" in caught.value.details and "of the module itself" in caught.value.details
    assert caught.value.__cause__ is not None
    for name, found in before.items():
        assert [getattr(h, "stream", None) for h in found] == streams[name]
    assert sys.stderr is not None


def test_warnings_of_the_module_are_given() -> None:
    """What the model's own code warns of is heard where it is read; PyTorch's is not."""

    class Warning_(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            warnings.warn("of the module itself", UserWarning, stacklevel=1)
            return torch.relu(x)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        read(nn.Sequential(Warning_(), nn.Conv1d(3, 3, 2, padding="same")), SEQUENCE[:, :3])
    assert {str(one.message) for one in warned} == {"of the module itself"}
