"""Frames one by one are the run over all of them, spike by spike: `conversion.stream()`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from conformance import synapse_examples
from frontends.recurrent import cell_of, samples
from frontends.recurrent import graph_of as sequence_of
from lower.layer_graphs import Case, cases, graph_of, inputs_of
from slowly import in_turn, one_of_each
from spikewright import demo, engines
from spikewright.errors import SimulationError
from spikewright.measure.readout import READOUTS, AtEveryStep, streaming_readout

STEPS, BATCH = 9, 3
CHOICES: dict[str, Any] = {
    "integrate": {"spiking": True},
    "capped": {"spiking": True, "max_spikes_per_step": 1},
    "signed": {"spiking": {"relu": sw.BipolarIntegrateAndFire()}},
    "random": {"spiking": {"relu": sw.StochasticSpiking(sw.RectifiedLinear())}},
    "whole numbers": {"spiking": True, "weights": sw.Quantised(8)},
    "rate": {"spiking": False},
}


def frames_of(x: Mapping[str, NDArray], steps: int = STEPS) -> dict[str, NDArray]:
    """Input that changes with every step, `(batch, steps, *shape)`."""
    rng = np.random.default_rng(7)
    return {
        name: value[:, None] * rng.uniform(0.2, 1.8, (len(value), steps, *value.shape[1:]))
        for name, value in x.items()
    }


def assert_stream_is_the_run(
    conversion: sw.Conversion, frames: Mapping[str, NDArray], engine: str = "auto", **settings: Any
) -> None:
    """Outputs, values of every population and the readout, at every step; and of a sample alone."""
    record = list(conversion.populations())
    run = conversion.run(frames, engine=engine, record=record, progress=False)
    wanted, read = named(conversion, run.output), run.predict_at_every_step("mean")
    tolerance = 1e-5 if engine == "torch" else 0.0
    for batch_size, part in ((BATCH, slice(None)), (None, 1)):
        stream = conversion.stream(batch_size=batch_size, engine=engine, record=record)
        for t in range(run.steps):
            frame = {name: value[part, t] for name, value in frames.items()}
            found = named(conversion, stream.step(frame))
            for name, value in found.items():
                close(value, wanted[name][part, t], tolerance)
            for name, value in stream.recorded.items():
                close(value, run.recorded[name][part, t], tolerance)
            for name, value in named(conversion, stream.predict()).items():
                close(value, named(conversion, read)[name][part, t], 1e-6)
    if conversion.arguments["spiking"]:
        assert any(np.any(value) for value in run.recorded.values()) or not record


def named(conversion: sw.Conversion, values: Any) -> dict[str, NDArray]:
    """Outputs by name, where a single one comes alone."""
    return values if isinstance(values, dict) else dict.fromkeys(conversion.outputs, values)


def close(found: NDArray, wanted: NDArray, tolerance: float) -> None:
    """Equal, bit by bit where there is no tolerance (of the largest value)."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(
        found, wanted, rtol=0, atol=tolerance * max(1.0, np.abs(wanted).max(initial=0.0))
    )


@pytest.mark.parametrize(("choice", "engine"), in_turn(CHOICES, engines.available()))
def test_frames_one_by_one_are_the_run(choice: str, engine: str) -> None:
    """On every engine: convolutions, a residual sum, pooling; spikes of either sign, at random."""
    graph = models.residual(pool=True)
    conversion = sw.convert(graph, **{"scale_firing_rates": 300.0, **CHOICES[choice]})
    assert_stream_is_the_run(conversion, frames_of({"x": models.inputs(graph, BATCH)}), engine)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_of_every_layer(case: Case) -> None:
    """Behind spikes, with all inputs that it has."""
    conversion = sw.convert(graph_of(case, True), spiking=True, scale_firing_rates=300.0)
    assert_stream_is_the_run(conversion, frames_of(inputs_of(conversion.graph, True, BATCH)))


@pytest.mark.parametrize(
    "example",
    one_of_each(synapse_examples(), lambda example: type(example.synapse)),
    ids=lambda example: example.id,
)
def test_with_every_synapse_and_with_delays(example: Any) -> None:
    """Filters and delays of connections keep their state from frame to frame."""
    graph = models.mlp()
    synapse = example.synapse
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=300.0, synapse=synapse)
    conversion.network.all_connections[-1].delay = 0.002
    assert_stream_is_the_run(conversion, frames_of({"x": models.inputs(graph, BATCH)}))


