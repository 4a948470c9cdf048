"""Whole families of published networks: read, verified against their framework, converted.

    python -m benchmarks.families [--only resnet18 keras/VGG16 ...] [--document docs/families.md]

One member of every classification family of torchvision and of `keras.applications`, random
weights, on the smallest input that it accepts. Each in a process of its own: the model is read,
every layer of the rate network is compared with the framework on random input (in float32; it
should agree to 1e-3 of the layer's largest value), and the spiking network is made. Printed, and
written to the document: layers, parameters, seconds for all of it, the worst relative error of any
layer, the guarantee of the spiking network, and what is refused, with its reason.

Results are kept until `--again`, so that a comparison which was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import Results, markdown_table
from benchmarks.timing import versions
from benchmarks.workloads import CACHE

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "families.md"
TOLERANCE = 1e-3
LIMIT = 3600.0  # seconds for one member

HEAD = """# Families of networks

Written by `python -m benchmarks.families`; do not edit. One member of each classification family of
torchvision and of `keras.applications`, random weights, on the smallest input that it accepts, two
samples: read, verified layer by layer against the framework in float32, made spiking. The error is
the largest of any layer, relative to that layer's largest value.
"""


class Member(NamedTuple):
    """A network of a family: side of its square input, and how it is made other than by default."""

    family: str
    size: int
    options: Mapping[str, Any] = {}


TORCHVISION = {
    "alexnet": Member("AlexNet", 63),
    "convnext_tiny": Member("ConvNeXt", 32),
    "densenet121": Member("DenseNet", 32),
    "efficientnet_b0": Member("EfficientNet", 32),
    "efficientnet_v2_s": Member("EfficientNetV2", 32),
    "googlenet": Member("GoogLeNet", 32, {"init_weights": True, "aux_logits": False}),
    "inception_v3": Member("Inception V3", 75, {"init_weights": True, "aux_logits": False}),
    "maxvit_t": Member("MaxVit", 224),
    "mnasnet0_5": Member("MNASNet", 32),
    "mobilenet_v2": Member("MobileNet V2", 32),
    "mobilenet_v3_small": Member("MobileNet V3", 32),
    "regnet_y_400mf": Member("RegNet", 32),
    "resnet18": Member("ResNet", 32),
    "resnext50_32x4d": Member("ResNeXt", 32),
    "shufflenet_v2_x0_5": Member("ShuffleNet V2", 32),
    "squeezenet1_1": Member("SqueezeNet", 32),
    "swin_t": Member("SwinTransformer", 32),
    "swin_v2_t": Member("SwinTransformer V2", 32),
    "vgg11_bn": Member("VGG", 32),
    "vit_b_16": Member("VisionTransformer", 32, {"image_size": 32}),
    "wide_resnet50_2": Member("Wide ResNet", 32),
}
"""One member of each family, whose name is that of its builder."""

KERAS = {
    "ConvNeXtTiny": Member("ConvNeXt", 32),
    "DenseNet121": Member("DenseNet", 32),
    "EfficientNetB0": Member("EfficientNet", 32),
    "EfficientNetV2B0": Member("EfficientNetV2", 32),
    "InceptionResNetV2": Member("InceptionResNetV2", 75),
    "InceptionV3": Member("InceptionV3", 75),
    "MobileNet": Member("MobileNet", 32),
    "MobileNetV2": Member("MobileNetV2", 32),
    "MobileNetV3Small": Member("MobileNetV3", 32),
    "NASNetMobile": Member("NASNet", 32),
    "ResNet50": Member("ResNet", 32),
    "ResNet50V2": Member("ResNetV2", 32),
    "VGG16": Member("VGG", 32),
    "Xception": Member("Xception", 71),
}
MEMBERS = TORCHVISION | {f"keras/{name}": member for name, member in KERAS.items()}


def torch_network(name: str, member: Member) -> Any:
    """A network of torchvision in evaluation mode, with the statistics of random input."""
    import torch
    import torchvision

    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, **member.options)
    alive(model)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a cumulative average: exactly the batch's statistics
    if norms:
        model.train()
        with torch.no_grad():
            model(torch.randn(8, 3, max(member.size, 64), max(member.size, 64)))
    return model.eval()


def alive(model: Any) -> None:
    """Give weights that torchvision starts at zero, or next to it, values as training would.

    Layer scales (1e-6 in ConvNeXt) and a classifier of zeros would hide all that comes before.
    """
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_scale"):
                parameter.uniform_(0.1, 0.5)
            elif parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=parameter[0].numel() ** -0.5)


def keras_network(name: str, member: Member) -> Any:
    """A network of `keras.applications` with initial weights."""
    from spikewright.frontends.keras.importing import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(0)
    shape = (member.size, member.size, 3)
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        # Keras has it there under no name: padding of uneven average pools differs from others'
        from keras.src.applications.nasnet import NASNet

        return NASNet(shape, 1056, 4, 32, skip_reduction=False, weights=None)
    return getattr(keras.applications, name)(weights=None, input_shape=shape, **member.options)


def measured(name: str) -> dict[str, Any]:
    """Read, verify and convert one member; what is refused or differs is in `refused`."""
    import spikewright as sw
    from spikewright.errors import SpikewrightError
    from spikewright.inspection import inspect

    member, of_keras = MEMBERS[name], name.startswith("keras/")
    side = member.size
    shape = (2, side, side, 3) if of_keras else (2, 3, side, side)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    make = keras_network if of_keras else torch_network
    model, example = make(name.removeprefix("keras/"), member), None if of_keras else x
    row: dict[str, Any] = {"input": f"{side} x {side}", "refused": ""}
    begin = time.perf_counter()
    try:
        found = inspect(model, example_input=example)
        row |= {"layers": len(found.layers), "parameters": found.parameters}
        errors = sw.convert(model, example_input=example).verify(x, rtol=1e30)
        row |= {"worst": max(errors.values()), "compared": len(errors)}
        if row["worst"] > TOLERANCE:
            row["refused"] = f"{max(errors, key=errors.__getitem__)} differs"
        row["guarantee"] = sw.convert(model, spiking=True, example_input=example).trace.guarantee
    except SpikewrightError as error:
        row["refused"] = str(error)
    return row | {"seconds": time.perf_counter() - begin}


def in_process(name: str) -> dict[str, Any]:
    """The same in a process of its own, whose end is no other's."""
    command = [sys.executable, "-m", "benchmarks.families", "--child", name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"refused": f"not done in {LIMIT:g} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"refused": f"failed: {last}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


COLUMNS = ["network", "family", "input", "layers", "parameters", "seconds", "error", "guarantee"]


def cells(name: str, row: Mapping[str, Any]) -> list[str]:
    """A row as text; what does not exist is a dash."""
    return [
        name,
        MEMBERS[name].family,
        row.get("input", "-"),
        str(row.get("layers", "-")),
        "-" if row.get("parameters") is None else f"{row['parameters']:,}",
        f"{row['seconds']:.0f}" if "seconds" in row else "-",
        f"{row['worst']:.1e}" if "worst" in row else "-",
        "refused" if row["refused"] else row["guarantee"],
    ]


def text(rows: Mapping[str, Mapping[str, Any]], used: Mapping[str, str]) -> str:
    """The document."""
    shown = {name: rows[name] for name in MEMBERS if name in rows}
    refused = [f"* {name}: {row['refused']}" for name, row in shown.items() if row["refused"]]
    parts = [
        HEAD,
        markdown_table(COLUMNS, [cells(name, row) for name, row in shown.items()]),
        f"\n{len(shown) - len(refused)} of {len(shown)} are converted. Refused:\n"
        if refused
        else f"\nAll {len(shown)} are converted; nothing is refused.",
        *refused,
        f"\nWith {', '.join(f'{name} {version}' for name, version in used.items())}.",
    ]
    return "\n".join([*parts, ""])


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--only", nargs="+", choices=list(MEMBERS), default=list(MEMBERS))
    p.add_argument("--again", action="store_true", help="measure what has been measured before")
    p.add_argument("--document", type=Path, help="write the table of all that was measured here")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument("--child", help=argparse.SUPPRESS)
    how = p.parse_args()
    if how.child:
        print(json.dumps(measured(how.child)))
        return
    results = Results.here(how.cache)
    for number, name in enumerate(how.only, start=1):
        row = results.section("families").get(name)
        if row is None or how.again:
            row = in_process(name)
            results.put("families", name, row)
        print(f"[{number}/{len(how.only)}] " + "  ".join(cells(name, row)), flush=True)
        if row["refused"]:
            print(f"    {row['refused']}", flush=True)
    if how.document:
        used = versions(("spikewright", "numpy", "torch", "torchvision", "keras"))
        how.document.write_text(text(results.section("families"), used), encoding="utf-8")


if __name__ == "__main__":
    main()
