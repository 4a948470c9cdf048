"""What a user does with a file of each kind, once it is loaded."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import models
import spikewright as sw
from spikewright import graph, network
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.graph import evaluate
from spikewright.graph.layers import Recurrence
from spikewright.measure import Evaluation
from spikewright.report import write_html

MODEL, RESIDUAL = models.mlp(), models.residual()
X = models.inputs(MODEL, batch=12)
STEPS = 4
RULES = (
    sw.Percentile(99.0), sw.MinimumError(4, spikes_per_step=1), sw.TargetRate(100.0),
    sw.LocalThresholdBalancing(), sw.ThresholdIteration(4, spikes_per_step=1),
)  # fmt: skip


def evaluated(folder: Path | None = None, **settings: Any) -> Evaluation:
    """A small evaluation, perhaps kept in a folder."""
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=2000.0)
    labels = np.arange(12) % 3
    return conversion.evaluate(
        X, labels, STEPS, thresholds=[0.6], checkpoint=folder, progress=False, **settings
    )


def _conversion(path: Path) -> None:
    """Look at it, verify it, run it, convert it again, write it."""
    loaded = sw.load(path)
    text(loaded, loaded.trace, loaded.trace.warnings, loaded.trace.guarantee)
    loaded.verify()
    x, steps = _fed(loaded)
    loaded.run(x, steps, progress=False).predict()
    loaded.memory(2, STEPS)
    loaded.replace(initial_voltage="zero").run(x, steps, progress=False)
    loaded.save(path.with_suffix(".again"))


def _fed(loaded: sw.Conversion) -> tuple[dict[str, Any], int | None]:
    """Input of the shapes that it says it takes, and for how long."""
    rng, stepping = np.random.default_rng(0), loaded.lowered.stepping
    x = {name: rng.normal(size=(2, *node.shape_out)) for name, node in loaded.inputs.items()}
    if stepping is None:
        return x, STEPS
    return {
        name: np.stack([v] * 3, 1 + (stepping.inputs[name] or 0)) for name, v in x.items()
    }, None


def _network(path: Path) -> None:
    """Run it on both engines, write it."""
    loaded = network.load(path)
    for engine in ("reference", "native"):
        with sw.Simulator(loaded, engine=engine) as simulator:
            simulator.run_steps(STEPS)
            for probe in loaded.all_probes:
                np.asarray(simulator.data[probe])
    network.save(loaded, path.with_suffix(".again"))


def _graph(path: Path) -> None:
    """Look at it, evaluate it, convert it, write it."""
    loaded = graph.load(path)
    rng = np.random.default_rng(0)
    text(graph.to_text(loaded))
    evaluate(loaded, {name: rng.normal(size=(2, *loaded.shapes[name])) for name in loaded.inputs})
    along = any(isinstance(node.layer, Recurrence) for node in loaded)
    sw.convert(loaded, spiking=along, sequence_step=2 if along else None)
    graph.save(loaded, path.with_suffix(".again"))


def _statistics(path: Path) -> None:
    """Choose scales by every rule that needs them, join them, write them."""
    loaded = sw.Statistics.load(path)
    text(loaded)
    model = RESIDUAL if "relu1" in loaded.layers else MODEL
    for rule in RULES:
        sw.convert(model, spiking=True, scale_firing_rates=rule, calibration=loaded)
    sw.Statistics.join([loaded, loaded]).save(path.with_suffix(".again"))


def _evaluation(path: Path) -> None:
    """Look at it, make a page of it, write it."""
    loaded = Evaluation.load(path)
    text(loaded, json.dumps(loaded.as_dict(), allow_nan=False))
    if loaded.settings.get("metric") is None:
        text(loaded.accuracy())
    write_html(path.with_suffix(".html"), loaded.records)
    loaded.save(path.with_suffix(".again"))


def _shard(path: Path) -> None:
    """Go on with an evaluation that it is a part of: what is damaged is done again."""
    folder = path.with_suffix(".folder")
    shutil.copytree(path.parent / "evaluation", folder)
    (folder / "shard-000000.safetensors").write_bytes(path.read_bytes())
    text(evaluated(folder).accuracy())


def _about(path: Path) -> None:
    """Go on with an evaluation that says this of itself."""
    folder = path.with_suffix(".folder")
    shutil.copytree(path.parent / "evaluation", folder)
    (folder / "evaluation.json").write_bytes(path.read_bytes())
    evaluated(folder)


def _decoders(path: Path) -> None:
    """Ask the cache for them: damaged ones are dropped."""
    found = DecoderCache(path.parent).find(path.stem, (3, 2))
    if found is not None:
        text(np.asarray(found.decoders).sum(), found.info)


def text(*items: Any) -> str:
    """Everything as it is shown."""
    return "\n".join(f"{item!s} {item!r}" for item in items)


USES: dict[str, Callable[[Path], None]] = {
    "conversion": _conversion,
    "network": _network,
    "graph": _graph,
    "statistics": _statistics,
    "evaluation": _evaluation,
    "shard": _shard,
    "about": _about,
    "decoders": _decoders,
}


def use(path: str) -> None:
    """Load a file, whose name begins with its kind, and use it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        USES[Path(path).name.partition("-")[0]](Path(path))


def prepare() -> None:
    """Import what uses import, so that processes forked from this one have it already."""
    for name in sw.__all__:
        getattr(sw, name)
