"""Models as the exporters of PyTorch and Keras write them."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx
import pytest
import torch
from onnx_helpers import agrees, close, feed_of
from torch import nn

import spikewright as sw
from spikewright.frontends.onnx import read
from spikewright.frontends.source import Source
from spikewright.graph import evaluate


class Block(nn.Module):
    """Convolution, batch normalisation, pooling, a residual sum, and a view by shape arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.dense = nn.Linear(8 * 3 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 3, 10, 10)` to `(batch, 5)`."""
        x = torch.relu(self.norm(self.first(x)))
        x = self.pool(x + nn.functional.leaky_relu(self.second(x), 0.1))
        return torch.softmax(self.dense(x.view(x.size(0), -1)), dim=1)


def seeded(module: nn.Module) -> nn.Module:
    """The module at inference, with seeded weights and batch-norm statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0.0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def export(
    module: nn.Module, example: torch.Tensor, dynamo: bool, free: bool = True, **options: Any
) -> onnx.ModelProto:
    """What torch.onnx.export writes; `free` leaves the batch size free."""
    if dynamo and free:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif free:
        options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters deprecate each other
        if dynamo:
            program = torch.onnx.export(module, (example,), dynamo=True, verbose=False, **options)
            return program.model_proto
        file = io.BytesIO()
        torch.onnx.export(module, (example,), file, dynamo=False, **options)
    return onnx.load_model_from_string(file.getvalue())


def equals_module(source: Source, module: nn.Module) -> None:
    """The graph computes what the module does, on a batch of three."""
    ((name, x),) = feed_of(source).items()
    (value,) = evaluate(source.graph, {name: x}).values()
    with torch.no_grad():
        close(value, module(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("dynamo", [True, False])
def test_torch_exporters(dynamo: bool, free: bool) -> None:
    """Both exporters' files, with a free batch or a fixed one, compute what the module does."""
    torch.manual_seed(0)
    module = seeded(Block())
    proto = export(module, torch.randn(2, 3, 10, 10), dynamo, free)
    source = agrees(proto, independent=free)
    equals_module(source, module)
    assert "MaxPool" in {node.source_kind for node in source.graph}


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_torch_exporter_of_several_operator_sets(opset: int) -> None:
    """What changed from one operator set to the next is read, batch norm and view included."""
    torch.manual_seed(0)
    module = seeded(Block())
    proto = export(
        module,
        torch.randn(2, 3, 10, 10),
        dynamo=False,
        opset_version=opset,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    kinds = {node.op_type for node in proto.graph.node}
    assert {"Shape", "Gather", "Concat", "Reshape", "BatchNormalization"} <= kinds
    equals_module(agrees(proto, independent=opset >= 14), module)


@pytest.mark.parametrize("dynamo", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize(
    "name", ["squeezenet1_1", pytest.param("resnet18", marks=pytest.mark.slow)]
)
def test_torchvision(name: str, dynamo: bool) -> None:
    """Whole networks agree with the evaluator at every node, and with PyTorch at the output."""
    import torchvision

    torch.manual_seed(0)
    module = seeded(getattr(torchvision.models, name)(num_classes=10))
    source = agrees(export(module, torch.randn(2, 3, 64, 64), dynamo), independent=False)
    equals_module(source, module)
    assert len(source.graph) > 40


@pytest.mark.parametrize("dynamo", [True, False])
def test_every_activation_of_the_torch_exporters(dynamo: bool) -> None:
    """Softplus is exported as a choice between two formulas, ReLU written as clamp as Max."""

    class Activations(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.softplus(30 * x) + x.clamp(min=0) + x.clamp(max=0.2)
            x = x + nn.functional.hardtanh(x) + torch.maximum(x, torch.full((1,), 0.1))
            return torch.sigmoid(x) + torch.tanh(x) + nn.functional.leaky_relu(x, 0.2)

    module = Activations()
    proto = export(module, torch.randn(2, 3, 4), dynamo)
    assert ({"Greater", "Where", "Max"} <= {node.op_type for node in proto.graph.node}) is dynamo
    equals_module(agrees(proto), module)


def functional_model() -> keras.Model:
    """A channels-last network with most of the layers that Keras's exporter spells out."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    data = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", strides=2)(data)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(max_value=6)(x)
    y = layers.LeakyReLU(negative_slope=0.1)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.AveragePooling2D(2)(layers.MaxPooling2D(2)(layers.Add()([x, y])))
    x = layers.ZeroPadding2D(1)(layers.UpSampling2D(2)(x))
    x = layers.Dropout(0.5)(layers.Concatenate()([x, x]))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Flatten()(x)])
    return keras.Model(data, layers.Dense(5, activation="softmax")(x))


def test_keras_exporter(tmp_path: Path) -> None:
    """A functional Keras model, whose exporter writes its layers as shape arithmetic and
    transposes, computes what Keras does.
    """
    model = functional_model()
    model(np.zeros((1, 16, 16, 3), np.float32))  # the exporter wants a model that has been called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(tmp_path / "keras.onnx", format="onnx", verbose=False)
    source = agrees(onnx.load(tmp_path / "keras.onnx"))
    ((name, x),) = feed_of(source).items()
    (value,) = evaluate(source.graph, {name: x}).values()
    close(value, np.asarray(model(x).detach()))


def initialised(module: nn.Module) -> nn.Module:
    """The module at inference, with every parameter that starts at zero or one made random."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if len(parameter.unique()) == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    return seeded(module)


def vision_transformer() -> nn.Module:
    """torchvision's ViT, small: attention sequence first, a class token, embedded positions."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(16, 8, 2, 2, 12, 24, num_classes=5)


def encoder() -> nn.Module:
    """PyTorch's own transformer, norms first and last."""
    layers = [
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=first, activation="gelu")
        for first in (True, False)
    ]
    return nn.Sequential(*layers)


def swin() -> nn.Module:
    """torchvision's Swin, small: windows rolled, masked, with relative positions."""
    from torchvision.models import SwinTransformer

    return SwinTransformer([2, 2], 8, [2, 2], [2, 4], [4, 4], num_classes=5)


def convnext() -> nn.Module:
    """torchvision's ConvNeXt, small: channels-last norms, scales of layers."""
    from torchvision.models import ConvNeXt
    from torchvision.models.convnext import CNBlockConfig

    blocks = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]
    return ConvNeXt(blocks, num_classes=5)


class Segmenter(nn.Module):
    """Transposed convolution, group and instance norms, resizing, gates, pixel shuffling."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1, padding_mode="reflect")
        self.norms = nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU(), nn.InstanceNorm2d(8, affine=True))
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.prelu, self.shuffle = nn.PReLU(4), nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 3, 8, 8)` to `(batch, 1, 24, 24)`."""
        y = self.norms(self.down(x))
        y = y * torch.sigmoid(y.mean((2, 3), keepdim=True))
        y = self.prelu(self.up(y)) + x[:, 1:2].flip(3)
        y = nn.functional.interpolate(y, scale_factor=1.5, mode="bilinear", align_corners=False)
        return nn.functional.interpolate(
            nn.functional.hardswish(self.shuffle(y)), size=24, mode="bicubic", align_corners=True
        )


@pytest.mark.parametrize("dynamo", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(vision_transformer, (3, 16, 16)), (encoder, (5, 8)), (Segmenter, (3, 8, 8))],
)
def test_small_networks(
    make: Callable[[], nn.Module], shape: tuple[int, ...], dynamo: bool
) -> None:
    """What either exporter writes with a free batch equals the module, and converts."""
    torch.manual_seed(0)
    module = initialised(make())
    source = agrees(export(module, torch.randn(2, *shape), dynamo), independent=False)
    equals_module(source, module)
    sw.convert(source.graph).verify(rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(vision_transformer, (3, 16, 16)), (swin, (3, 32, 32)), (convnext, (3, 32, 32)),
     (encoder, (5, 8)), (Segmenter, (3, 8, 8))],
)  # fmt: skip
def test_more_networks(
    make: Callable[[], nn.Module], shape: tuple[int, ...], dynamo: bool, free: bool
) -> None:
    """The same with a batch of one fixed in the file, and of further families."""
    torch.manual_seed(0)
    module = initialised(make())
    example = torch.randn(2 if free else 1, *shape)
    equals_module(agrees(export(module, example, dynamo, free), independent=False), module)


FAMILIES = {
    "densenet121": 32, "efficientnet_b0": 32, "googlenet": 64, "mnasnet0_5": 32,
    "mobilenet_v2": 32, "mobilenet_v3_small": 32, "regnet_x_400mf": 32, "shufflenet_v2_x0_5": 32,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_convolutional_families(family: str) -> None:
    """Members of torchvision's convolutional families, exported, equal PyTorch."""
    import torchvision

    torch.manual_seed(0)
    options = {"init_weights": False} if family == "googlenet" else {}
    module = seeded(getattr(torchvision.models, family)(num_classes=10, **options))
    proto = export(module, torch.randn(2, 3, FAMILIES[family], FAMILIES[family]), dynamo=True)
    source = read(proto)
    ((name, x),) = feed_of(source).items()
    with torch.no_grad():
        expected = module(torch.from_numpy(x))
    (value,) = evaluate(source.graph, {name: x}).values()
    close(value, expected.numpy())


