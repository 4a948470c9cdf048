"""Verdicts on networks and chips: the room that each layer takes, and what they assume."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright.chips.broken import Broken, broken_rules
from spikewright.chips.case import ChipMapping, Placed
from spikewright.chips.chip import AnyChip, Chip, FigureSource, profile
from spikewright.chips.layers import ChipLayer, layers_of
from spikewright.chips.placing import place
from spikewright.chips.rules import formless
from spikewright.errors import listed, printable
from spikewright.network import Network, Node
from spikewright.network.neurons import IntegrateAndFire


def assumptions_of(case: ChipMapping) -> tuple[str, ...]:
    """The sentences of the chip's profile, and those about this network."""
    about = (_readouts, _digits, _step_biases, _loops, _resets, _floors, _caps)
    return (*case.chip.assumptions, *(sentence for each in about for sentence in each(case)))


def _named(layers: list[ChipLayer]) -> str:
    return listed([repr(layer.name) for layer in layers])


def _readouts(case: ChipMapping) -> Iterator[str]:
    found = [layer for layer in case.layers if layer.neuron_type is None]
    if found:
        yield (
            f"{_named(found)} has no neurons in the network: its values are read out. On the chip "
            "it is laid out as a layer of neurons."
        )


def _digits(case: ChipMapping) -> Iterator[str]:
    """The program of neurons that send signed digits, on a chip that has one for them."""
    found = [layer for layer in case.layers if layer.sends_digits]
    if case.chip.arithmetic.digits is not None and found:
        yield (
            f"The program of {_named(found)} doubles its two states at every step, 8 bytes a "
            "neuron, and starts some silent steps after its inputs."
        )


def _step_biases(case: ChipMapping) -> Iterator[str]:
    """Biases of each step, which are memory where neurons are programs, and refused elsewhere."""
    biased = [layer for layer in case.layers if layer.step_biases is not None]
    found = [layer for layer in biased if not layer.sends_digits]
    if case.chip.limits.core_bytes is not None and found:
        yield (
            f"The program of {_named(found)} adds a bias of its own in each of the first steps, "
            "counted from the start of every input: they take the memory of biases."
        )


def _loops(case: ChipMapping) -> Iterator[str]:
    """Cores that read a layer from behind are not counted for it."""
    counted = case.chip.limits.core_axons_out or case.chip.placement == "crossbar"
    place = {layer.name: index for index, layer in enumerate(case.layers)}
    back = [
        layer
        for layer in case.layers
        if any(place.get(path.origin, -1) >= place[layer.name] for path in layer.paths)
    ]
    if counted and back:
        yield f"Recurrent paths to {_named(back)} take no more axons or neurons of their senders."


def _resets(case: ChipMapping) -> Iterator[str]:
    resets = case.chip.arithmetic.resets
    kinds = [(layer, kind) for layer in case.layers if (kind := layer.neuron_type) is not None]
    zero = [layer for layer, kind in kinds if kind.hard_reset]
    soft = [layer for layer, kind in kinds if kind.spiking and not kind.hard_reset]
    if resets == ("zero",) and soft:
        yield (
            f"A spike sets the chip's neurons to zero, where it takes the threshold from those of "
            f"{_named(soft)}: their rates are lower on the chip."
        )
    if resets == ("subtract",) and zero:
        yield (
            f"A spike takes the threshold from the chip's neurons, where it sets those of "
            f"{_named(zero)} to zero: their rates are higher on the chip."
        )


def _floors(case: ChipMapping) -> Iterator[str]:
    """A floor of the voltage, where the network's neurons have none or another."""
    floor = case.chip.arithmetic.voltage_floor
    other = [
        layer
        for layer in case.layers
        if isinstance(layer.neuron_type, IntegrateAndFire)
        and layer.neuron_type.voltage_floor != floor
    ]
    if floor is not None and other:
        yield (
            f"The chip's voltages end at {case.chip.arithmetic.floor}, those of {_named(other)} do "
            f"not: sw.IntegrateAndFire(voltage_floor={floor:g}) shows what that costs."
        )


