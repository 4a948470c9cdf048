"""Trains the network that the demonstration ships, and writes it as ONNX.

    python scripts/train_digits.py

Needs the `dev` extra and takes a few seconds. Seeded: with the same versions of PyTorch and ONNX it
writes the same file again. Input is raw pixels, 0 to 16, as the data set has them, so that
activations, which a spiking neuron sends as its rate in Hz, come to a few Hz at a scale of 1.
"""

from __future__ import annotations

import argparse
import io
from collections import OrderedDict
from pathlib import Path

import onnx
import torch
from torch import nn

from spikewright.showing.demo import MODEL, digits

SEED = 0
EPOCHS = 40
BATCH = 64
PEAK_RATE = 0.01
"""Learning rate at the top of the one-cycle schedule."""


def network() -> nn.Sequential:
    """Two convolutions, the second with a stride of 2, and a dense layer."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 16, 3, stride=2, padding=1),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            dense=nn.Linear(16 * 4 * 4, 10),
        )
    )


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Adam on cross-entropy, with a one-cycle learning rate."""
    batches = -(-len(images) // BATCH)
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, total_steps=EPOCHS * batches
    )
    order = torch.Generator().manual_seed(SEED)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=order).split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    model.eval()


def export(model: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """The network as ONNX with a free batch size, nodes named as its layers are."""
    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        (example,),
        buffer,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["digit"],
        dynamic_axes={"image": {0: "batch"}, "digit": {0: "batch"}},
    )
    proto = onnx.load_from_string(buffer.getvalue())
    for node in proto.graph.node:
        node.name = node.name.split("/")[1]  # "/conv1/Conv" is the layer "conv1"
    proto.graph.name = "digits"
    onnx.checker.check_model(proto, full_check=True)
    return proto


def main() -> None:
    """Train, report the accuracy on both parts, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=MODEL, help="where to write the ONNX file")
    out = parser.parse_args().out
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the same sums, hence the same file, on any number of cores
    model = network()
    (x, y), (x_held, y_held) = digits()
    images, labels = torch.tensor(x), torch.tensor(y)
    train(model, images, labels)
    with torch.no_grad():
        for part, a, b in (("training", images, labels), ("held-out", x_held, y_held)):
            hits = model(torch.as_tensor(a)).argmax(1) == torch.as_tensor(b)
            print(f"{part} accuracy {hits.float().mean():.2%} of {len(hits)}")
    out.write_bytes(export(model, images[:2]).SerializeToString(deterministic=True))
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
