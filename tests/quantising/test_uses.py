"""Weights of few bits in everything that works with conversions: commands, searches, training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from integers import dense, given

import spikewright as sw
from spikewright import chips, demo
from spikewright.cli.main import main
from spikewright.cli.opening import open_conversion
from spikewright.errors import TrainingError
from spikewright.quantising import bits_of

BITS = sw.Quantised(4)


@pytest.fixture(scope="module")
def data() -> tuple[Any, np.ndarray, np.ndarray]:
    """A network, samples, and what it says of them as labels."""
    graph = dense(8)
    x = given(graph, 80)
    y = np.asarray(sw.convert(graph).run(x, steps=1, progress=False).predict()).argmax(axis=1)
    return graph, x, y


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, data: Any) -> tuple[Path, Path]:
    """The network in a file, and its samples in another."""
    folder = tmp_path_factory.mktemp("bits")
    graph, x, y = data
    sw.convert(graph, spiking=True, scale_firing_rates=1000.0).save(folder / "network")
    np.savez(folder / "data.npz", x=x, y=y)
    return folder / "network", folder / "data.npz"


def invoke(*options: Any) -> Any:
    """The command with these options."""
    return CliRunner().invoke(main, [str(option) for option in options])


@pytest.mark.parametrize(
    "options, expected",
    [
        (("--weights", 4), sw.Quantised(4)),
        (("--weights", "2,layer", "--dt", 0.002), sw.Quantised(2, "layer", dt=0.002)),
        (("--weights", "speck"), bits_of(chips.profile("speck"))),
    ],
)
def test_commands_take_bits(
    saved: tuple[Path, Path], tmp_path: Path, options: Any, expected: sw.Quantised
) -> None:
    """`evaluate` measures what `convert` with the same bits makes."""
    network, samples = saved
    shown = invoke("evaluate", network, "--data", samples, "--steps", 12, *options, "--json")
    found = {r["name"]: r["value"] for r in json.loads(shown.stdout)["records"]}
    again = sw.load(network).again(weights=expected)
    x, y = (np.load(samples)[name] for name in ("x", "y"))
    dt = expected.dt
    wanted = again.evaluate(x, y, steps=12, dt=dt, progress=False)
    assert found["accuracy"] == [r.value for r in wanted.records if r.name == "accuracy"][-1]
    plain = sw.load(network).run(x, steps=12, dt=dt, progress=False).predict()
    few = again.run(x, steps=12, dt=dt, progress=False).predict()
    assert not np.array_equal(plain, few)


def test_a_saved_network_keeps_its_neurons_on_a_chip(
    saved: tuple[Path, Path], data: Any, tmp_path: Path
) -> None:
    """`--weights` asks for spikes where there are none, and leaves neurons chosen by hand alone."""
    graph = data[0]
    capped = {"relu": sw.IntegrateAndFire(max_spikes_per_step=1)}
    chosen = sw.convert(graph, spiking=capped, scale_firing_rates=1000.0)
    chosen.save(tmp_path / "chosen")
    sw.convert(graph).save(tmp_path / "rates")
    on_chip = {"weights": bits_of(chips.profile("speck"))}
    opened = open_conversion(tmp_path / "chosen", on_chip)
    wanted = chosen.on("speck")
    kinds = [[e.neuron_type for e in c.network.all_ensembles] for c in (opened, wanted)]
    assert kinds[0] == kinds[1] and {kind.most_spikes for kind in kinds[0]} == {1}
    rates = open_conversion(tmp_path / "rates", on_chip)
    assert all(e.neuron_type.spiking for e in rates.network.all_ensembles)


def test_the_command_sweep_takes_a_chip(tmp_path: Path) -> None:
    """Every setting has the chip's bits."""
    x, y = demo.held_out(20)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    where = ("sweep", demo.MODEL, "--data", tmp_path / "data.npz")
    asked = (*where, "--scale", 100, "--steps", 8)
    found, plain = (invoke(*asked, *more, "--json") for more in (("--weights", "speck"), ()))
    assert found.exit_code == plain.exit_code == 0, found.output
    values = [[r["value"] for r in json.loads(f.stdout)["records"]] for f in (found, plain)]
    assert values[0] != values[1]


