"""Why an operator without a reader has none, and what to do instead."""

from __future__ import annotations

_REGISTER = "Register a reader for it with spikewright.frontends.onnx.reads"

_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (
        "If Loop Scan",
        "control flow decides at run time what is computed; a graph is fixed",
        "Export with constant conditions, or simplify the model (e.g. with onnxsim)",
    ),
    (
        "LSTM GRU RNN",
        "recurrent layers carry their own state over time, which a graph without time cannot",
        "Remove it, or unroll it into feed-forward layers",
    ),
    (
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv "
        "QLinearMatMul ConvInteger MatMulInteger",
        "it rounds activations to integers; values here are real numbers",
        "Export the model before quantisation",
    ),
    (
        "Elu Selu Celu Gelu HardSigmoid HardSwish Mish Swish Softsign ThresholdedRelu PRelu Shrink "
        "Erf LogSoftmax Hardmax Exp Log Sqrt Pow Abs Reciprocal Max Min Sign",
        "this nonlinearity is not among those that are known",
        "Use Relu, LeakyRelu, Clip, Sigmoid, Tanh or Softplus and train the model again",
    ),
    (
        "InstanceNormalization LayerNormalization GroupNormalization RMSNormalization LRN "
        "LpNormalization MeanVarianceNormalization",
        "it divides by statistics of each sample, a product of signals that has no reading",
        "Use BatchNormalization, whose statistics are constants, and train the model again",
    ),
    (
        "ConvTranspose DeformConv MaxUnpool",
        "this kind of convolution or unpooling is not known",
        "Use Resize (nearest, an integer factor) followed by Conv",
    ),
    (
        "Attention Einsum",
        "it multiplies signals with each other",
        "Only products of a signal with a constant can be read",
    ),
    (
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial",
        "it draws random numbers; a graph is deterministic",
        "Export the model for inference",
    ),
    (
        "Gather GatherElements GatherND Tile Where ScatterND ScatterElements Shape",
        "it is read only where all of its inputs are constants",
        "Slice and Split select from data, Resize and Upsample repeat it",
    ),
)

_REASONS = {
    operator: (reason, options)
    for operators, reason, options in _FAMILIES
    for operator in operators.split()
}


def reason_for(domain: str, operator: str) -> tuple[str, str]:
    """Why there is no reading of this operator, and the options."""
    if domain:
        return f"it belongs to the domain {domain!r}, which has no readers", _REGISTER
    return _REASONS.get(operator, ("this operator has no reading", _REGISTER))