@pytest.mark.parametrize(
    ("make", "shape"), [(lambda: encoder()[:1], (4, 8)), (Segmenter, (3, 8, 8))]
)
def test_exported_networks_converge_as_spikes(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    """Attention, norms, gates and resizing read from a file tend to the source's output, with an
    error that falls as one over the steps.
    """
    torch.manual_seed(0)
    source = read(export(initialised(make()), torch.randn(2, *shape), dynamo=False))
    conversion = sw.convert(source.graph, spiking=True, scale_firing_rates=20)
    ((name, x),) = feed_of(source, batch=2).items()
    (truth,) = evaluate(source.graph, {name: x}).values()
    steps = np.array([32, 64, 128, 256, 512])
    run = conversion.run({name: x}, steps=int(steps[-1]), engine="reference", progress=False)
    means = np.asarray(run.predict_at_every_step("mean"))
    errors = [np.linalg.norm(means[:, t - 1] - truth) / np.linalg.norm(truth) for t in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] < -0.8, errors


KERAS_ACTIVATIONS = (
    "relu6", "sigmoid", "tanh", "softplus", "softsign", "elu", "selu", "gelu", "silu", "celu",
    "hard_sigmoid", "hard_silu", "leaky_relu", "exponential", "mish", "softmax", "log_softmax",
    "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "squareplus", "log_sigmoid",
    "sparse_plus",
)  # fmt: skip


def every_activation(data: Any) -> Any:
    """Keras's activations side by side."""
    layers = keras.layers
    scaled = layers.Rescaling(2.0, offset=0.1)(data)
    made = [layers.Activation(name)(scaled) for name in KERAS_ACTIVATIONS]
    made.append(layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)(scaled))
    made.append(layers.PReLU(alpha_initializer="random_normal")(scaled))
    return layers.Concatenate()(made)


