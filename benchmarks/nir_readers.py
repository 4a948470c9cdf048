"""Runs saved networks in other simulators of NIR: their spikes and accuracy, and why they differ.

    python -m benchmarks.nir.environments READERS
    python -m benchmarks.nir_readers --mnist mnist.npz --readers READERS --document

Six networks on MNIST: a dense one, the published convolutional one, one with residual edges, one
with depthwise convolutions, and recurrent LIF neurons made by hand, alone and behind a synapse.
Four are converted with one threshold a layer (99.9 %), started at zero, and saved for a run of 16
steps. Each reader runs 1 000 test images. The dense, residual and depthwise ones are trained here,
in seconds.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from benchmarks import marked, sources
from benchmarks.image_sets import ImageSet, load
from benchmarks.marked import add_document
from benchmarks.nir.checking import check
from benchmarks.nir.semantics import READERS
from spikewright.exchange.nir.saving import as_bytes
from spikewright.measure import accuracy

STEPS = 16
IMAGES = 1000
TRAINED = 20_000  # images for an epoch of the networks that are trained here


@dataclass(frozen=True)
class Network:
    """A saved network, its images as its input takes them, and its source's accuracy."""

    path: Path
    x: NDArray
    source: float | None


class Residual(nn.Module):
    """A convolution, and two more beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, 2, 1)
        self.second = nn.Conv2d(8, 8, 3, 1, 1)
        self.third = nn.Conv2d(8, 8, 3, 1, 1)
        self.out = nn.Linear(8 * 14 * 14, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`relu(f(x) + x)` behind a first layer."""
        x = torch.relu(self.first(x))
        x = torch.relu(self.third(torch.relu(self.second(x))) + x)
        return self.out(torch.flatten(x, 1))


def dense() -> nn.Module:
    """784-128-64-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip


def depthwise() -> nn.Module:
    """A convolution, a depthwise one and a pointwise one."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 16, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 49, 10),
    )  # fmt: skip


def trained(make: Callable[[], nn.Module], data: ImageSet) -> nn.Module:
    """An epoch of Adam on some images; the same for a seed."""
    torch.manual_seed(0)
    model = make()
    some = data.some(TRAINED, 1)
    order = torch.randperm(TRAINED)
    x, y = torch.from_numpy(images(some.x_train))[order], torch.from_numpy(some.y_train)[order]
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for first in range(0, TRAINED, 100):
        optimiser.zero_grad()
        output = model(x[first : first + 100])
        nn.functional.cross_entropy(output, y[first : first + 100]).backward()
        optimiser.step()
    return model.eval()


