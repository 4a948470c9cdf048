"""The arguments of `convert` by the names that other converters have for them."""

from __future__ import annotations

FROM_ELSEWHERE = {
    "swap_activations": "spiking={'relu': sw.SpikingRectifiedLinear()} chooses neurons by "
    "activation, or by layer.",
    "inference_only": "Every conversion is for inference alone: leave it out.",
    "max_to_avg_pool": "max_pool='average' averages in place of max pooling.",
    "split_shared_weights": "A layer that is called twice becomes two: leave it out.",
    "allow_fallback": "fallback='python' calls what cannot be read as it is.",
    "temporal_model": "sequence_step= makes time that of the sequence.",
}
"""Keywords of NengoDL's `Converter`, and what means them here."""