def merges_and_norms(data: Any) -> Any:
    """Merges, norms, dense layers over an axis, sums and products of tensors."""
    layers, ops = keras.layers, keras.ops
    x = layers.TimeDistributed(layers.Dense(6, activation="gelu"))(data)
    y = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6))(data)
    x = x + y * 0.5
    z = layers.Multiply()([x, y])
    z = layers.Subtract()([z, layers.Average()([x, y])])
    z = layers.Maximum()([z, layers.Minimum()([x, -y])])
    z = layers.Dot(axes=(2, 2))([z, x])
    z = layers.UnitNormalization()(z)
    z = layers.Permute((2, 1))(layers.RepeatVector(2)(layers.Flatten()(z)))
    return ops.sqrt(ops.square(z) + 1) + ops.mean(z, axis=-1, keepdims=True)


def images(data: Any) -> Any:
    """Separable and transposed convolutions, group norm, resizing, cropping, pooling."""
    layers = keras.layers
    x = layers.SeparableConv2D(4, 3, padding="same")(data)
    x = layers.GroupNormalization(2)(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="valid")(x)
    x = layers.Cropping2D(1)(layers.UpSampling2D(2, interpolation="bilinear")(x))
    x = layers.Resizing(7, 7)(layers.MaxPooling2D(2)(x))
    return layers.Concatenate()(
        [layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)]
    )


def lines(data: Any) -> Any:
    """One-dimensional convolutions."""
    layers = keras.layers
    x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(data)
    return layers.Conv1D(3, 3, strides=2, activation="silu")(x)


@pytest.mark.parametrize(
    ("build", "shape"),
    [(every_activation, (5,)), (merges_and_norms, (3, 4)), (images, (6, 6, 3)), (lines, (9, 3))],
)
def test_keras_layers(build: Callable[[Any], Any], shape: tuple[int, ...], tmp_path: Path) -> None:
    """What Keras's exporter spells out of each kind of layer equals Keras."""
    keras.utils.set_random_seed(0)
    data = keras.Input(shape)
    model = keras.Model(data, build(data))
    model(np.zeros((1, *shape), np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(tmp_path / "keras.onnx", format="onnx", verbose=False)
    source = read(tmp_path / "keras.onnx")
    ((name, x),) = feed_of(source).items()
    expected = np.asarray(model(x).detach())
    close(evaluate(source.graph, {name: x})[next(iter(source.graph.outputs))], expected)
    (activation,) = (source.activations({name: x})[n] for n in source.graph.outputs.values())
    close(activation, expected)
