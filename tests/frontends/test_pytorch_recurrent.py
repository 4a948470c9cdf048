"""Recurrent layers and cells of PyTorch: values, states and refusals."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check, randomised
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.pytorch import read
from spikewright.graph import evaluate

KINDS: dict[str, Any] = {
    "rnn": nn.RNN,
    "rnn-relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "no bias": {"bias": False, "num_layers": 2, "dropout": 0.4},
    "both ways": {"bidirectional": True, "num_layers": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def halved(module: nn.Module) -> nn.Module:
    """Random weights that do not saturate the gates."""
    randomised(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.5)
    return module.eval()


def everything(m: Any, *inputs: torch.Tensor) -> Any:
    """The sequence, and the last states with the batch brought to the front."""
    sequence, states = m.part(*inputs)
    several = states if isinstance(states, tuple) else (states,)
    return (sequence, *(state.transpose(0, 1) for state in several))


@pytest.mark.parametrize(
    ("kind", "options"), list(zip(KINDS, cycle(OPTIONS.values()), strict=False)), ids=[*KINDS]
)
def test_a_recurrent_layer_computes_what_pytorch_computes(
    kind: str, options: dict[str, Any]
) -> None:
    """All outputs and all last states, for batches of another size than the example's."""
    layer = KINDS[kind](3, 4, batch_first=True, **options)
    graph = check(Of(everything, part=halved(layer)), (5, 3))
    assert "part" in graph


def test_an_lstm_with_a_projection() -> None:
    """Its states differ in size."""
    layer = nn.LSTM(3, 6, 2, batch_first=True, proj_size=4, bidirectional=True)
    check(Of(everything, part=halved(layer)), (5, 3))


def test_a_sequence_that_begins_with_time() -> None:
    """Without batch_first, where the model turns its input itself."""

    def turned(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.part(x.transpose(0, 1))[0][-1]

    check(Of(turned, part=halved(nn.LSTM(3, 4))), (5, 3))


@every_kind
def test_states_to_begin_with(kind: str) -> None:
    """Computed ones, and constant ones that all samples share."""

    def computed(m: Any, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        states = torch.stack([h, h * 0.5])
        return m.part(x, (states, states.tanh()) if kind == "lstm" else states)[0]

    def constant(m: Any, x: torch.Tensor) -> torch.Tensor:
        states = torch.linspace(-1, 1, 8).reshape(2, 1, 4).expand(2, x.shape[0], 4)
        return m.part(x, (states, states * 0.0) if kind == "lstm" else states)[0]

    layer = halved(KINDS[kind](3, 4, 2, batch_first=True))
    check(Of(computed, part=layer), (5, 3), (4,))
    check(Of(constant, part=layer), (5, 3))


CELLS: dict[str, Any] = {
    "rnn": nn.RNNCell,
    "rnn-relu": lambda *a, **k: nn.RNNCell(*a, nonlinearity="relu", **k),
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
}


@pytest.mark.parametrize(("kind", "bias"), list(zip(CELLS, cycle([True, False]), strict=False)))
def test_a_loop_over_a_cell(kind: str, bias: bool) -> None:
    """A model that unrolls itself: from zeros, step after step."""

    def loop(m: Any, x: torch.Tensor) -> torch.Tensor:
        state = None
        for t in range(x.shape[1]):
            state = m.part(x[:, t], state)
        return torch.cat(state, 1) if isinstance(state, tuple) else state

    check(Of(loop, part=halved(CELLS[kind](3, 4, bias=bias))), (5, 3))


def test_what_is_no_sequence_of_samples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time on the batch axis, and sequences that are too long, by the layer's name."""
    monkeypatch.setattr("spikewright.frontends.unrolling.MAX_STEPS", 5)
    for layer, shape, reason in (
        (nn.LSTM(3, 4), (5, 3), "samples beside it.*batch_first=True"),
        (nn.GRU(3, 4, batch_first=True), (6, 3), "has 6 steps"),
    ):
        model = Of(lambda m, x: m.part(x)[0], part=layer)
        with pytest.raises(UnsupportedLayerError, match=f"'part'.*{reason}"):
            read(model, torch.zeros(2, *shape))


class _Packed(nn.Module):
    """A recurrent layer over packed sequences: its sequence, last states, and lengths."""

    def __init__(self, kind: str, total: bool = True, **options: Any) -> None:
        super().__init__()
        self.part = halved(KINDS[kind](3, 4, batch_first=True, **options))
        self.total = total

    def forward(self, x: torch.Tensor, lengths: torch.Tensor, *state: torch.Tensor) -> Any:
        """`(batch, steps, 3)` and `(batch,)`."""
        given = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        sequence, states = self.part(given, *(one.transpose(0, 1) for one in state))
        total = x.shape[1] if self.total else None
        padded, counts = pad_packed_sequence(sequence, True, -2.0, total)
        several = states if isinstance(states, tuple) else (states,)
        return padded, counts, *(state.transpose(0, 1) for state in several)


LENGTHS = torch.tensor([2, 5, 1, 4])
PADDED = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("rnn", {}), ("lstm", OPTIONS["both ways"]), ("gru", OPTIONS["both ways"])],
    ids=["rnn", "lstm both ways", "gru both ways"],
)
def test_packed_sequences_are_read_with_their_lengths(kind: str, options: dict[str, Any]) -> None:
    """Outputs behind a length are the padding, and the last states those of the last real step;
    what stands in the padding changes nothing, and the module packs as before.
    """
    model = _Packed(kind, **options)
    conversion = sw.convert(model, example_input=(PADDED, LENGTHS))
    given = [PADDED.numpy(), LENGTHS.numpy()]
    assert max(conversion.verify(given).values()) < 1e-5
    inputs = dict(zip(conversion.graph.inputs, given, strict=True))
    before = evaluate(conversion.graph, inputs)
    filled = PADDED.clone()
    filled[torch.arange(5) >= LENGTHS[:, None]] = 7.0
    after = evaluate(conversion.graph, {**inputs, conversion.graph.inputs[0]: filled.numpy()})
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])
    assert "forward" not in vars(model.part)
    assert len(pack_padded_sequence(PADDED, LENGTHS, True, False).data) == int(LENGTHS.sum())


def test_packed_sequences_begin_with_a_given_state() -> None:
    """Which stays until the first real step from the end, on the way back."""
    model = _Packed("gru", bidirectional=True)
    state = torch.randn(4, 2, 4, generator=torch.Generator().manual_seed(4))
    conversion = sw.convert(model, example_input=(PADDED, LENGTHS, state))
    arrays = PADDED.numpy(), LENGTHS.numpy(), state.numpy()
    given = dict(zip(conversion.graph.inputs, arrays, strict=True))
    assert max(conversion.verify(given).values()) < 1e-5


def test_packed_sequences_as_spikes_converge() -> None:
    """Whether a step is inside the length is known from the input, so that it never jumps."""
    model = _Packed("rnn-relu")
    spiking = sw.convert(
        model, example_input=(PADDED, LENGTHS), spiking=True, scale_firing_rates=1000.0
    )
    assert spiking.trace.guarantee == "convergent"


def test_padding_to_the_longest_of_a_batch_is_refused_with_advice() -> None:
    """How long an output is would depend on other samples; a total length makes it the same."""
    with pytest.raises(UnsupportedLayerError, match=r"total_length=x\.shape\[1\]") as caught:
        sw.convert(_Packed("lstm", total=False), example_input=(PADDED, LENGTHS))
    assert "longest sequence of the batch" in str(caught.value)
