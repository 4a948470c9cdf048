"""What a module through time computes of a conversion, and its arguments, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright.engines import Precision
from spikewright.engines.program import Neurons
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError, TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice
from spikewright.lower.populations import Roles
from spikewright.measure.readout import Readout
from spikewright.measure.truth import Output
from spikewright.network.synapses import Synapse
from spikewright.running.converted import Converted
from spikewright.running.recording import outputs_of
from spikewright.running.runner import Runner
from spikewright.training.named import NamedParameters, named
from spikewright.training.sites import trained_graph
from spikewright.training.surrogates import Surrogate, surrogate_of


@dataclass(frozen=True, eq=False)
class ModuleSettings:
    """The arguments of `torch_module`, checked.

    `checkpoint` is the number of steps whose values are kept, 0 for halves of halves, None for all.
    """

    steps: int
    dt: float
    surrogate: Surrogate
    detached: bool
    readout: Readout
    checkpoint: int | None
    precision: Precision


@dataclass(frozen=True, eq=False)
class ModulePlan:
    """A conversion as a module computes it: its graph, and what becomes of nodes along time.

    `populations` are what the compiled program says of neurons, by node; those in `following` pass
    on the value of a function. `offsets` are added to currents. Functions of nodes `accumulate` but
    those in `fed`, of given values. `read` are the nodes that outputs are read from.
    """

    graph: Graph
    named: NamedParameters
    populations: Mapping[str, Neurons]
    following: frozenset[str]
    offsets: Mapping[str, NDArray]
    synapses: Mapping[str, Synapse]
    accumulate: bool
    fed: frozenset[str]
    read: Mapping[str, str]
    outputs: Mapping[str, Output]


def module_settings(
    steps: Any, dt: Any, surrogate: Any, reset: Any, readout: Any, checkpoint: Any, precision: Any
) -> ModuleSettings:
    """Arguments as a user gave them, checked; raises `TrainingError` or `SimulationError`."""
    check_settings(SimulationError, dt=dt, precision=precision)
    if not (is_whole(steps) and steps >= 1):
        raise TrainingError(f"steps must be a whole number from 1, got {steps!r}")
    if reset not in ("detached", "attached"):
        raise TrainingError(f'reset must be "detached" or "attached", got {reset!r}')
    given = 0 if checkpoint is True else None if checkpoint is False else checkpoint
    if given is not None and not (is_whole(given) and given >= 0):
        raise TrainingError(f"checkpoint must be True, False or steps from 1, got {checkpoint!r}")
    return ModuleSettings(
        steps=steps,
        dt=dt,
        surrogate=surrogate_of(surrogate),
        detached=reset == "detached",
        readout=readout,
        checkpoint=given,
        precision=precision,
    )


def plan_of(
    conversion: Converted,
    settings: ModuleSettings,
    seed: int,
    reading: Reading | None,
    frozen: Collection[Place],
) -> ModulePlan:
    """What a module computes; raises `TrainingError` for what it cannot."""
    lowered = conversion.lowered
    if lowered.stepping is not None:
        raise TrainingError(
            "sequence_step: networks whose steps share neurons have no module. Convert without it"
        )
    _refuse_steps(conversion)
    graph = trained_graph(conversion)
    program = Runner(lowered).program(settings.dt, seed, settings.precision)
    by_ensemble = {op.ensemble: op for op in program.operators if isinstance(op, Neurons)}
    ensembles = conversion.populations()
    missing = [name for name in ensembles if name not in graph]
    if missing:
        raise TrainingError(f"layers {missing} have neurons and no place in the model as read")
    roles, canonical = Roles(graph), Roles(conversion.canonical)
    following = frozenset(canonical.functions) & ensembles.keys()
    return ModulePlan(
        graph=graph,
        named=named(conversion.graph, reading, ensembles.keys() - following, frozen),
        populations={name: by_ensemble[ensemble] for name, ensemble in ensembles.items()},
        following=following,
        offsets=conversion.resolved.get("bias_correction") or {},
        synapses=_synapses(conversion),
        accumulate=NeuronChoice(conversion.arguments["spiking"]).is_spiking,
        fed=roles.fed,
        read=dict(zip(graph.outputs, roles.read_from(), strict=True)),
        outputs=outputs_of(lowered),
    )


def _refuse_steps(conversion: Converted) -> None:
    """Raise `TrainingError` where currents have a part that differs from step to step."""
    high = [
        f"{name!r} ({type(ensemble.neuron_type).__name__})"
        for name, ensemble in conversion.populations().items()
        if ensemble.neuron_type.spike_heights
    ]
    if high:
        raise TrainingError(
            f"layers {', '.join(high)} have spike_heights, for which all of the input comes at "
            "once; no module does that. Convert with sw.BipolarIntegrateAndFire() or "
            "sw.IntegrateAndFire(), or train with conversion.train"
        )
    noisy = [name for name, e in conversion.populations().items() if e.noise is not None]
    if noisy:
        raise TrainingError(
            f"layers {noisy} have biases of each step, or noise, which no module has. Convert with "
            "bias_correction=None"
        )


def _synapses(conversion: Converted) -> dict[str, Synapse]:
    """The synapse of every population that has one: all its connections have the same."""
    names = {ensemble.neurons: name for name, ensemble in conversion.populations().items()}
    return {
        names[connection.pre]: connection.synapse
        for connection in conversion.network.all_connections
        if connection.pre in names and connection.synapse is not None
    }
