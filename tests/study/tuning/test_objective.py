"""What a setting is measured by: drops, costs at every step, and the risk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright.measure.targets import Output
from spikewright.showing.demo import MODEL
from spikewright.study.search.generators import Refinement, initial_settings, ordered_settings
from spikewright.study.search.objective import Objective, SamplePace
from spikewright.study.search.parameters import (
    EACH_STEP,
    Translation,
    allocate,
    searched_rules,
    space_of,
)
from spikewright.study.search.samples import Labelled, Running, margins_of, samples_of, split
from spikewright.study.search.space import Choices, Parameter, begin, restricted

ALL = slice(None)
VALUES = {"steps": 4, "readout": "mean", "level": 0.0}


@pytest.fixture(scope="module")
def samples() -> Labelled:
    """Two hundred digits."""
    data = load_digits()
    conversion = sw.convert(MODEL, spiking=True)
    images = data.images[:200, None].astype(np.float32)
    return samples_of(conversion, images, data.target[:200], Running(), "the data")


@pytest.fixture(scope="module")
def objective(samples: Labelled) -> Objective:
    """Of spikes, on the shipped network."""
    conversion = sw.convert(MODEL, spiking=True)
    translation = Translation(allocate(conversion, samples[:128].x, 1e9, searched_rules()), 0.001)
    space = space_of(conversion)
    return Objective(conversion, translation, space, "spikes", Running(), samples, 10.0)


def values(objective: Objective, **changes: object) -> dict:
    """The beginning of the space, with changes."""
    return {**begin(objective.space), **VALUES, **changes}


def test_points_are_those_of_a_run_that_ends_there(objective: Objective, samples: Labelled) -> None:
    """Steps are read off one run: accuracy and spikes at each are those of a shorter run."""
    chosen = values(objective)
    points = {p.where: p for p in objective.measure(chosen, ALL)}

    for steps in (1, 2, 4):
        run = objective.convert(chosen).run(samples.x, steps=steps, progress=False)
        spikes = sum(float(counts.mean()) for counts in run.spike_counts().values())
        right = run.predict("mean").argmax(axis=1) == samples.y
        point = points[steps, "mean"]

        assert point.costs["spikes"] == pytest.approx(spikes)
        assert point.paired.drop == pytest.approx(samples.scores.mean() - right.mean())


def test_one_point_alone_is_the_same(objective: Objective, samples: Labelled) -> None:
    """Measuring a place again gives what the whole run gave."""
    chosen = values(objective)
    point = next(p for p in objective.measure(chosen, ALL) if p.where == (4, "last"))

    assert objective.of(objective.convert(chosen), point.where, samples) == point


def test_late_readouts_are_read_where_something_is_left(
    objective: Objective, samples: Labelled
) -> None:
    """The mean after two steps exists from the third step on."""
    found = {p.where for p in objective.measure(values(objective), ALL)}

    assert (4, "after 2") in found
    assert (2, "after 2") not in found
    assert not any(name == "after 4" for _, name in found)


def test_risk_rises_before_answers_are_wrong(objective: Objective, samples: Labelled) -> None:
    """Margins that are halved for some raise it; outputs twice as large as a whole do not."""
    some = np.where(np.arange(len(samples)) % 4 == 0, 0.2, 1.0)

    assert objective.risk(samples, samples.margins) == 0.0
    assert objective.risk(samples, 2 * samples.margins) == pytest.approx(0.0)
    assert objective.risk(samples, some * samples.margins) > 0


def test_margins_say_who_leads() -> None:
    """Of several classes the right one's lead; of one value its distance from one half."""
    values = np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])

    assert margins_of(Output("y", (3,)), values, np.array([1, 2])).tolist() == [1.0, -1.0]
    for shape in ((1,), ()):
        chances = np.full((2, *shape), 0.7)
        margins = margins_of(Output("y", shape), chances, np.array([1, 0]))
        assert margins == pytest.approx([0.2, -0.2])


def test_scales_are_kept_when_fewer_steps_are_run(objective: Objective) -> None:
    """What was read off a run at fewer steps is the same network, run for fewer."""
    chosen = values(objective, level=1.0)
    short = objective.translation.shortened(chosen, 2)
    before, after = (objective.translation.arguments(v) for v in (chosen, short))

    assert short["steps"] == 2
    for name, scale in before["scale_firing_rates"].items():
        assert np.array_equal(scale, after["scale_firing_rates"][name])


