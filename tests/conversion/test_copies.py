"""Files, pickles and deep copies of conversions: the same bits, and a life of their own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import models
import spikewright as sw
from frontends.recurrent import cell_of, samples
from frontends.recurrent import graph_of as sequence_of
from lower.layer_graphs import Case, cases, graph_of, inputs_of, kinds
from slowly import in_turn
from spikewright import demo
from spikewright._base import storage as _storage
from spikewright.choosing.correction import CORRECTIONS
from spikewright.conversion import Conversion
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.making import ConvertibleModel
from spikewright.errors import ConversionError, DamagedFileError, NetworkError, ReadError
from spikewright.frontends import read
from spikewright.frontends.source import SourceNote
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice
from spikewright.running import storage

STEPS = 12
CELLS = ["tanh", "relu", "gru", "gru-after", "lstm", "lstm-peepholes"]
CASES = cases()


class Example(NamedTuple):
    """A conversion, and what it is run on."""

    conversion: Conversion
    x: Any
    steps: int | None = STEPS


def _through_a_file(conversion: Conversion, tmp_path: Path) -> Conversion:
    conversion.save(tmp_path / "network")
    return sw.load(tmp_path / "network")


def _pickled(conversion: Conversion, tmp_path: Path) -> Conversion:
    made = pickle.loads(pickle.dumps(conversion))
    assert isinstance(made, Conversion)
    return made


def _copied(conversion: Conversion, tmp_path: Path) -> Conversion:
    return copy.deepcopy(conversion)


WAYS: dict[str, Callable[[Conversion, Path], Conversion]] = {
    "file": _through_a_file,
    "pickle": _pickled,
    "deep copy": _copied,
    "pickle of a file": lambda c, path: _pickled(_through_a_file(c, path), path),
    "deep copy of a file": lambda c, path: _copied(_through_a_file(c, path), path),
}


def bits(example: Example, conversion: Conversion | None = None) -> dict[str, bytes]:
    """All that a run gives: outputs and spike counts, as bytes."""
    made = example.conversion if conversion is None else conversion
    run = made.run(example.x, example.steps, seed=3, engine="reference", progress=False)
    found = {f"output {name}": array.tobytes() for name, array in run.raw.items()}
    return found | {name: p.totals.tobytes() for name, p in run.populations.items()}


def of_layer(case: Case) -> Example:
    """Spikes before and behind one layer."""
    graph = graph_of(case, behind_spikes=True)
    x = inputs_of(graph, case.positive, batch=2)
    return Example(sw.convert(graph, spiking=True, scale_firing_rates=60.0), x)


def example(graph: Graph | None = None, **arguments: Any) -> Example:
    """A small network, under some arguments."""
    graph = models.mlp(output="softmax") if graph is None else graph
    given = {"spiking": True, "scale_firing_rates": 60.0, **arguments}
    return Example(sw.convert(graph, **given), models.inputs(graph))


SAMPLES = models.inputs(models.mlp(), batch=20)
ARGUMENTS: dict[str, list[Any]] = {
    "spiking": [
        False,
        {"relu": sw.BipolarIntegrateAndFire()},
        {sw.RectifiedLinear: sw.IntegrateAndFire},
        {sw.RectifiedLinear(): sw.PoissonSpiking(sw.RectifiedLinear())},
    ],
    "scale_firing_rates": [
        200,
        np.float32(80),
        {"act1": 50.0, "act2": np.linspace(20.0, 90.0, 8)},
        sw.Percentile(99.9),
    ],
    "synapse": [0.005, sw.Alpha(0.01), {"act1": None, "act2": sw.Lowpass(0.002)}],
    "initial_voltage": [
        "zero",
        "uniform",
        {"act1": "half", "act2": np.linspace(0.0, 0.9, 8)},
        sw.VoltageCorrection(8),
    ],
    "bias_correction": [
        {"act1": 0.25, "act2": np.linspace(-0.1, 0.1, 8)},
        {
            "act1": np.linspace(-0.5, 0.5, 3)[:, None],
            "act2": np.linspace(-0.1, 0.1, 16).reshape(2, 8),
        },
        sw.BiasCorrection(8),
        sw.StepCorrection(8),
    ],
    "fission": [{"act1": np.arange(12) % 3 + 1}, sw.Fission(8)],
    "max_pool": ["average"],
    "max_spikes_per_step": [1],
    "weights": [sw.Quantised(bits=4), sw.Quantised(bits=8, per="layer")],
    "outputs": [["act2"], ["output", "act1"]],
    "fallback": ["python"],
    "calibration": [],
    "sequence_step": [],
}
"""Examples of every argument of `convert` that a conversion can be made with again."""
CHANGES = [{name: value} for name, values in ARGUMENTS.items() for value in values]


def with_data(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes with the data that rules and corrections among them need."""
    rules = (sw.Percentile, *CORRECTIONS)
    needs = any(isinstance(value, rules) for value in changes.values())
    if any(isinstance(value, sw.Fission) for value in changes.values()):
        return {**changes, "calibration": SAMPLES, "max_spikes_per_step": 1}
    return {**changes, "calibration": SAMPLES} if needs else changes


