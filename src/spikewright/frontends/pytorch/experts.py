"""Experts of Hugging Face's models, of which each token is given to a few.

Their own code sorts the tokens by expert, or looks the weights up by token. While a module is
traced, every expert is called with every token, and what it makes is weighted by what the router
gives it: zero where it was not chosen.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

_MARKS = ("num_experts", "has_gate", "has_bias", "is_transposed", "_apply_gate", "down_proj")
"""The attributes that transformers gives a module of which it has several implementations."""


def ask_every_expert(module: Any) -> None:
    """Make experts plain sums over all of them, to be used where a module is `preserved`."""
    for part in module.modules():
        if all(hasattr(part, mark) for mark in _MARKS):
            part.forward = partial(_weighted, part)


def _weighted(part: Any, hidden_states: Any, top_k_index: Any, top_k_weights: Any, *_: Any) -> Any:
    """The sum of what all experts make of rows `(tokens, units)`, weighted by the router.

    `top_k_index` and `top_k_weights` have shape `(tokens, chosen)`; the parameters have the names
    that transformers gives them.
    """
    numbers = torch.arange(part.num_experts, device=top_k_index.device)
    chosen = (top_k_index[..., None] == numbers).to(top_k_weights.dtype)
    shares = (chosen * top_k_weights[..., None]).sum(1)
    made = [
        _expert(part, index, hidden_states) * shares[:, index, None]
        for index in range(part.num_experts)
    ]
    return sum(made[1:], made[0]).to(hidden_states.dtype)


def _expert(part: Any, index: int, x: Any) -> Any:
    """The result of one expert for rows `(tokens, units)`."""
    inner = _projected(part, "gate_up_proj" if part.has_gate else "up_proj", index, x)
    inner = part._apply_gate(inner) if part.has_gate else part.act_fn(inner)
    made = _projected(part, "down_proj", index, inner)
    return part.post_expert_norm(made) if getattr(part, "has_post_expert_norm", False) else made


def _projected(part: Any, name: str, index: int, x: Any) -> Any:
    weight = getattr(part, name)[index]
    bias = getattr(part, f"{name}_bias")[index] if part.has_bias else None
    return torch.nn.functional.linear(x, weight.T if part.is_transposed else weight, bias)
