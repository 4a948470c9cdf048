"""Networks in whole numbers, and their uses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from integers import GRAPHS, dense, given, pooled, simulated
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import chips, demo, engines
from spikewright.cli.given import open_conversion
from spikewright.cli.main import main
from spikewright.errors import ConversionError, TrainingError
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice, Options
from spikewright.lower.populations import Roles, as_scale, resolve
from spikewright.quantising import WholeNetwork, bits_of, quantise

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
    again = sw.load(network).replace(weights=expected)
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
    wanted = chosen.for_chip("speck")
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
    found = sw.tune(graph, x, y, max_drop=0.2, trials=4, timeout=120, weights=BITS, progress=False)
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


STEPS = 24
CHIP = sw.Quantised(
    8, "layer", exponents=0, bias_bits=8, threshold_bits=16, state_bits=16, voltage_floor=1.0
)
SETTINGS = {
    "8 bits": sw.Quantised(),
    "4 bits a layer": sw.Quantised(4, "layer"),
    "2 bits": sw.Quantised(2),
    "a chip": CHIP,
    "one spike": replace(CHIP, spikes=1),
    "reset to zero": replace(CHIP, spikes=1, reset="zero", threshold_exponent=2, exponents=6),
    "a leak": replace(CHIP, decay=4, voltage_floor=None),
    "saturating": replace(CHIP, bits=4, state_bits=5, bias_bits=None, voltage_floor=None),
    "no debt": sw.Quantised(voltage_floor=0.0),
}


def converted(graph: Graph, settings: sw.Quantised, x: NDArray) -> sw.Conversion:
    """With scales for eight steps of at most one spike."""
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    return sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x, weights=settings)


def whole(conversion: sw.Conversion) -> tuple[WholeNetwork, dict[str, Any]]:
    """The rounded graph behind a conversion, and its scales."""
    scales = conversion.resolved["scale_firing_rates"]
    roles = Roles(conversion.canonical)
    cap = conversion.arguments["weights"].spikes
    options = Options(NeuronChoice(True, cap), scale_firing_rates=scales)
    found = quantise(roles, resolve(roles, options), conversion.arguments["weights"])
    return found, {name: as_scale(value) for name, value in scales.items()}


def counts_of(conversion: sw.Conversion, x: NDArray, engine: str) -> dict[str, NDArray]:
    """Spikes of every population in every step."""
    layers = list(conversion.populations())
    run = conversion.run(x, steps=STEPS, engine=engine, record=layers, progress=False)
    return {
        name: np.rint(run.recorded[name] * conversion.populations()[name].rate_scale * 0.001)
        for name in layers
    }


@pytest.mark.parametrize(
    ("name", "graph", "engine"), in_turn(SETTINGS, GRAPHS, engines.available())
)
def test_every_engine_computes_in_whole_numbers(graph: str, name: str, engine: str) -> None:
    """Spikes in every step are those of integers, simulated here, from the rounded weights."""
    source = GRAPHS[graph](len(name))
    x = given(source)
    conversion = converted(source, SETTINGS[name], x)
    found, scales = whole(conversion)
    expected = simulated(found.roles.graph, found.choices.types, scales, x, STEPS)

    counts = counts_of(conversion, x, engine)
    assert set(counts) == set(expected.counts)
    for layer, spikes in counts.items():
        np.testing.assert_array_equal(spikes, expected.counts[layer], err_msg=layer)
    assert sum(spikes.sum() for spikes in counts.values()) > 100
    if name == "saturating":
        assert expected.saturated > 0
    if SETTINGS[name].voltage_floor is not None:
        assert expected.floored > 0


@pytest.mark.parametrize(("name", "graph"), in_turn(SETTINGS, GRAPHS))
def test_weights_have_the_bits_that_were_asked_for(graph: str, name: str) -> None:
    """Per channel, or per layer, of one step; there are several of them, and zeros."""
    source, settings = GRAPHS[graph](1), SETTINGS[name]
    found, _ = whole(converted(source, settings, given(source)))
    for node in found.roles.graph:
        weight = getattr(node.layer, "weight", None)
        if weight is None or node.inputs == ("x",):
            continue
        target = Roles(source).absorbing(node.name)
        assert target is not None
        numbers = found.choices.types[target].threshold
        assert numbers.max() < 2**31 and np.all(numbers == np.rint(numbers))
        if settings.per == "layer":
            assert numbers.ndim == 0
    assert found.notes


def test_maxima_pass_whole_numbers_on() -> None:
    """A gate passes spikes, so that what arrives behind it is whole."""
    source = pooled(3, largest=True)
    conversion = converted(source, sw.Quantised(), x := given(source))
    lines = [e.text for e in conversion.trace if "computes in whole numbers" in e.text]
    assert len(lines) == 3
    assert [("from outside" in line) for line in lines] == [True, False, False]
    runs = [counts_of(conversion, x, engine) for engine in engines.available()]
    for run in runs[1:]:
        for layer, spikes in run.items():
            np.testing.assert_array_equal(spikes, runs[0][layer])


@pytest.mark.parametrize("name", SETTINGS)
def test_files_hold_the_bits(tmp_path: Path, name: str) -> None:
    """Network and arguments come back: the same spikes, and the same made again."""
    source = dense(2)
    conversion = converted(source, SETTINGS[name], x := given(source))
    conversion.save(path := tmp_path / "whole")
    loaded = sw.load(path)
    assert loaded.arguments["weights"] == SETTINGS[name]
    for other in (loaded, loaded.replace()):
        for layer, spikes in counts_of(other, x, "reference").items():
            np.testing.assert_array_equal(spikes, counts_of(conversion, x, "reference")[layer])


def test_rules_see_the_rounded_weights() -> None:
    """Scales for weights of two bits are not those for the weights of the model."""
    source = dense(4)
    x = given(source, 50)
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    plain = sw.convert(source, spiking=True, scale_firing_rates=rule, calibration=x)
    few = converted(source, sw.Quantised(2), x)
    first, second = (c.resolved["scale_firing_rates"]["relu2"] for c in (plain, few))
    assert np.abs(first / second - 1).max() > 0.05


def test_many_bits_are_the_model() -> None:
    """Sixteen bits change next to no spike, two change many."""
    source = dense(6)
    x = given(source, 50)
    plain = sw.convert(source, spiking=True, scale_firing_rates=1000.0).run(
        x, steps=64, progress=False
    )
    gaps = []
    for bits in (2, 8, 16):
        few = sw.convert(
            source, spiking=True, scale_firing_rates=1000.0, weights=sw.Quantised(bits)
        ).run(x, steps=64, progress=False)
        gaps.append(float(np.abs(few.predict() - plain.predict()).mean()))
    assert gaps[2] < gaps[1] / 4 < gaps[0] / 16 or gaps[2] < 0.01
    assert gaps[0] > 0.05


def test_rate_networks_have_rounded_weights_alone() -> None:
    """Without spikes there is no threshold; weights are whole numbers of a step all the same."""
    source = dense(7)
    x = given(source)
    exact = sw.convert(source).run(x, steps=1, progress=False).predict()
    few = sw.convert(source, weights=sw.Quantised(3)).run(x, steps=1, progress=False)
    assert 0.01 < np.abs(few.predict() - exact).max() < 2.0


@pytest.mark.parametrize(
    "field, value",
    [
        ("bits", 1), ("bits", 17), ("bits", 2.5), ("bits", True), ("per", "neuron"),
        ("state_bits", 3), ("bias_bits", 0), ("threshold_bits", 40), ("exponents", -1),
        ("spikes", 0), ("decay", -1), ("reset", "hard"), ("voltage_floor", -1.0),
        ("voltage_floor", float("nan")), ("dt", 0.0), ("bits", None), ("bias_exponents", None),
        ("above", True), ("above", 1),
    ],
)  # fmt: skip
def test_numbers_that_no_chip_has_are_refused(field: str, value: Any) -> None:
    """The error names the field and the value."""
    with pytest.raises(ConversionError, match=rf"Quantised.{field}.*{str(value)[:3]}"):
        sw.Quantised(**{field: value})


def test_other_arguments_are_refused() -> None:
    """Weights are None or Quantised, and a chip's rules want neurons that obey them."""
    with pytest.raises(ConversionError, match=r"weights.*got 8.*sw.Quantised\(bits=8\)"):
        sw.convert(dense(0), weights=8)
    signed = {"relu": sw.SignedIntegrateAndFire()}
    with pytest.raises(ConversionError, match=r"relu0.*SignedIntegrateAndFire.*state_bits"):
        sw.convert(dense(0), spiking=signed, weights=CHIP)
    sw.convert(dense(0), spiking=signed, weights=sw.Quantised())
