"""Inputs of a run as users give them, and its feeds: held, encoded in parts, or sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole, readable
from spikewright._base.options import Option
from spikewright._base.samples import InputTree, check_rows, duration, held_constant, over_time
from spikewright.engines.settings import RunOptions
from spikewright.errors import ConversionError, Refusal, SimulationError
from spikewright.graph import Graph
from spikewright.graph.integer_inputs import whole_inputs
from spikewright.lower import Lowered, RowStepping
from spikewright.network import Node
from spikewright.network.layer_times import LayerTimes
from spikewright.network.shapes import as_real
from spikewright.network.transforms import Shape
from spikewright.running.encoders import ConstantCurrent, Encoder, Events, Frames


def as_named(x: Any, structure: InputTree) -> dict[str, Any]:
    """Input by input name; raises `SimulationError` where inputs are missing or unknown."""
    try:
        return structure.named(x)
    except ValueError as error:
        raise SimulationError(str(error)) from None


def as_arrays(x: Any, structure: InputTree) -> dict[str, NDArray]:
    """`{input name: float64 array}` of a user's input; any framework's tensors do.

    Raises `SimulationError` where it is not all inputs, where values are not finite numbers, and
    for numbers of rows that a table does not have.
    """
    arrays = {name: as_array(name, value) for name, value in as_named(x, structure).items()}
    check_numbers(arrays, structure)
    return arrays


def as_array(name: str, value: Any, as_given: bool = False) -> NDArray:
    """An array of the values given for an input; raises `SimulationError` as `as_arrays`.

    It is float64; `as_given`, it may also be one of the narrower types whose values float64 holds.
    """
    try:
        array = as_real(readable(value), as_given)
    except (TypeError, ValueError) as error:
        raise SimulationError(f"input {name!r} is not an array of numbers: {error}") from None
    if not np.isfinite(array).all():
        raise SimulationError(f"input {name!r} holds NaN or infinity")
    return array


def check_numbers(given: Mapping[str, Any], structure: InputTree) -> None:
    """Raise `SimulationError` for numbers of rows that a table does not have.

    It names input, sample and value. Only inputs that number rows are looked at.
    """
    for name, rows in structure.rows.items():
        if name in given and name not in structure.lists:
            fitted(name, check_rows, as_array(name, given[name]), rows)


def as_held(x: Any, graph: Graph, purpose: str = "") -> dict[str, NDArray]:
    """`{input name: (batch, *shape)}` of a user's input that is held constant, float64.

    `graph` is the source's; `purpose` says, in the message, why inputs have to be held. Raises
    `SimulationError` as `as_arrays` and `batch_of` do, and for other shapes.
    """
    arrays = as_arrays(x, graph.structure)
    batch_of(arrays)
    return {
        name: fitted(name, held_constant, array, graph.shapes[name], purpose)
        for name, array in arrays.items()
    }


def fitted(name: str, arrange: Callable[..., Any], *arguments: Any) -> Any:
    """An input's array as `arrange` gives it; its `ValueError` becomes a `SimulationError`."""
    try:
        return arrange(*arguments)
    except ValueError as error:
        raise SimulationError(f"input {name!r} {error}") from None


def batch_of(arrays: Mapping[str, Any]) -> int:
    """The batch size that all inputs share; raises `SimulationError` for several, and for none."""
    sizes = {len(array) if getattr(array, "ndim", 1) else 0 for array in arrays.values()}
    if len(sizes) > 1:
        raise SimulationError(f"inputs have different batch sizes: {sorted(sizes)}")
    (size,) = sizes
    if size == 0:
        raise SimulationError("the input holds no samples: give at least one, batch axis first")
    return size


def check_steps(steps: Any) -> None:
    """Raise `SimulationError` unless a number of steps is None or a whole number from 1."""
    if steps is not None and not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"steps must be a whole number above 0, got {steps!r}")


def as_feeds(
    arrays: Mapping[str, NDArray], inputs: Mapping[str, Node], steps: int | None
) -> tuple[dict[Node, NDArray], int]:
    """Inputs as `{node: (batch, steps or 1, *shape)}`, and the number of steps.

    Those that are held are float64, others as they are given: they may be many. Raises
    `SimulationError` for shapes that do not fit, and where no number of steps follows.
    """
    shapes = {name: node.shape_out for name, node in inputs.items()}
    if steps is None:
        lasting = (duration(arrays[name], shape) for name, shape in shapes.items())
        steps = max((found for found in lasting if found is not None), default=None)
    feeds = {
        node: _held_wide(fitted(name, over_time, arrays[name], shapes[name], steps))
        for name, node in inputs.items()
    }
    if not steps:
        raise SimulationError(
            f"give a number of steps above 0 for input that is held constant, got steps={steps!r}"
        )
    return feeds, steps