def test_every_argument_has_examples() -> None:
    """A new argument of `convert` is tested here from the day it exists."""
    assert set(ARGUMENTS) == set(signature(sw.convert).parameters) - {"model", "example_input"}


@pytest.mark.parametrize(("changes", "way"), in_turn(CHANGES, WAYS))
def test_every_argument_goes_through(changes: dict[str, Any], way: str, tmp_path: Path) -> None:
    """The same bits, the same trace, and arguments without rules that make the same once more."""
    first = example(**with_data(changes))
    made = WAYS[way](first.conversion, tmp_path)

    assert bits(first, made) == bits(first)
    assert list(made.trace) == list(first.conversion.trace)
    assert bits(first, sw.convert(first.conversion.graph, **made.resolved)) == bits(first)
    assert made.verify().keys() == first.conversion.verify().keys()


@pytest.mark.parametrize("case", kinds(), ids=lambda case: case.id)
def test_every_layer_goes_through(case: Case, tmp_path: Path) -> None:
    """Every layer of the registry, between neurons that spike."""
    first = of_layer(case)

    assert bits(first, _pickled(first.conversion, tmp_path)) == bits(first)


@pytest.mark.parametrize(("way", "step", "kind"), in_turn([*WAYS, "file"], [None, 4], CELLS))
def test_recurrent_networks_go_through(
    step: int | None, kind: str, way: str, tmp_path: Path
) -> None:
    """Every cell, written out and step by step."""
    graph = sequence_of(cell_of(kind), kept=step is not None)
    made = sw.convert(graph, spiking=True, scale_firing_rates=60.0, sequence_step=step)
    first = Example(made, samples(), STEPS if step is None else None)

    assert bits(first, WAYS[way](made, tmp_path)) == bits(first)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_has_a_life_of_its_own(way: str, tmp_path: Path) -> None:
    """Changing either, in place too, changes nothing of the other; both know they were changed."""
    for mine in (True, False):
        first = example(models.residual(pool=True))
        before = bits(first)
        made = WAYS[way](first.conversion, tmp_path)
        changed, other = (made, first.conversion) if mine else (first.conversion, made)
        for ensemble in changed.populations().values():
            ensemble.bias = ensemble.bias + 0.5
        with changed.network:
            sw.Probe(next(iter(changed.populations().values())).neurons)
        changed.trace.add("hand", "everything", "biases are larger", "approximated")

        assert bits(first, changed) != before
        assert bits(first, other) == before
        assert not other.network.all_probes
        assert other.trace.guarantee == "convergent"