def _caps(case: ChipMapping) -> Iterator[str]:
    """Caps on the spikes of a step; layers with one cap are named together."""
    capped: dict[int, list[ChipLayer]] = {}
    for layer in case.layers:
        arithmetic, last = case.chip.arithmetic, layer.name in case.network.last
        cap = arithmetic.output_spikes if last else arithmetic.spikes
        if cap is not None and _may_exceed(layer, cap):
            capped.setdefault(cap, []).append(layer)
    for cap, layers in capped.items():
        yield (
            f"Neurons of {_named(layers)} send at most {cap} spike{'s' * (cap != 1)} a step on the "
            f"chip, and may send more in the network: max_spikes_per_step={cap} shows what that "
            "costs."
        )


def _may_exceed(layer: ChipLayer, cap: int) -> bool:
    if layer.neuron_type is None or not layer.neuron_type.spiking:
        return False
    most = layer.neuron_type.most_spikes
    return most is None or most > cap


Verdict = Literal["fits", "fits under stated assumptions", "does not fit"]


@dataclass(frozen=True)
class LayerFit:
    """The room on a chip that a layer takes.

    `weights` are those that are stored, `synapses` those that lead to all of its neurons.
    `fan_in` and `fan_out` are the largest numbers of weights to and from one of its neurons.
    `shares` are fractions of the room on its fullest core, by the name of a limit. `numbers` are
    those of its cores where cores differ.
    """

    layer: str
    shape: tuple[int, ...]
    neurons: int
    weights: int
    synapses: int
    fan_in: int
    fan_out: int
    cores: int
    numbers: tuple[int, ...]
    shares: Mapping[str, float]


class Bottleneck(NamedTuple):
    """The scarcest room: its limit, the layer that takes most of it (none: all), and its share."""

    limit: str
    layer: str
    share: float

    @property
    def place(self) -> str:
        """The limit and the layer in words."""
        of = f" of layer {self.layer!r}" if self.layer else ""
        return f"{limit_in_words(self.limit)}{of}"

    def __str__(self) -> str:
        return f"{self.place}, {self.share:.0%} of the room"