def test_levels_and_offsets_multiply_refined_scales(objective: Objective) -> None:
    """One level more is twice the scale of all layers, one offset of its layer."""
    translation = objective.translation
    refined = translation.shortened(values(objective), 1)
    (layer, *_) = translation.allocation.layers
    more = {**refined, "level": 1.0, f"offset {layer}": 1.0}

    for name, scale in translation.scales(refined).items():
        factor = 4.0 if name == layer else 2.0
        assert translation.scales(more)[name] == pytest.approx(factor * scale, rel=1e-3)


def test_refinement_moves_channels_and_pays(objective: Objective, samples: Labelled) -> None:
    """Each proposal differs in some channels by the size; one of them is cheaper."""
    chosen = values(objective, level=1.0)
    point = next(p for p in objective.measure(chosen, ALL) if p.where == (4, "mean"))
    found = list(Refinement(objective, 2.0).proposals(chosen, point, 0.5, 50.0))
    before = objective.translation.scales(chosen)

    assert found
    for proposal in found:
        after = objective.translation.scales(proposal)
        octaves = np.concatenate([np.log2(after[n] / before[n]) for n in before])
        assert set(np.round(np.abs(octaves), 2)) <= {0.0, 0.5}
        assert np.any(octaves != 0)
    costs = [
        objective.of(objective.convert(proposal), point.where, samples).cost for proposal in found
    ]
    assert min(costs) < point.cost


def test_corrected_settings_have_biases_of_each_step_measured_on_samples(
    objective: Objective, samples: Labelled
) -> None:
    """They are those of `StepCorrection` on the samples known, of few digits."""
    plain, chosen = values(objective), values(objective, correction=EACH_STEP)
    rule = sw.StepCorrection(4, per="channel")
    measured = objective.convert(plain).replace(bias_correction=rule, calibration=objective.known)
    found = objective.convert(chosen)

    assert objective.identify(chosen) != objective.identify(plain)
    for name, biases in measured.resolved["bias_correction"].items():
        made = found.resolved["bias_correction"][name]
        assert made.shape == biases.shape
        assert made == pytest.approx(biases, rel=1e-3)
        assert made == pytest.approx(
            np.array([float(f"{v:.4g}") for v in made.flat]).reshape(made.shape)
        )
    again = sw.convert(MODEL, **found.resolved)
    for conversion in (found, again):
        (point,) = (p for p in objective.measure(chosen, ALL) if p.where == (4, "mean"))
        run = conversion.run(samples.x, steps=4, progress=False)
        spikes = sum(float(counts.mean()) for counts in run.spike_counts().values())
        assert point.costs["spikes"] == pytest.approx(spikes)


def test_corrections_bring_a_coarse_network_nearer(objective: Objective, samples: Labelled) -> None:
    """Where a quarter of a spike is spent on a neuron, fewer answers get lost with them."""
    lost = {}
    for correction in (None, EACH_STEP):
        chosen = values(objective, level=-2.5, correction=correction)
        (point,) = (p for p in objective.measure(chosen, ALL) if p.where == (4, "mean"))
        lost[correction] = point.risk

    assert lost[EACH_STEP] < lost[None]


def test_moves_of_channels_keep_the_biases_of_their_base(
    objective: Objective, samples: Labelled
) -> None:
    """They are measured for the base alone; a proposal that is tried has its own."""
    chosen = values(objective, level=1.0, correction=EACH_STEP)
    base = objective.convert(chosen)
    point = next(p for p in objective.measure(chosen, ALL) if p.where == (4, "mean"))
    before = len(objective.correcting._runs)
    found = list(Refinement(objective, 2.0).proposals(chosen, point, 0.5, 50.0))

    assert len(objective.correcting._runs) == before
    assert all(proposal["correction"] == EACH_STEP for proposal in found)
    other = objective.convert(found[-1]).resolved["bias_correction"]
    assert any(
        not np.array_equal(other[name], biases)
        for name, biases in base.resolved["bias_correction"].items()
    )


def test_the_time_of_corrections_counts(objective: Objective, samples: Labelled) -> None:
    """A setting with corrections is expected to take longer than one without."""
    plain, chosen = values(objective), values(objective, correction=EACH_STEP)
    objective.convert(chosen)

    assert objective.trial(plain, 200) == objective.seconds(4, 200)
    assert objective.trial(chosen, 200) > objective.seconds(4, 200)


