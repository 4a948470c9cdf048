"""What must not be read: every refusal names the layer, the operator, the place and a way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check
from torch import nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.pytorch import read
from spikewright.frontends.pytorch.registry import unsupported_reason

W = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


class _Mixed(nn.Module):
    """Layers without a reading between layers that have one, inside a submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv1d(3, 3, 1), nn.Softplus(threshold=3)
        self.drop = nn.ConvTranspose1d(3, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.gate(self.conv(x))
        z = torch.special.bessel_j0(y)
        return self.drop(torch.sign(F.relu_(z)))


def test_all_refusals_are_listed_with_place_and_reason() -> None:
    """Layer path, class, operator, reason, options and the user's file and line, for each layer."""
    with pytest.raises(UnsupportedLayerError) as caught:
        read(nn.Sequential(nn.Linear(5, 5), _Mixed()), np.zeros((2, 3, 5)))
    refusals = {refusal.layer: refusal for refusal in caught.value.refusals}
    assert {name: refusal.kind for name, refusal in refusals.items()} == {
        "1.gate": "Softplus: aten.softplus.default",
        "1.special_bessel_j0": "special_bessel_j0: aten.special_bessel_j0.default",
        "1.sign": "sign: aten.sign.default",
    }
    first = _Mixed.forward.__code__.co_firstlineno
    assert refusals["1.gate"].location == f"{__file__}:{first + 1}"
    assert refusals["1.special_bessel_j0"].location == f"{__file__}:{first + 2}"
    assert refusals["1.sign"].location == f"{__file__}:{first + 3}"
    assert "not log(1 + exp(x))" in refusals["1.gate"].reason
    assert "clip" in refusals["1.sign"].options
    assert 'reads("aten.special_bessel_j0.default")' in refusals["1.special_bessel_j0"].options
    assert all(refusal.layer in str(caught.value) for refusal in refusals.values())


def _refused() -> dict[str, tuple[Any, tuple[int, ...], str]]:
    image, row = (4, 6, 6), (4,)
    return {
        "attention with dropout": (
            lambda m, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), image, "at random",
        ),
        "softmax of nothing": (
            lambda m, x: F.softmax(
                x.masked_fill(torch.arange(6)[:, None] < 3, -np.inf), -1
            ),
            image,
            "leaves nothing of some rows",
        ),
        "mask of the data": (
            lambda m, x: x.masked_fill(x > 0, -np.inf), row, "minus infinity in places",
        ),
        "equal real numbers": (
            lambda m, x: (x == 0.5).float(), row, "truth values from the data",
        ),
        "infinity where the data says": (
            lambda m, x: torch.where(x > 0, np.inf, x), row, "a number that is not finite",
        ),
        "a sum of truth values": (
            lambda m, x: ((x > 0) + (x < 1)).float(), row, "a sum of truth values is another",
        ),
        "infinite values": (
            lambda m, x: torch.relu(x + torch.tensor([0, 0, 0, -np.inf])), row, "only a softmax",
        ),
        "infinite output": (
            lambda m, x: x + torch.tensor([0, 0, 0, -np.inf]), row, "minus infinity in places",
        ),
        "turned mask": (
            lambda m, x: 1 - x.masked_fill(torch.arange(4) > 1, -np.inf), row, "turns around",
        ),
        "division by zero": (lambda m, x: x / torch.zeros(4), row, "divides by zero"),
        "clamp to nothing": (lambda m, x: x.clamp(1, 1), row, "nothing lies between"),
        "softplus threshold": (lambda m, x: F.softplus(x, 1, 5), row, r"threshold=5"),
        "norm of order 3": (lambda m, x: x.norm(3, 1), row, r"order 3\.0"),
        "variance of one": (lambda m, x: x.var(1), (1, 4), "variance of 1 values"),
        "power of a negative": (lambda m, x: (-2.0) ** x, row, "needs a positive"),
        "a complex output": (
            lambda m, x: torch.stft(x, 4, return_complex=True), (20,), "holds complex numbers",
        ),
        "a product of complex values": (
            lambda m, x: (torch.stft(x, 4, return_complex=True) * 2j).real, (20,),
            "only the parts and the size",
        ),
        "a whole quotient of real values": (lambda m, x: x // 2, row, "jumps"),
        "median": (lambda m, x: x.median(1).values, row, "makes positions out of"),
        "many in order": (
            lambda m, x: torch.cat([x] * 20, 1).sort(1).values, row, "puts 80 values into order",
        ),
        "rounded": (lambda m, x: x.round(), row, "jumps"),
        "max with indices": (
            lambda m, x: torch.stack(F.max_pool2d(x, 2, return_indices=True), 1)[:, 0], image,
            "result number 1",
        ),
        "padding with infinity": (
            lambda m, x: F.pad(x, (1, 1), value=np.inf), row, "no finite number",
        ),
        "averages of infinity": (
            lambda m, x: F.avg_pool2d(F.pad(x, (1, 1), value=-np.inf), 3), image, "only a softmax",
        ),
        "maxima over padded channels": (
            lambda m, x: F.max_pool2d(F.pad(x, (1, 1, 1, 1, 1, 1), value=-np.inf), 3), image,
            "only a softmax",
        ),
        "rolled over everything": (lambda m, x: x.roll(1), row, "no reading|all axes|batch"),
        "dropout while running": (lambda m, x: F.dropout(x), row, "at random"),
        "slopes while running": (lambda m, x: F.rrelu(x, training=True), row, "at random|no read"),
        "whole numbers": (lambda m, x: x.to(torch.int32).float(), row, "truth values"),
        "half precision": (lambda m, x: x.half().float(), row, "rounds values to float16"),
        "constant output": (lambda m, x: (x, torch.ones(3)), row, "does not depend on the input"),
        "unknown on constants": (
            lambda m, x: x * torch.linalg.det(W), row, "applied to constants",
        ),
        "random constant": (lambda m, x: x + torch.rand(4), row, "applied to constants"),
        "written into rows that differ": (
            lambda m, x: torch.select_scatter(torch.arange(8.0).view(2, 4), x[:, 0], 1, 0), row,
            "Reshape: 1 values",
        ),
        "new leading axis": (lambda m, x: x + torch.ones(3, 1, 4), row, "axis 1"),
        "image without a batch": (lambda m, x: F.max_pool2d(x, 2), (4, 4), None),
        "3-D weights": (lambda m, x: F.conv1d(x, torch.ones(2, 3, 1)), (3, 4), None),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(_refused()))
def test_operators_and_options_without_a_reading(name: str) -> None:
    """What has no counterpart is refused with its reason, never approximated."""
    function, shape, reason = _refused()[name]
    if reason is None:
        check(Of(function), shape)
        return
    with pytest.raises(UnsupportedLayerError, match=reason):
        read(Of(function), np.zeros((2, *shape)))


def test_what_mixes_samples_is_listed_with_what_has_no_reading() -> None:
    """A model is asked for two samples at once also where operators of it cannot be read."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x - x.mean(0))

    with pytest.raises(UnsupportedLayerError) as caught:
        read(Of(forward), np.zeros((2, 3)))
    layers = [refusal.layer for refusal in caught.value.refusals]
    assert layers == ["mean", "special_bessel_j0"]
    line = forward.__code__.co_firstlineno + 1
    assert caught.value.refusals[0].location == f"{__file__}:{line}"


def test_a_constant_output_is_refused_once() -> None:
    """One that depends on no input has no row for each sample, and is not said to mix them too."""
    with pytest.raises(UnsupportedLayerError) as caught:
        read(Of(lambda m, x: (x + 1.0, torch.ones(1, 3))), np.zeros((2, 3)))
    (refusal,) = caught.value.refusals
    assert refusal.reason == "this output does not depend on the input"


def test_changes_in_place_that_pytorch_itself_rewrites_wrongly_are_refused() -> None:
    """Dropout hands its input on while running; changing that changes what was there before."""
    model = Of(
        lambda m, x: m.relu(m.drop(y := x * 2)) + y, drop=nn.Dropout(), relu=nn.ReLU(inplace=True)
    )
    with pytest.raises(UnsupportedLayerError, match=r"'relu.relu'.*in place.*inplace=False"):
        read(model, np.zeros((2, 3)))
    model.relu = nn.ReLU()
    check(model, (3,))


def _entangled(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    z = y.view(-1, 2, 2)
    torch.floor(y + 1)
    y[:, ::2] += torch.linalg.det(W)
    return torch.sinc(z).flatten(1)


def test_unknown_operators_beside_changes_in_place_are_all_listed() -> None:
    """A program that cannot be rewritten is looked through, unused and constant parts too."""
    with pytest.raises(UnsupportedLayerError) as caught:
        read(Of(_entangled), np.zeros((2, 4)))
    kinds = {refusal.kind.split(": ")[1] for refusal in caught.value.refusals}
    assert {"aten.sinc.default", "aten.floor.default"} <= kinds
    assert any("det" in kind for kind in kinds)


def test_unknown_operators_inside_blocks_are_listed() -> None:
    """What stands under a gradient mode or in another precision is refused by its own name."""

    def forward(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            y = torch.floor(x)
        with torch.autocast("cpu", enabled=False):
            return torch.special.bessel_j0(y)

    with pytest.raises(UnsupportedLayerError) as caught:
        read(Of(forward), np.zeros((2, 4)))
    assert {refusal.layer for refusal in caught.value.refusals} == {"floor", "special_bessel_j0"}


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + self.seen
        self.seen.mul_(0.5)
        return y


def test_networks_with_memory_are_refused() -> None:
    """A buffer that the forward pass changes and that the outputs depend on is named."""
    with pytest.raises(UnsupportedLayerError, match=r"'memory.seen' .*earlier inputs"):
        read(Of(lambda m, x: m.memory(x), memory=_Counting()), np.zeros((2, 4)))


def test_batch_norm_without_statistics_is_refused() -> None:
    """track_running_stats=False normalises with the current batch, also in evaluation mode."""
    with pytest.raises(UnsupportedLayerError, match="statistics of the current batch"):
        read(nn.BatchNorm1d(4, track_running_stats=False), np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (None, r"needs an example input.*example_input=x\[:1\]"),
        ("picture.png", "not an array of numbers"),
        (np.zeros(()), "no batch axis"),
        (np.zeros((0, 3)), "at least 1"),
        ((np.zeros((2, 3)), np.zeros((2, 3))), "does not fit Linear.forward"),
        ({"picture": np.zeros((2, 3))}, "does not fit Linear.forward"),
        (np.zeros((2, 3), complex), "not an array of numbers"),
        (torch.zeros(2, 3, dtype=torch.complex64), "complex"),
        (np.zeros((2, 5)), r"cannot trace this Linear.*\(2, 5\)"),
        ((), "no batch axis"),
    ],
)
def test_example_inputs_that_do_not_fit(example: Any, message: str) -> None:
    """A missing or wrong example is an error that says what to give."""
    with pytest.raises(ReadError, match=message):
        read(nn.Linear(3, 2), example)


def test_examples_with_different_batches() -> None:
    """All inputs have the same number of samples."""
    with pytest.raises(ReadError, match="same size"):
        read(Of(lambda m, x, y: x + y), (np.zeros((2, 3)), np.zeros((3, 3))))


def test_computed_indices_are_refused_as_such() -> None:
    """An embedding of what is rounded first is refused by the name of what rounds.

    Numbers that are whole in the example are not rounded.
    """
    with pytest.raises(UnsupportedLayerError, match=r"\(to: aten.to.dtype\).*to be whole in the"):
        read(Of(lambda m, x: m.words(x.long()), words=nn.Embedding(5, 3)), np.zeros((2, 4)))
    read(Of(lambda m, x: m.words(x.long()), words=nn.Embedding(5, 3)), np.zeros((2, 4), np.int32))


def test_scripted_modules_are_refused() -> None:
    """TorchScript holds no Python code to trace."""
    with pytest.raises(ReadError, match="no Python code"):
        read(torch.jit.script(nn.Sequential(nn.ReLU())), np.zeros((2, 3)))


def test_modules_without_weights_are_refused() -> None:
    """Weights on the meta device, or of lazy layers, are not there yet."""
    with pytest.raises(ReadError, match=r"weight' has no values .*Load the weights"):
        read(nn.Linear(3, 2, device="meta"), np.zeros((2, 3)))
    with pytest.raises(ReadError, match="Run it once"):
        read(nn.LazyLinear(2), np.zeros((2, 3)))


def test_branches_on_values_are_refused() -> None:
    """What depends on the values of the input has no fixed graph."""
    with pytest.raises(ReadError, match=r"torch\.where"):
        read(Of(lambda m, x: x if x.sum() > 0 else -x), np.zeros((2, 3)))
    with pytest.raises(UnsupportedLayerError, match="Python number"):
        read(Of(lambda m, x: x * x.max().item()), np.zeros((2, 3)))


def test_programs_with_other_free_sizes_are_refused() -> None:
    """Only the batch axis of a program may be free."""
    free = ({0: torch.export.Dim("batch"), 2: torch.export.Dim("width")},)
    program = torch.export.export(nn.ReLU(), (torch.zeros(2, 3, 4),), dynamic_shapes=free)
    with pytest.raises(ReadError, match="'input' has a free size on axis 2"):
        read(program)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"inputs are \['input'\]; missing \['input'\]"),
        ({"x": np.zeros((2, 3))}, "unknown"),
        ({"input": np.zeros((2, 4))}, r"must be \(batch, 3\), got shape \(2, 4\)"),
        ({"input": np.zeros(())}, "must be"),
    ],
)
def test_activations_check_their_inputs(inputs: Any, message: str) -> None:
    """Running the source with the wrong inputs says which are expected."""
    with pytest.raises(ReadError, match=message):
        read(nn.Linear(3, 2), np.zeros((2, 3))).activations(inputs)


def test_reasons_are_for_pytorchs_own_operators() -> None:
    """An operator of another library that shares a name gets the general reason."""
    assert "jumps" in unsupported_reason("aten.sign.default")[0]
    assert "packed" in unsupported_reason("aten.lstm.data")[0]
    assert "no reading" in unsupported_reason("mine.sign.default")[0]


def test_operators_on_complex_values_are_not_called() -> None:
    """A call would be given the real part alone."""
    model = Of(lambda m, x: (torch.stft(x, 4, return_complex=True) * 2j).real)
    with pytest.raises(UnsupportedLayerError, match="it reads complex numbers"):
        sw.convert(model, example_input=torch.randn(2, 20), fallback="python")
