"""Everything that takes data, by name: what each makes of a conversion and its samples."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

import spikewright as sw
from one_number import SAMPLES
from spikewright.cli import main
from spikewright.conversion import watch
from spikewright.measure.operations import Counter
from spikewright.records import Record

STEPS = 6
CHOICES: Mapping[str, Any] = {
    "spiking": True, "scale_firing_rates": 400.0, "max_spikes_per_step": 1,
}  # fmt: skip
QUIET: Mapping[str, Any] = {"steps": STEPS, "progress": False}


@dataclass(frozen=True)
class Given:
    """A conversion, and data as its source takes it: one array, or a tuple of them."""

    conversion: sw.Conversion
    arrays: Mapping[str, NDArray]
    y: NDArray
    folder: Path

    @property
    def x(self) -> Any:
        """The arguments of the source's own call."""
        return self.of(self.arrays)

    def of(self, arrays: Mapping[str, NDArray]) -> Any:
        """These arrays in the order of the source's arguments."""
        values = tuple(arrays.values())
        return values if len(values) > 1 else values[0]

    def part(self, samples: slice) -> Any:
        """Some samples."""
        return self.of({name: array[samples] for name, array in self.arrays.items()})

    def over_time(self) -> Any:
        """The same values in each of some steps."""
        return self.of({n: np.repeat(a[:, None], STEPS, 1) for n, a in self.arrays.items()})

    def batches(self) -> list[Any]:
        """Pairs of inputs and labels or targets."""
        halves = slice(0, 30), slice(30, None)
        return [(self.part(half), self.y[half]) for half in halves]

    def loader(self) -> Any:
        """A `DataLoader` over a data set whose items are numbers."""
        parts = [torch.as_tensor(a) for a in (*self.arrays.values(), self.y)]
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*parts), batch_size=30)

    @property
    def command(self) -> tuple[str, str]:
        """Files of the network and of the samples."""
        model, data = self.folder / "network.spike", self.folder / "data.npz"
        self.conversion.save(model, overwrite=True)
        np.savez(data, y=self.y, **self.arrays)
        return str(model), str(data)


MEASURES = (
    "accuracy", "agreement", "relative error", "root mean square error", "spikes per sample",
    "relative difference",
)  # fmt: skip


def _measured(records: Sequence[Record]) -> list[float]:
    """Measures of outputs and spikes, which the form of an output does not change."""
    found = [r.value for r in records if r.name in MEASURES and "layer" not in r.how]
    assert len(found) > 2
    return found


def _evaluated(given: Given, *data: Any, **more: Any) -> list[float]:
    return _measured(given.conversion.evaluate(*data, **QUIET, **more).records)


def _elsewhere(given: Given) -> list[float]:
    with ThreadPoolExecutor(1) as executor:
        return _evaluated(given, given.x, given.y, executor=executor)


def _called(arguments: Sequence[str]) -> list[float]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [
        record["value"]
        for record in json.loads(result.stdout)["records"]
        if record["name"] in MEASURES and "layer" not in record["how"]
    ]


def _streamed(given: Given) -> Any:
    conversion = given.conversion
    with conversion.stream(batch_size=3) as together, conversion.stream() as alone:
        three, first = given.part(slice(3)), given.of({n: a[0] for n, a in given.arrays.items()})
        for _ in range(STEPS):
            last = together.step(three), alone.step(first)
        return *last, together.predict(), alone.predict()


def _simulated(given: Given) -> Any:
    conversion = given.conversion
    (output,) = conversion.outputs.values()
    with conversion.network:
        probe = sw.Probe(output.neurons if isinstance(output, sw.Ensemble) else output)
    try:
        with sw.Simulator(conversion.network, batch_size=SAMPLES, progress_bar=False) as simulator:
            simulator.run_steps(
                STEPS, {node: given.arrays[name] for name, node in conversion.inputs.items()}
            )
            return np.array(simulator.data[probe])
    finally:
        conversion.network.probes.remove(probe)