def _holds(parameter: Parameter, value: Any) -> bool:
    if isinstance(parameter, Choices):
        return value in parameter.values
    return parameter.low <= value <= parameter.high


def test_every_start_is_in_the_space_and_none_comes_twice(objective: Objective) -> None:
    """Whatever the space is restricted to."""
    for wanted in ({}, {"max_spikes_per_step": 1}, {"steps": 8, "rule": "percentile"}):
        space = restricted(objective.space, wanted)
        found = initial_settings(space)

        assert found
        assert all(_holds(space[name], v) for item in found for name, v in item.items())
        assert len({repr(item) for item in found}) == len(found)


def test_a_search_begins_with_the_settings_of_the_tables(objective: Objective) -> None:
    """Least error for one spike a step, spikes taken back, a bias for each step: as a user has it.

    Where the space leaves any of it out, other starts come first.
    """
    chosen = objective.translation.as_chosen
    first, *_ = ordered_settings(objective.space, 0.001, chosen)
    made = sw.convert(
        MODEL, spiking={sw.RectifiedLinear: sw.BipolarIntegrateAndFire()}, max_spikes_per_step=1,
        scale_firing_rates=sw.MinimumError(2), bias_correction=sw.StepCorrection(2),
        calibration=objective.known,
    )  # fmt: skip
    found = objective.convert(first)
    for name, scale in made.resolved["scale_firing_rates"].items():
        same = np.broadcast_to(scale, np.shape(found.resolved["scale_firing_rates"][name]))
        assert found.resolved["scale_firing_rates"][name] == pytest.approx(same, rel=1e-3)
    assert first["steps"] == 2 and found.resolved["max_spikes_per_step"] == 1
    assert found.resolved["bias_correction"].keys() == made.resolved["bias_correction"].keys()
    space = restricted(objective.space, {"neuron": "default"})
    assert ordered_settings(space, 0.001, chosen) == initial_settings(space)


def test_samples_are_split_alike_in_every_class(samples: Labelled) -> None:
    """A seeded, stratified split: nothing is in both parts, nothing is lost."""
    mine, held = split(samples, 0.4, 1000, 3)
    again, _ = split(samples, 0.4, 1000, 3)
    other, _ = split(samples, 0.4, 1000, 4)

    assert (len(mine), len(held)) == (120, 80)
    assert np.array_equal(mine.y, again.y)
    assert not np.array_equal(mine.y, other.y)
    (name,) = samples.x
    rows = {row.tobytes() for part in (mine, held) for row in part.x[name]}
    assert rows == {row.tobytes() for row in samples.x[name]}
    for label in range(10):
        count = int((samples.y == label).sum())
        assert abs(int((held.y == label).sum()) - 0.4 * count) <= 1
    assert len(split(samples, 0.4, 50, 3)[0]) == 50


def test_the_shortest_runs_are_tried_however_slow_one_was(
    objective: Objective, samples: Labelled
) -> None:
    """Others have a share of the time; without corrections, which are run as well."""
    slow = replace(objective)  # with a pace of its own
    slow.pace.add(100, 100.0)
    short, longer = values(objective, steps=1), values(objective, steps=4)
    assert slow.affordable(short)
    assert not slow.affordable(longer)
    assert not slow.affordable({**short, "correction": EACH_STEP})


def test_times_are_foretold_by_a_line_through_those_of_the_last_runs() -> None:
    """Runs of two lengths give a constant part and a part a step; runs of one length a ratio.

    The first run of all counts while it is alone: it may take any time.
    """
    pace = SamplePace()
    assert pace.seconds(1000) == 0.0
    pace.add(100, 9.0)
    assert pace.seconds(1000) == pytest.approx(90.0)
    pace.add(100, 0.6)
    assert pace.seconds(1000) == pytest.approx(6.0)
    pace.add(300, 0.8)
    assert pace.seconds(1000) == pytest.approx(1.5)
    for _ in range(40):  # others are forgotten
        pace.add(100, 0.2)
    assert pace.seconds(1000) == pytest.approx(2.0)
    pace.add(50, 0.3)  # shorter, and yet it took longer: no line to follow
    assert pace.seconds(1000) == pytest.approx(1000 * (29 * 0.2 + 0.3) / (29 * 100 + 50))
