"""Networks that were never trained, with weights and statistics as if they had been.

Many weights begin at one number: biases and classifiers at zero, scales of layers at 1e-6. That
would hide all that comes before, or an axis that is the wrong one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.families.member import Member, called

SAMPLES = 32  # that statistics are taken of: with fewer, other samples are far outside of them


def alive(values: NDArray, rng: np.random.Generator) -> NDArray:
    """The weights; where all of them are equal, random ones of the size that training would give.

    A bias of zeros becomes small, a matrix of zeros keeps the size of what it is multiplied with,
    a scale next to nothing becomes some tenths, and any other number is changed by up to a half.
    """
    if values.size == 0 or not (values == values.flat[0]).all():
        return values
    first = float(values.flat[0])
    if first == 0 and values.size > 1:
        size = 0.1 if values.ndim == 1 else values[0].size ** -0.5
        made = rng.normal(0.0, size, values.shape)
    elif abs(first) <= 0.1:
        made = rng.uniform(0.1, 0.5, values.shape)
    else:
        made = first * rng.uniform(0.5, 1.5, values.shape)
    return np.asarray(made, values.dtype)


def warm_module(module: Any, member: Member) -> Any:
    """A PyTorch module in evaluation mode, alive, with statistics of some samples."""
    import torch

    rng = np.random.default_rng(0)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(alive(parameter.numpy(), rng)))
        for norm in norms:
            norm.momentum = None  # a cumulative average: exactly the statistics of what comes
            norm.train()
        if norms:
            called(module, member.samples(SAMPLES))
    return module.eval()


def warm_keras(model: Any, member: Member) -> Any:
    """A Keras model, alive, with statistics of some samples."""
    from spikewright.frontends.keras.loading import import_keras

    keras, rng = import_keras(), np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(alive(keras.ops.convert_to_numpy(weight), rng))
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0  # exactly the statistics of what comes
    if norms:
        model(member.samples(SAMPLES), training=True)
    return model