def _deployed(given: Given) -> Any:
    """The step as an ONNX model, run by onnxruntime on what the source's own call takes."""
    path = given.folder / "step.onnx"
    sw.onnx.save_step(given.conversion, path, overwrite=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    states, counter = json.loads(told["states"]), json.loads(told["step"])
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    feeds: dict[str, Any] = {n: a.astype(np.float32) for n, a in given.arrays.items()}
    state = {name: np.zeros((SAMPLES, *shapes[name])) for name in states}
    names = [output.name for output in session.get_outputs()]
    found: dict[str, Any] = {}
    for step in range(STEPS):
        found = dict(
            zip(names, session.run(names, {**feeds, **state, counter: np.array(step)}), strict=True)
        )
        state = {name: found[following] for name, following in states.items()}
    return [v for n, v in found.items() if n.startswith("mean ")]


def _operations(given: Given) -> Any:
    conversion = given.conversion
    lowered = conversion.lowered
    counter = Counter(lowered.network, conversion.populations(), lowered.inputs)
    run = conversion.run(given.x, **QUIET)
    totals = {name: part.totals for name, part in run.populations.items()}
    held, timed = (
        counter.count(totals, STEPS, x)
        for x in (
            given.arrays,
            {n: np.repeat(a[:, None], STEPS, 1) for n, a in given.arrays.items()},
        )
    )
    return [
        sum(layer.input_per_step.sum() for layer in found.layers.values())
        for found in (held, timed)
    ]


def _trained(given: Given, x: Any, y: Any = None, **more: Any) -> Any:
    made = given.conversion.train(
        x, y, epochs=1, validation=0.25, batch_size=16, learning_rate=1e-3, **QUIET, **more
    )
    return made.conversion.run(given.x, **QUIET).predict()


def _module(given: Given) -> Any:
    module = given.conversion.to_torch(STEPS)
    inputs = [torch.as_tensor(array) for array in given.arrays.values()]
    over_time = [x[:, None].expand(-1, STEPS, *x.shape[1:]) for x in inputs]
    return module(*inputs).detach().numpy(), module(*over_time).detach().numpy()


RULE = sw.MinimumError(STEPS, spikes_per_step=1)


def _scales(conversion: sw.Conversion) -> Any:
    return list(conversion.resolved["scale_firing_rates"].values())


def _again(given: Given, **changes: Any) -> Any:
    return given.conversion.replace(**changes).run(given.x, **QUIET).predict()


ENTRIES: dict[str, Callable[[Given], Any]] = {
    "run": lambda g: g.conversion.run(g.x, **QUIET).predict(),
    "run by name": lambda g: g.conversion.run(dict(g.arrays), **QUIET).predict(),
    "run on tensors": lambda g: g.conversion.run(
        g.of({n: torch.as_tensor(a) for n, a in g.arrays.items()}), **QUIET
    ).predict(),
    "run on lists": lambda g: g.conversion.run(
        {n: a.tolist() for n, a in g.arrays.items()}, **QUIET
    ).predict(),
    "run over time": lambda g: g.conversion.run(g.over_time(), progress=False).predict(),
    "answers at every step": lambda g: g.conversion.run(g.x, **QUIET).predict_at_every_step("last"),
    "recorded": lambda g: list(
        g.conversion.run(g.x, **QUIET, record=list(g.conversion.populations())).recorded.values()
    ),
    "reference engine": lambda g: g.conversion.run(g.x, **QUIET, engine="reference").predict(),
    "torch engine": lambda g: g.conversion.run(g.x, **QUIET, engine="torch").predict(),
    "native engine": lambda g: g.conversion.run(g.x, **QUIET, engine="native").predict(),
    "small batches": lambda g: g.conversion.run(g.x, **QUIET, batch_size=7).predict(),
    "verify": lambda g: max(g.conversion.verify(g.x).values()) < 1e-6,
    "verify on random input": lambda g: max(g.conversion.verify().values()) < 1e-6,
    "evaluate": lambda g: _evaluated(g, g.x, g.y),
    "evaluate a column of y": lambda g: _evaluated(
        g, g.x, g.y[:, None] if g.y.ndim == 1 else g.y
    ),
    "evaluate without y": lambda g: _evaluated(g, g.x),
    "evaluate batches": lambda g: _evaluated(g, g.batches()),
    "evaluate a loader": lambda g: _evaluated(g, g.loader()),
    "evaluate over time": lambda g: _evaluated(g, g.over_time(), g.y),
    "evaluate elsewhere": lambda g: _elsewhere(g),
    "calibration": lambda g: _scales(
        g.conversion.replace(scale_firing_rates=RULE, calibration=g.x)
    ),
    "calibration in batches": lambda g: _scales(
        g.conversion.replace(scale_firing_rates=RULE, calibration=g.batches())
    ),
    "calibration from a loader": lambda g: _scales(
        g.conversion.replace(scale_firing_rates=RULE, calibration=g.loader())
    ),
    "statistics": lambda g: _scales(
        g.conversion.replace(
            scale_firing_rates=sw.Percentile(99.0, 300.0),
            calibration=g.conversion.calibrate(g.x, progress=False),
        )
    ),
    "bias correction": lambda g: _again(
        g, bias_correction=sw.BiasCorrection(STEPS), calibration=g.x
    ),
    "step correction": lambda g: _again(
        g, bias_correction=sw.StepCorrection(STEPS), calibration=g.x
    ),
    "best rule": lambda g: _scales(
        sw.best_rule(
            g.conversion, g.x, STEPS, candidates=[RULE, sw.Percentile(99.0, 300.0)], progress=False
        ).best.conversion
    ),
    "sweep": lambda g: _measured(
        sw.sweep(
            g.conversion, g.x, g.y, scales=[200.0, 400.0], steps=[2, STEPS], progress=False
        ).records
    ),
    "diagnose": lambda g: g.conversion.diagnose(g.x, g.y, **QUIET).loss.value,
    "stream": _streamed,
    "Simulator": _simulated,
    "saved": lambda g: sw.load(g.command[0]).run(g.x, **QUIET).predict(),
    "saved, verified": lambda g: max(sw.load(g.command[0]).verify(g.x).values()) < 1e-6,
    "pickled": lambda g: pickle.loads(pickle.dumps(g.conversion)).run(g.x, **QUIET).predict(),
    "ONNX step": _deployed,
    "operations": _operations,
    "watch": lambda g: list(
        watch(g.conversion, g.part(slice(1)), STEPS).answers.values()
    ),
    "train": lambda g: _trained(g, g.x, g.y),
    "train, imitating": lambda g: _trained(g, g.x),
    "train on a loader": lambda g: _trained(g, g.loader()),
    "train through time": lambda g: _trained(g, g.x, g.y, method="time"),
    "reconstruct": lambda g: g.conversion.reconstruct(g.x, epochs=1, **QUIET)
    .run(g.x, **QUIET)
    .predict(),
    "torch module": _module,
    "evaluate command": lambda g: _called(
        ["evaluate", g.command[0], "--data", g.command[1], "--steps", str(STEPS)]
    ),
    "fits a chip": lambda g: str(g.conversion.fits("loihi1")) != "",
}  # fmt: skip