def _held_wide(values: NDArray) -> NDArray:
    return np.asarray(values, np.float64) if values.shape[1] == 1 else values


@dataclass(frozen=True, eq=False)
class Encoded:
    """An input that is encoded when it is asked for, some samples at a time."""

    encoder: Encoder
    samples: Sequence[Any]
    shape: Shape
    steps: int
    dt: float
    key: tuple[int, ...]

    def __getitem__(self, part: slice) -> NDArray:
        """Some samples, `(samples, steps or 1, *shape)`."""
        return self.encoder.encode(self.samples[part], self.shape, self.steps, self.dt, self.key)

    @property
    def plain(self) -> bool:
        """Whether samples are values of the input's shape, each of which is encoded."""
        samples = self.samples
        return isinstance(samples, np.ndarray) and samples.shape[1:] == self.shape

    @property
    def sample_bytes(self) -> int:
        """Memory of one encoded sample, in bytes."""
        return 8 * self.steps * math.prod(self.shape)


class Feeds(NamedTuple):
    """The values of the inputs by node, `(batch, steps or 1, *shape)`, sliced by sample.

    Of several `frames`, each a sample by itself, they are `(batch, frames or 1, *shape)`.
    """

    values: dict[Node, NDArray | Encoded]
    batch: int
    steps: int
    frames: int = 1

    @property
    def moving(self) -> frozenset[Node]:
        """The nodes whose values differ from step to step."""
        return frozenset(node for node, value in self.values.items() if _moves(value))

    def sample_bytes(self) -> int:
        """Memory of one sample in all inputs that are encoded, in bytes."""
        return sum(v.sample_bytes for v in self.values.values() if isinstance(v, Encoded))


def _moves(value: NDArray | Encoded) -> bool:
    if isinstance(value, Encoded):
        return not isinstance(value.encoder, ConstantCurrent)
    return value.shape[1] > 1


def feeds_of(
    x: Mapping[str, Any],
    inputs: Mapping[str, Node],
    encoder: Any,
    steps: int | None,
    dt: float,
    seed: int,
) -> Feeds:
    """The feeds of a run's inputs; without `steps` a run lasts as long as its longest input.

    `x` holds the given inputs by name. `encoder` is None, an encoder, or `{input name: encoder}`.
    Raises `SimulationError` for encoders of unknown inputs, samples that do not fit their input,
    encoder or run, and where nothing gives the number of steps.
    """
    check_steps(steps)
    encoders = encoders_for(encoder, inputs)
    given: dict[str, Any] = {}
    for name, value in x.items():
        chosen = encoders.get(name)
        given[name] = value if chosen and not chosen.takes_arrays else as_array(name, value, True)
        if chosen:
            given[name] = chosen.samples(given[name], name, inputs[name].shape_out)
    batch = batch_of(given)
    if steps is None:
        lasting = (chosen.needed(given[name], dt) for name, chosen in encoders.items())
        steps = max((n for n in lasting if n is not None), default=None)
    plain = {name: node for name, node in inputs.items() if name not in encoders}
    fed, steps = as_feeds(given, plain, steps)
    values: dict[Node, NDArray | Encoded] = dict(fed)
    for index, (name, node) in enumerate(inputs.items()):
        if name in encoders:
            key = (seed, index)
            values[node] = Encoded(encoders[name], given[name], node.shape_out, steps, dt, key)
    return Feeds(values, batch, steps)


def lists_of(encoders: Mapping[str, Encoder]) -> frozenset[str]:
    """The inputs whose samples come as a list, of events, rather than as an array."""
    return frozenset(name for name, found in encoders.items() if not found.takes_arrays)


def without_held(encoder: Any, lowered: Lowered) -> Any:
    """One encoder for all inputs as `{input name: encoder}`, without whole numbers and masks.

    These are held, and so no values that spikes could carry. Anything else stays as it is, and so
    does an encoder of inputs none of which is held.
    """
    if not isinstance(encoder, Encoder) or lowered.graph is None or lowered.stepping is not None:
        return encoder
    held = {*whole_inputs(lowered.graph)}
    if lowered.masks is not None:
        held |= {mask.node for mask in lowered.masks.found}
    others = [name for name in lowered.inputs if name not in held]
    if len(others) == len(lowered.inputs):
        return encoder
    if not others:
        raise SimulationError(
            f"encoder={encoder!r} has nothing to encode: inputs {list(lowered.inputs)} hold whole "
            "numbers or masks, which are held. Leave the encoder out"
        )
    return dict.fromkeys(others, encoder)