def test_copies_are_made_after_runs_and_of_models_that_no_file_holds() -> None:
    """What an engine has built stays behind; a deep copy shares the model, a pickle its graph."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=50)
    x, _ = demo.held_out(4)
    first = Example(conversion, x)
    before = bits(first)

    deep, loaded = copy.deepcopy(conversion), pickle.loads(pickle.dumps(conversion))
    assert bits(first, deep) == bits(first, loaded) == before
    assert deep.source is conversion.source
    assert deep.again(max_pool="average").source.framework == "onnx"
    assert loaded.source.framework == "graph"


def test_a_shallow_copy_shares_the_network() -> None:
    """As `copy.copy` says."""
    conversion = example().conversion

    assert copy.copy(conversion).network is conversion.network


def test_a_deep_copy_keeps_what_no_file_can_hold() -> None:
    """A Python function in the network: copied along, refused by name where a file is needed."""
    first = example()
    with first.conversion.network:
        clock = sw.Node(lambda t: t, label="clock")
        sw.Connection(
            clock, first.conversion.layers["act1"].neurons, transform=np.full((12, 1), 30.0)
        )
    made = copy.deepcopy(first.conversion)

    assert bits(first, made) == bits(first) != bits(example())
    with pytest.raises(NetworkError, match="clock"):
        pickle.dumps(first.conversion)


def test_pickles_are_files() -> None:
    """Damaged, they are the same clear error; they name nothing to import but where to read."""
    content = pickle.dumps(example().conversion)
    middle = len(content) // 2
    with pytest.raises(DamagedFileError):
        pickle.loads(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


# --- once more ------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{n: v[0]} for n, v in ARGUMENTS.items() if v], ids=str)
def test_a_loaded_conversion_is_made_again(changes: dict[str, Any], tmp_path: Path) -> None:
    """Every argument changed: as if the model had been converted with it."""
    graph = models.mlp(output="softmax")
    given = {"spiking": True, "scale_firing_rates": 60.0}
    changed = with_data(changes)
    loaded = _through_a_file(sw.convert(graph, **given), tmp_path)
    wanted = Example(sw.convert(graph, **{**given, **changed}), models.inputs(graph))
    made = loaded.again(**changed)

    assert bits(wanted, made) == bits(wanted)
    assert list(made.trace) == list(wanted.conversion.trace)
    assert bits(wanted, _through_a_file(made, tmp_path)) == bits(wanted)


@pytest.mark.parametrize("changes", [{"synapse": 0.01}, {"outputs": ["act2"]}])
def test_what_reading_left_out_stays_said(changes: dict[str, Any], tmp_path: Path) -> None:
    """The graph in the file lacks it too: every network made of that is approximated."""
    left_out = replace(read(models.mlp()), notes=(SourceNote("quantiser", "read as its input"),))
    arguments = sw.convert(models.mlp(), spiking=True, scale_firing_rates=60.0).arguments
    made = ConvertibleModel(sw.Conversion, left_out).converted(Wanted(arguments))
    loaded = _through_a_file(made, tmp_path)

    for made in (loaded, loaded.again(**changes), loaded.again(**changes).again(**changes)):
        assert [e.layer for e in made.trace if e.text == "read as its input"] == ["quantiser"]
        assert made.trace.guarantee == "approximated"


def test_what_needs_the_model_is_refused(tmp_path: Path) -> None:
    """The other form of recurrent layers, outputs that were cut, and what no argument is called."""
    beside = _through_a_file(sw.convert(sequence_of(cell_of("gru"), kept=False)), tmp_path)
    stepped = _through_a_file(sw.convert(sequence_of(cell_of("gru")), sequence_step=2), tmp_path)
    cut = _through_a_file(sw.convert(models.mlp(), outputs=["act1"]), tmp_path)

    for loaded, step in ((beside, 2), (stepped, None)):
        with pytest.raises(ConversionError, match=r"'sequence_step': the file.*Convert the model"):
            loaded.again(sequence_step=step)
    assert stepped.again(sequence_step=5).lowered.stepping.steps == 5  # type: ignore[union-attr]
    with pytest.raises(ConversionError, match="'outputs': the file holds none but"):
        cut.again(outputs=None)
    with pytest.raises(ReadError, match="no output, layer or tensor 'fc3'"):
        cut.again(outputs=["fc3"])
    with pytest.raises(ConversionError, match=r"scale.*no such argument"):
        cut.again(scale=3)


def test_files_from_before_arguments_were_kept_are_read(tmp_path: Path) -> None:
    """They run as ever; what they are to be made again with is refused."""
    first = example()
    manifest, arrays = storage.as_data(first.conversion)
    del manifest["arguments"]
    _storage.write(tmp_path / "old", storage.WHAT, manifest, arrays)
    loaded = sw.load(tmp_path / "old")

    assert bits(first, loaded) == bits(first)
    with pytest.raises(ConversionError, match="from before files held arguments"):
        loaded.again(synapse=0.01)


def test_what_takes_conversions_takes_loaded_ones(tmp_path: Path) -> None:
    """`best_rule` compares the same candidates and chooses the same; `sweep` measures the same."""
    conversion = sw.convert(models.mlp())
    both = (conversion, _through_a_file(conversion, tmp_path))
    chosen = [sw.best_rule(c, SAMPLES, 8, progress=False) for c in both]
    swept = [sw.sweep(c, SAMPLES, scales=[20.0, 50.0], steps=8, progress=False) for c in both]

    assert str(chosen[0]) == str(chosen[1])
    assert swept[0].as_dict() == swept[1].as_dict()


def test_arguments_that_no_file_can_hold_are_named(tmp_path: Path) -> None:
    """Nothing is written."""
    conversion = sw.convert(models.mlp())
    conversion.resolved = {**conversion.resolved, "synapse": object()}
    with pytest.raises(NetworkError, match=r"cannot be saved: Arguments\.synapse holds"):
        conversion.save(tmp_path / "network")

    assert not list(tmp_path.iterdir())


def test_keys_of_neurons_stay_what_they_are() -> None:
    """Names, classes and instances of neuron types, by which `spiking` chooses."""
    keys: list[Any] = ["relu", sw.RectifiedLinear, sw.RectifiedLinear()]
    for key in keys:
        made = pickle.loads(pickle.dumps(example(spiking={key: sw.IntegrateAndFire}).conversion))
        (found,) = NeuronChoice(made.arguments["spiking"]).spiking  # type: ignore[misc]
        assert found == key
        assert type(found) is type(key)