def images(x: NDArray) -> NDArray:
    """Bytes `(n, height, width, 1)` as values from 0 to 1, channels first."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1), np.float32) / 255


def converted(model: Any, data: ImageSet, path: Path, last: bool, floor: float | None) -> Network:
    """A source, converted and saved; a file without floor, or of neurons with one."""
    seen, tested = images(data.x_train[:500]), images(data.x_test[:IMAGES])
    as_taken = (lambda x: np.moveaxis(x, 1, -1)) if last else (lambda x: x)
    conversion = sw.convert(
        model,
        example_input=None if last else seen[:1],
        spiking={"relu": sw.IntegrateAndFire(voltage_floor=floor)},
        scale_firing_rates=sw.Percentile(99.9),
        calibration=as_taken(seen),
        initial_voltage="zero",
    )
    sw.nir.save(conversion, path, steps=STEPS)
    source = sw.convert(model, example_input=None if last else seen[:1]).run(
        as_taken(tested), steps=1
    )
    (shape,) = [
        n.input_type["input"] for n in nir.read(path).nodes.values() if isinstance(n, nir.Input)
    ]
    right = float(accuracy(source, data.y_test[:IMAGES]).value)
    return Network(path, tested.reshape(len(tested), *shape), right)


def leaky(ones: NDArray, step: float) -> nir.LIF:
    """LIF neurons, with four steps of time constant."""
    return nir.LIF(4 * step * ones, ones, 0 * ones, ones, metadata={"reset": "subtract"})


def synaptic(ones: NDArray, step: float) -> nir.CubaLIF:
    """The same behind a synapse of two steps."""
    rates = {"tau_syn": 2 * step * ones, "tau_mem": 4 * step * ones, "w_in": ones}
    return nir.CubaLIF(
        **rates, r=ones, v_leak=0 * ones, v_threshold=ones, metadata={"reset": "subtract"}
    )


def recurrent(
    data: ImageSet, path: Path, make: Callable[[NDArray, float], Any], step: float = 1.0
) -> Network:
    """64 neurons of random weights that read their own spikes; a least-squares readout.

    Steps have the length `step` in the file's unit of time.
    """
    rng = np.random.default_rng(0)
    count, flat = 64, (len(data.x_test), 784)
    ones = np.ones(count, np.float32)
    into = rng.normal(0, 2.0, (count, 784)).astype(np.float32) / 4
    around = rng.normal(0, 1.0, (count, count)).astype(np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([784])}),
        "into": nir.Affine(into, 0 * ones),
        "lif": make(ones, step),
        "around": nir.Affine(around, 0 * ones),
        "readout": nir.Affine(np.eye(10, count, dtype=np.float32), np.zeros(10, np.float32)),
        "output": nir.Output({"output": np.array([10])}),
    }
    edges = [  # the loop first: some readers answer with the node that they come to last
        *pairwise(("input", "into", "lif", "around", "lif")),
        *pairwise(("lif", "readout", "output")),
    ]
    path.write_bytes(as_bytes(nir.NIRGraph(nodes, edges, {"dt": step})))
    some = images(data.x_train[:4000]).reshape(-1, 784)
    network: Any = sw.nir.load(path)
    with network:
        probe = sw.Probe(network.layers["lif"].neurons, "spike_count")
    simulator = sw.Simulator(network, step, batch_size=len(some), progress=False)
    simulator.run_steps(STEPS, {network.inputs["input"]: some})
    rates = simulator.data[probe].mean(1)
    wanted = np.eye(10)[data.y_train[:4000]]
    found, *_ = np.linalg.lstsq(np.c_[rates, np.ones(len(rates))], wanted, rcond=None)
    nodes["readout"] = nir.Affine(*(a.astype(np.float32) for a in (found[:-1].T, found[-1])))
    path.write_bytes(as_bytes(nir.NIRGraph(nodes, edges, {"dt": step})))
    return Network(path, images(data.x_test).reshape(flat)[:IMAGES], None)


def resaved(network: Network) -> Network:
    """The same network as this project writes it: neurons and their synapse are one node."""
    sw.nir.save(sw.nir.load(network.path), network.path, overwrite=True)
    (kind,) = {type(n).__name__ for n in nir.read(network.path).nodes.values() if hasattr(n, "r")}
    assert kind == "CubaLIF"
    return network


def networks(
    data: ImageSet, cache: Path, folder: Path
) -> dict[str, Callable[[float | None], Network]]:
    """Every network by name; each is made for neurons with a floor, or without."""

    def of(name: str, make: Callable[[], Any], last: bool) -> Callable[[float | None], Network]:
        model = functools.cache(make)
        return lambda floor: converted(model(), data, folder / f"{name}.nir", last, floor)

    return {
        "dense": of("dense", lambda: trained(dense, data), False),
        "published": of("published", lambda: sources.mnist(data, cache).model, True),
        "residual": of("residual", lambda: trained(Residual, data), False),
        "depthwise": of("depthwise", lambda: trained(depthwise, data), False),
        "recurrent": lambda floor: recurrent(data, folder / "recurrent.nir", leaky),
        "synaptic": lambda floor: resaved(recurrent(data, folder / "synaptic.nir", synaptic)),
    }


def seconds(
    name: str, build: Callable[[float | None], Network], data: ImageSet, folder: Path
) -> Iterator[tuple[str, str, Network]]:
    """Second files of a network, for one reader each, and what is other in them."""
    if name == "recurrent":
        step = 1e-4
        yield f"step {step:.4f}", "snntorch", recurrent(data, folder / "s.nir", leaky, step)
    elif name != "synaptic":
        yield "floor 1", "sinabs", build(1.0)


def measured(
    name: str, network: Network, data: ImageSet, pythons: Mapping[str, Path], seconds: float
) -> dict:
    """The check of a network as plain data."""
    labels = data.y_test[:IMAGES]
    found = check(network.path, network.x, pythons, steps=STEPS, labels=labels, seconds=seconds)
    print(f"{name}\n{found}\n", flush=True)
    return {**found.as_dict(), "path": name, "source": network.source}


NETWORKS = {
    "dense": "784-128-64-10, rectifiers between.",
    "published": "The convolutional network of NengoDL's keras-to-snn example, six epochs.",
    "residual": "A convolution, and two more beside a shortcut, which is a convolution of 1 x 1: "
    "layers have scales of their own.",
    "depthwise": "A convolution, a depthwise one and a pointwise one.",
    "recurrent": "64 LIF neurons of random weights that read their own spikes, made by hand.",
    "synaptic": "The same behind a synapse, saved as `CubaLIF`.",
}


def page(results: dict[str, dict]) -> str:
    """The tables of all networks."""
    parts = []
    for name, found in results.items():
        here = found["here"]
        source = "" if found["source"] is None else f", source {found['source']:.1%}"
        spikes = f"{sum(here['spikes'].values()):,.0f}"
        parts += [
            f"### {name}\n\n{NETWORKS[name]}\n",
            "| reader | spikes an image | same | explained | outputs differ by | accuracy | why |",
            "|---|---|---|---|---|---|---|",
            f"| here | {spikes} | | | | {here['accuracy']:.1%}{source} | |",
            *(_line(row) for row in found["readers"]),
            "",
        ]
    return "\n".join(parts)


def _line(row: dict) -> str:
    name = f"{row['reader']} {next(iter((row['versions'] or {}).values()), '')}".strip()
    if row.get("second"):
        name += f", {row['second']}"
    if row["outcome"] != "ran":
        return f"| {name} | {row['outcome']} | | | | | {row['explanation']} |"
    layers = row["layers"]
    spikes = sum(layer["there"] for layer in layers)
    same = sum(layer["same"] for layer in layers) / len(layers)
    shares = [same, row["reproduced"], row["deviation"], row["accuracy"]]
    shown = " | ".join("" if share is None else f"{share:.1%}" for share in shares)
    return f"| {name} | {spikes:,.0f} | {shown} | {row['explanation']} |"


def main() -> None:
    """Measure what is named, keep it beside earlier results, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--readers", type=Path, required=True, help="the environments")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    parser.add_argument("--only", nargs="*", help="networks to measure")
    parser.add_argument("--seconds", type=float, default=900.0, help="for one reader")
    add_document(parser, "nir.md")
    given = parser.parse_args()
    data = load(given.mnist)
    pythons = {name: given.readers / name for name in READERS}
    kept = given.cache / "nir_readers.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, build in networks(data, given.cache, Path(folder)).items():
            if given.only is not None and name not in given.only:
                continue
            found = measured(name, build(None), data, pythons, given.seconds)
            for what, reader, made in seconds(name, build, data, Path(folder)):
                there = {reader: pythons[reader]}
                other = measured(name, made, data, there, given.seconds)
                found["readers"] += [{**row, "second": what} for row in other["readers"]]
            results[name] = found
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(results))
    if given.document is not None:
        order = [name for name in NETWORKS if name in results]
        marked.put("readers", page({name: results[name] for name in order}), given.document)


if __name__ == "__main__":
    main()