def test_commands_refuse_bits_that_cannot_be(saved: tuple[Path, Path]) -> None:
    """A chip without spikes, bits that are none, and unknown chips."""
    for options, words in (
        (("--weights", "speck", "--rate"), "leave one out"),
        (("--weights", "eight"), "no number of bits such as 8 or 4,layer, and no chip"),
        (("--weights", 1), "a whole number from 2 to 16, got 1"),
        (("--weights", "8,neuron"), "'neuron'"),
        (("--weights", "spek"), "speck"),
    ):
        refused = invoke("convert", saved[0], *options)
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())


def test_sweeps_have_bits(data: Any) -> None:
    """The same for every setting, as an argument or of the conversion that is swept."""
    graph, x, y = data
    given_model = sw.sweep(graph, x, y, scales=[500.0, 2000.0], steps=8, weights=BITS)
    of_conversion = sw.sweep(
        sw.convert(graph, spiking=True, weights=BITS), x, y, scales=[500.0, 2000.0], steps=8
    )
    plain = sw.sweep(graph, x, y, scales=[500.0, 2000.0], steps=8)
    first, second, without = (
        [r.value for r in s.records] for s in (given_model, of_conversion, plain)
    )
    assert first == second != without


def test_searches_have_bits(data: Any) -> None:
    """What `tune` chooses is a conversion with the bits, and its text says so."""
    pytest.importorskip("optuna")
    graph, x, y = data
    found = sw.tune(graph, x, y, max_drop=0.2, trials=4, timeout=20, weights=BITS, progress=False)
    assert found.best.arguments["weights"] == BITS
    assert "weights=sw.Quantised(bits=4" in found.call
    made = sw.convert(graph, **found.best.arguments)
    kinds = {type(e.neuron_type) for e in made.populations().values()}
    assert kinds == {sw.FixedPointIntegrateAndFire}


@pytest.mark.parametrize("chip", ["speck", "loihi1"])
def test_the_report_shows_bits(saved: tuple[Path, Path], tmp_path: Path, chip: str) -> None:
    """Accuracy under the bits, what they made of each layer, and the chip's energy if published."""
    page = tmp_path / "page.html"
    where = ("evaluate", saved[0], "--data", saved[1], "--steps", 12, "--weights", chip)
    shown = invoke(*where, "--report", page, "--json")
    assert shown.exit_code == 0, shown.output
    records = json.loads(shown.stdout)["records"]
    (accuracy, *_) = [r["value"] for r in records if r["name"] == "accuracy"][::-1]
    text = page.read_text(encoding="utf-8")
    assert f"under the bits of {chip}" in text
    assert f"{100 * accuracy:.1f}" in text
    table = chips.profile(chip).energy
    tables = {r["how"]["table"] for r in records if r["name"] == "energy"}
    assert (table in tables) == (table is not None)


def test_a_diagnosis_has_bits(data: Any) -> None:
    """The gap to the source holds what rounding costs."""
    graph, x, y = data
    few = sw.convert(graph, spiking=True, scale_firing_rates=2000.0, weights=sw.Quantised(2))
    found = few.diagnose(x, y, steps=16, progress=False)
    assert "relu1" in str(found)


def test_training_is_refused(data: Any) -> None:
    """No gradient goes through whole numbers; the error says what to do."""
    pytest.importorskip("torch")
    graph, x, y = data
    few = sw.convert(graph, spiking=True, scale_firing_rates=1000.0, weights=BITS)
    with pytest.raises(TrainingError, match=r"relu0.*whole numbers.*without weights="):
        few.train(x, y, steps=4, epochs=1, progress=False)