@dataclass(frozen=True, eq=False, repr=False)
class Fit(RichRepr):
    """A verdict on a network and a chip: print it, and its `table` for every layer.

    `broken` are the rules that it breaks, each with its remedy and source; `assumptions` are
    sentences without which a verdict could not be given.
    """

    chip: Chip
    layers: tuple[LayerFit, ...]
    broken: tuple[Broken, ...]
    assumptions: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """True for a network that breaks no rule."""
        return not self.broken

    @property
    def verdict(self) -> Verdict:
        """The verdict in words."""
        if self.broken:
            return "does not fit"
        return "fits under stated assumptions" if self.assumptions else "fits"

    @property
    def cores(self) -> int:
        """The number of cores that the network takes."""
        if self.chip.placement == "whole":
            return min(1, len(self.layers))
        return sum(layer.cores for layer in self.layers)

    @property
    def cores_there(self) -> int:
        """The number of cores of the chip."""
        return self.chip.limits.cores or 1

    @property
    def bottleneck(self) -> Bottleneck | None:
        """The limit of which the network takes the largest share; None where no room is limited."""
        found = self._of_all() if self.chip.placement == "whole" else self._of_layers()
        if self.chip.limits.cores:
            found.append(Bottleneck("cores", "", self.cores / self.cores_there))
        return max(found, key=lambda each: each.share, default=None)

    def _of_layers(self) -> list[Bottleneck]:
        return [
            Bottleneck(name, layer.layer, share)
            for layer in self.layers
            for name, share in layer.shares.items()
        ]

    def _of_all(self) -> list[Bottleneck]:
        """The shares of a chip that all layers have in common."""
        total: dict[str, float] = {}
        for each in self._of_layers():
            total[each.limit] = total.get(each.limit, 0.0) + each.share
        return [Bottleneck(name, "", share) for name, share in total.items()]

    def __repr__(self) -> str:
        return printable(f"<Fit: {self.verdict} on {self.chip.title}: {self._room()}>")

    def __str__(self) -> str:
        lines = [f"{self.verdict} on {self.chip.title}: {self._room()}"]
        lines += [f"  - {broken}" for broken in self.broken]
        lines += [f"  assumed: {sentence}" for sentence in self.assumptions]
        return "\n".join(lines)

    def _room(self) -> str:
        cores = f"{self.cores:,} of {self.cores_there:,} cores"
        return f"{cores}; scarcest {self.bottleneck}" if self.bottleneck else cores

    @property
    def table(self) -> str:
        """Every layer, as text."""
        return format_table(self._summary()[1])

    def _summary(self) -> tuple[str, Rows]:
        rows: list[tuple[str, ...]] = [
            ("layer", "neurons", "weights", "fan-in", "fan-out", "cores", "fullest core")
        ]
        rows += [
            (
                each.layer,
                *(f"{n:,}" for n in (each.neurons, each.weights, each.fan_in, each.fan_out)),
                cores_in_words(each),
                shares_in_words(each.shares),
            )
            for each in self.layers
        ]
        return str(self), rows

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain data, ready for JSON."""
        scarcest = self.bottleneck
        return {
            "chip": self.chip.name,
            "title": self.chip.title,
            "verdict": self.verdict,
            "fits": self.fits,
            "cores": self.cores,
            "cores there": self.cores_there,
            "bottleneck": None if scarcest is None else scarcest._asdict(),
            "layers": [{**asdict(each), "shares": dict(each.shares)} for each in self.layers],
            "broken": [asdict(each) for each in self.broken],
            "assumptions": list(self.assumptions),
        }


def cores_in_words(layer: LayerFit) -> str:
    """The cores of a layer: their numbers where cores differ, or how many."""
    if layer.numbers:
        return f"core {', '.join(map(str, layer.numbers))}"
    return f"{layer.cores:,}" if layer.cores else "none"


def shares_in_words(shares: Mapping[str, float]) -> str:
    """`neurons 50%, axons in 3%`."""
    return ", ".join(f"{limit_in_words(name)} {share:.0%}" for name, share in shares.items())


def limit_in_words(name: str) -> str:
    """`axons in` for `core_axons_in`."""
    return name.removeprefix("core_").replace("_", " ")


def fits(
    network: Network,
    chip: AnyChip,
    inputs: Collection[Node] | None = None,
) -> Fit:
    """The verdict on a network of neurons and weights and a chip, which is given as to `profile`.

    Constant nodes are inputs, unless `inputs` names the ones that are; the others are biases then.
    Raises `ChipError` for an unknown chip, and for populations that represent vectors, functions of
    connections and weights that learn. Raises `MissingExtraError` where SciPy is needed for the
    matching of layers with cores.
    """
    case = ChipMapping(profile(chip), layers_of(network, inputs))
    placed = place(case)
    form = FigureSource(f"{case.chip.title}: layers of neurons and weights", "assumption")
    broken = [Broken("form", *breach, form) for breach in formless(case)]
    return Fit(
        case.chip,
        tuple(_layer(case, layer, placed[layer.name]) for layer in case.layers),
        (*broken, *broken_rules(case, placed)),
        assumptions_of(case),
    )


def _layer(case: ChipMapping, layer: ChipLayer, placed: Placed) -> LayerFit:
    return LayerFit(
        layer=layer.name,
        shape=layer.shape,
        neurons=layer.neurons,
        weights=case.stored(layer),
        synapses=case.synapses(layer),
        fan_in=int(case.fan_in(layer).max(initial=0)),
        fan_out=case.most_out(layer),
        cores=placed.cores,
        numbers=placed.numbers,
        shares=placed.shares,
    )