def encoders_for(encoder: Any, inputs: Mapping[str, Node]) -> dict[str, Encoder]:
    """The encoder of every input that has one; raises `SimulationError` for other objects."""
    if encoder is None:
        return {}
    given = encoder if isinstance(encoder, Mapping) else dict.fromkeys(inputs, encoder)
    unknown = [name for name in given if name not in inputs]
    if unknown:
        raise SimulationError(f"encoder names {unknown}; the inputs are {list(inputs)}")
    for name, found in given.items():
        if not isinstance(found, Encoder):
            raise SimulationError(
                f"the encoder of input {name!r} must be one of spikewright.encoders, such as "
                f"Poisson(rate=1000.0), got {found!r}"
            )
    return dict(given)


class EncodedOptions(RunOptions, total=False):
    """Options of a run with encoded inputs."""

    encoder: Annotated[
        Encoder | Mapping[str, Encoder] | None,
        Option(None, "Encoder of inputs, or of each by its name (default: held constant)."),
    ]


def sequence_feeds(
    stepping: RowStepping,
    x: Mapping[str, Any],
    inputs: Mapping[str, Node],
    encoder: Any,
    steps: int | None,
    dt: float,
    seed: int,
) -> Feeds:
    """The feeds of a run: sequences `(batch, time, *shape)` of any one length, step by step.

    Inputs without time are `(batch, *shape)`. Raises `SimulationError` for shapes that do not fit,
    sequences of several lengths, a number of steps that the sequences do not take, and an encoder.
    """
    if encoder is not None:
        raise SimulationError(
            "with sequence_step every step of a sequence is held as a constant current: leave "
            f"encoder out, got {encoder!r}"
        )
    timed = [name for name, time in stepping.inputs.items() if time is not None]
    fed = feeds_of(x, inputs, dict.fromkeys(timed, Frames(stepping.steps)), None, dt, seed)
    lengths = {
        name: np.shape(value.samples)[1]
        for name in timed
        if isinstance(value := fed.values[inputs[name]], Encoded)
    }
    if len(set(lengths.values())) > 1:
        raise SimulationError(f"sequences differ in length: {lengths} steps")
    if steps is not None and steps != fed.steps:
        (length,) = set(lengths.values())
        raise SimulationError(
            f"{length} steps of the sequence, each of {stepping.steps} steps (sequence_step), take "
            f"{fed.steps} steps, got steps={steps!r}: leave it out"
        )
    return fed


def frame_feeds(
    times: LayerTimes, x: Mapping[str, Any], inputs: Mapping[str, Node], encoder: Any, dt: float
) -> Feeds:
    """The feeds of signed digits: held, or frame by frame, each of which is a sample by itself.

    Frames follow each other as samples do, so that one lasts the network's steps from one sample to
    the next: events are those of that time. Raises `SimulationError` as `feeds_of` does, and for
    encoders of values in spikes.
    """
    encoders = encoders_for(encoder, inputs)
    for name, found in encoders.items():
        if not isinstance(found, ConstantCurrent | Frames | Events):
            raise SimulationError(
                f"input {name!r}: {found!r} gives values of every step, and a layer of signed "
                "digits takes what is held. Leave the encoder out, or give Frames() or Events()"
            )
    for name, node in inputs.items():
        plain = None if name in encoders else as_array(name, x[name], True)
        if plain is not None and plain.ndim > len(node.shape_out) + 1:
            raise SimulationError(
                f"input {name!r} has values of several steps, shape {plain.shape}, and a layer of "
                "signed digits takes what is held. Give encoder=Frames(), which answers each frame "
                "by itself, or samples without steps"
            )
    framed = any(isinstance(found, Frames | Events) for found in encoders.values())
    fed = feeds_of(x, inputs, encoder, None if framed else 1, dt * times.pace, 0)
    return fed._replace(steps=fed.steps * times.steps, frames=fed.steps)


def refuse_sequences(stepping: RowStepping | None, what: str) -> None:
    """Raise `ConversionError` where time is that of a sequence, which `what` cannot handle."""
    if stepping is not None:
        reason = f"{what} looks at values that are held for a run, and those of a sequence are not"
        options = "Use run and predict, or convert without sequence_step"
        raise ConversionError([Refusal(what, "method", reason, options)])


def stepped(
    stepping: RowStepping, arrays: Mapping[str, NDArray], inputs: Mapping[str, Node]
) -> tuple[int, dict[Node, NDArray]]:
    """The length of sequences, and the feeds if each of their steps lasts one step."""
    given = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    feeds: dict[Node, NDArray] = {}
    for name, value in given.items():
        time, node = stepping.inputs[name], inputs[name]
        moved = value[:, None] if time is None else np.moveaxis(value, time + 1, 1)
        feeds[node] = moved.reshape(*moved.shape[:2], *node.shape_out)
    return stepping.length(given), feeds
