"""Operators that pass their values on: copies, dropout in evaluation, conversions."""

from __future__ import annotations

import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.reasons import WHOLE
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.truth import truth_of
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Identity


@reads(
    "aten.clone.default", "aten.contiguous.default", "aten.alias.default", "aten.detach.default",
    "aten.lift_fresh_copy.default", "aten.positive.default",
)  # fmt: skip
def _copy(call: Call) -> Value:
    return call.add(Identity(), call.value("self"))


@reads(
    "aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default",
    "aten.feature_alpha_dropout.default", "aten.native_dropout.default",
)  # fmt: skip
def _dropout(call: Call) -> Value | tuple[Value | None, ...]:
    if call["train"] is not False and call["p"] > 0:
        raise Unreadable(
            "it drops values at random, which is meant for training only",
            "Give F.dropout(x, training=self.training), or export the model in evaluation mode.",
        )
    value = call.add(Identity(), call.value("input" if "input" in call.arguments else "self"))
    return (value, None) if "native" in call.target else value


_INTEGERS = (torch.int32, torch.int64)


@reads(
    "aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other",
    "aten._to_copy.default", "aten.type_as.default",
)  # fmt: skip
def _convert(call: Call) -> Value:
    to = call.results.dtype
    if call.dtype in (*_INTEGERS, torch.bool) and to in _INTEGERS:
        return call.add(Identity(), call.value("self"))
    if to == torch.bool:
        return call.add(Identity(), truth_of(call, call.value("self"), "truth"))
    if not to.is_floating_point:
        raise Unreadable(*WHOLE)
    if to not in (torch.float32, torch.float64, call.dtype, call.precision):
        raise Unreadable(
            f"it rounds values to {str(to).removeprefix('torch.')}",
            "Convert the model to float32 first: model.float().",
        )
    return call.add(Identity(), call.value("self"))