@pytest.mark.parametrize(("kind", "beside"), [("lstm", True), ("gru", False)])
def test_of_recurrent_models(kind: str, beside: bool) -> None:
    """Whole sequences as frames; or a step of the sequence as a frame for its steps."""
    x, hold = samples(BATCH), 4
    graph = sequence_of(cell_of(kind), kept=not beside)
    if beside:
        conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
        assert_stream_is_the_run(conversion, frames_of({"x": x}))
        return
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0, sequence_step=hold)
    run = conversion.run(x, progress=False)
    stream = conversion.stream(batch_size=BATCH)
    for t in range(x.shape[1] * hold):
        outputs = stream.step(x[:, t // hold])
        for name, value in run.output.items():
            np.testing.assert_array_equal(outputs[name], value[:, t])
        if t % hold == hold - 1:
            close(stream.predict()["all"], run.predict()["all"][:, t // hold], 1e-6)
    close(stream.predict()["end"], run.predict()["end"], 1e-6)


def small(**choices: Any) -> sw.Conversion:
    """Two layers of neurons that spike now and then, and a softmax without neurons behind them."""
    graph = models.mlp(output="softmax")
    return sw.convert(graph, **{"spiking": True, "scale_firing_rates": 300.0, **choices})


FRAMES = frames_of({"x": models.inputs(models.mlp(), BATCH)}, 20)["x"]
READOUTS_OF_STREAMS = ["mean", "last", sw.MeanAfter(0.006), sw.MeanAfter(0.5), sw.Window(0.004)]


def test_every_kind_of_readout_is_tested_below() -> None:
    """A readout that is registered is followed step by step the same day."""
    named = {readout for readout in READOUTS_OF_STREAMS if isinstance(readout, str)}
    kinds = {type(readout) for readout in READOUTS_OF_STREAMS} | {READOUTS[name] for name in named}
    assert set(READOUTS.values()) <= kinds


@pytest.mark.parametrize("readout", READOUTS_OF_STREAMS, ids=str)
def test_the_readout_until_now_is_that_of_a_run_that_ended_now(readout: Any) -> None:
    """Activated after it was read out; a window of fewer steps than it has is their mean."""
    conversion = small()
    stream = conversion.stream(batch_size=BATCH, readout=readout)
    for t in range(1, FRAMES.shape[1] + 1):
        stream.step(FRAMES[:, t - 1])
        run = conversion.run(FRAMES[:, :t], progress=False)
        filling = isinstance(readout, sw.Window) and t < 4
        close(stream.predict(), run.predict("mean" if filling else readout), 1e-6)
    assert np.abs(run.predict("mean") - run.predict("last")).max() > 0.01


def test_memory_does_not_grow_with_the_frames() -> None:
    """A window keeps its values, all else a sum."""
    windowed, mean = streaming_readout(sw.Window(0.004), 0.001), streaming_readout("mean", 0.001)
    for value in np.arange(100.0):
        windowed.add(np.array([value]))
        mean.add(np.array([value]))
    assert windowed.read() == np.mean([96, 97, 98, 99]) and mean.read() == 49.5
    assert len(windowed._values) == 4 and mean._sum.shape == (1,)


def test_readouts_that_a_stream_cannot_follow_are_refused() -> None:
    """A window that is over while frames come, an unknown name, a kind that drops what it kept."""

    class Half(AtEveryStep):
        def left_out(self, steps: int, dt: float) -> int:
            return steps // 2

    for readout, reason in (
        (sw.Window(0.01, start=0.02), r"leave out its start .* or use MeanAfter\(0.02\)"),
        ("median", "a readout is .*median"),
    ):
        with pytest.raises(SimulationError, match=reason):
            small().stream(readout=readout)
    half = streaming_readout(Half(), 0.001)
    half.add(np.ones(1))
    half.add(np.ones(1))
    half.add(np.ones(1))
    with pytest.raises(SimulationError, match="leaves out steps that were kept"):
        half.add(np.ones(1))


def test_a_buffer_may_be_used_again_for_the_next_frame() -> None:
    """What came in and what came out is the caller's: neither is read or written later."""
    conversion = small(synapse=0.003)
    conversion.network.all_connections[0].delay = 0.003
    wanted = conversion.run(FRAMES, progress=False).output
    stream, buffer = conversion.stream(batch_size=BATCH), np.empty(FRAMES[:, 0].shape)
    found = []
    for t in range(FRAMES.shape[1]):
        buffer[...] = FRAMES[:, t]
        found.append(stream.step(buffer))
        stream.predict()[...] = np.nan
    np.testing.assert_array_equal(np.stack(found, axis=1), wanted)


def test_a_frame_that_does_not_fit_changes_nothing() -> None:
    """Shapes, values and names are looked at before anything is computed."""
    stream = small().stream(batch_size=BATCH)
    wanted = small().run(FRAMES[:, :2], progress=False).output
    stream.step(FRAMES[:, 0])
    wrong = FRAMES[:, 1].copy()
    wrong[0, 0] = np.nan
    for frame, reason in (
        (FRAMES[0, 1], r"a frame of input 'x' has shape \(3, 6\), got \(6,\)"),
        (wrong, "input 'x' holds NaN or infinity"),
        ({"z": wrong}, r"inputs are \['x'\], got \['z'\]"),
    ):
        with pytest.raises(SimulationError, match=reason):
            stream.step(frame)
    assert stream.n_steps == 1
    np.testing.assert_array_equal(stream.step(FRAMES[:, 1]), wanted[:, 1])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dt": 0.0}, "dt must be above 0"),
        ({"batch_size": 0}, "batch_size must be None or a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"record": ["nowhere"]}, "'nowhere' is no layer"),
    ],
)
def test_settings_that_no_stream_can_have_are_refused(settings: Any, reason: str) -> None:
    """As for a run, before the first frame."""
    with pytest.raises(SimulationError, match=reason):
        small().stream(**settings)


def test_reset_begins_anew_and_sees_what_was_changed() -> None:
    """The same frames give the same outputs again; a network that was changed gives others."""
    conversion = small()
    stream = conversion.stream(batch_size=BATCH, record=["act1"])
    first = [stream.step(FRAMES[:, t]) for t in range(8)]
    stream.reset()
    assert (stream.n_steps, stream.time, stream.recorded) == (0, 0.0, {})
    with pytest.raises(SimulationError, match="nothing to read out before the first step"):
        stream.predict()
    np.testing.assert_array_equal([stream.step(FRAMES[:, t]) for t in range(8)], first)
    conversion.network.all_connections[0].delay = 0.002
    stream.reset()
    changed = [stream.step(FRAMES[:, t]) for t in range(8)]
    assert not np.array_equal(changed, first)
    np.testing.assert_array_equal(
        np.stack(changed, axis=1), conversion.run(FRAMES[:, :8], progress=False).output
    )


def test_a_closed_stream_takes_no_frames_and_keeps_its_readout() -> None:
    """As a context manager it is closed at the end."""
    with small().stream(batch_size=BATCH) as stream:
        stream.step(FRAMES[:, 0])
        before = stream.predict()
    np.testing.assert_array_equal(stream.predict(), before)
    for act in (lambda: stream.step(FRAMES[:, 1]), stream.reset):
        with pytest.raises(SimulationError, match="the stream is closed"):
            act()


def test_a_step_that_failed_half_way_is_not_gone_on_from() -> None:
    """The state is lost; after a reset the stream is as new."""
    conversion, fails = small(), [True]

    def node(t: float) -> float:
        if fails[0] and t > 0.0015:
            raise RuntimeError("the sensor is gone")
        return 0.0

    with conversion.network:
        sw.Node(node)
    stream = conversion.stream(batch_size=BATCH)
    first = stream.step(FRAMES[:, 0])
    with pytest.raises(SimulationError, match="the sensor is gone"):
        stream.step(FRAMES[:, 1])
    with pytest.raises(SimulationError, match="failed half-way: reset"):
        stream.step(FRAMES[:, 1])
    fails[0] = False
    stream.reset()
    np.testing.assert_array_equal(stream.step(FRAMES[:, 0]), first)


def test_streams_of_one_conversion_are_apart() -> None:
    """Two at once, and a run between their frames, do not see each other."""
    conversion = small()
    wanted = conversion.run(FRAMES, progress=False).output
    one, other = conversion.stream(batch_size=BATCH), conversion.stream(batch_size=BATCH)
    for t in range(6):
        np.testing.assert_array_equal(one.step(FRAMES[:, t]), wanted[:, t])
        other.step(FRAMES[:, t] * 2)
        conversion.run(FRAMES[:, :2], progress=False)


def test_after_a_network_is_saved_it_streams_the_same(tmp_path: Path) -> None:
    """The file has all that a stream needs."""
    conversion = small()
    conversion.save(tmp_path / "net.sw")
    ours, theirs = conversion.stream(), sw.load(tmp_path / "net.sw").stream()
    for t in range(6):
        np.testing.assert_array_equal(ours.step(FRAMES[0, t]), theirs.step(FRAMES[0, t]))
    assert repr(ours) == "<Stream after 6 steps of 0.001 s>"


def test_a_floor_of_the_voltage_forgets_what_was_shown_before() -> None:
    """Without one a neuron that a picture held down owes charge to the next: docs/sequences.md."""
    x, y = demo.held_out()
    seen = {}
    for floor in (None, 1.0):
        neurons = sw.IntegrateAndFire(voltage_floor=floor)
        conversion = sw.convert(demo.MODEL, spiking={"relu": neurons}, scale_firing_rates=50)
        stream = conversion.stream(readout=sw.Window(0.02))
        for sample in (0, 40, 3):
            for _ in range(40):
                stream.step(x[sample])
        seen[floor] = stream.predict().argmax()
    assert seen[1.0] == y[3] != seen[None]
