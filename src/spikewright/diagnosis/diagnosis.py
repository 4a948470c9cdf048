"""Diagnosis of lost accuracy: a run is surveyed, and changes are proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.options import Option
from spikewright._base.progress import progress_bar
from spikewright.diagnosis.causes import causes
from spikewright.diagnosis.digits import coding_of, remedies_of_digits
from spikewright.diagnosis.findings import Diagnosis
from spikewright.diagnosis.layer_losses import DiagnosedSamples, survey
from spikewright.diagnosis.loss import (
    CustomScore,
    LabelScore,
    Loss,
    LossTally,
    Outputs,
    Scorer,
    TargetScore,
)
from spikewright.diagnosis.mean_propagation import MeanPropagation
from spikewright.diagnosis.proposals import (
    Diagnosed,
    Proposal,
    ProposalEffect,
    predict,
    ranked,
    remedies,
)
from spikewright.engines.settings import WorkOptions
from spikewright.errors import SimulationError, SpikewrightError
from spikewright.lower.trace import suppress_warnings
from spikewright.measure import Run
from spikewright.measure.targets import Metric, given_for, targets_of
from spikewright.running.inputs import as_held, batch_of, feeds_of
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import outputs_of, real_outputs
from spikewright.running.single_step import SingleStepNetwork, rounded


@dataclass(frozen=True, eq=False)
class RunOutcome:
    """The result of a run: its loss, and its spikes per sample."""

    tally: LossTally
    spikes: float


@dataclass(frozen=True, eq=False)
class DiagnosisTrial:
    """The samples to run, how to judge their outputs, and how to run.

    `real` says which values of outputs are no padding.
    """

    inputs: Mapping[str, NDArray]
    scorer: Scorer | None
    real: Outputs
    dt: float
    settings: Mapping[str, Any]

    def run(self, conversion: ConversionLike, steps: int) -> Run:
        """Run a conversion on the samples."""
        return conversion.run(dict(self.inputs), steps, self.dt, progress=False, **self.settings)

    def outcome(self, source: Outputs, run: Run) -> RunOutcome:
        """The loss of a run's mean outputs, and its spikes."""
        found = run.predict("mean")
        outputs = found if isinstance(found, dict) else {next(iter(source)): found}
        tally = LossTally(self.scorer, self.real)
        tally.add(slice(None), source, outputs)
        return RunOutcome(tally, float(sum(n.mean() for n in run.spike_counts().values())))

    def rounded(self, conversion: ConversionLike, source: Outputs, steps: int) -> Loss | None:
        """The loss of the rounded twin for so many steps; None where there is none."""
        held, given = rounded(conversion.lowered, steps), self.settings
        if held is None:
            return None
        length, seed = steps * self.dt, given["seed"]
        fed = feeds_of(dict(self.inputs), held.inputs, None, 1, length, seed)
        still = SingleStepNetwork(held, length, seed, "float32", given["threads"])
        tally = LossTally(self.scorer, self.real)
        names = {node: name for name, node in held.inputs.items()}
        tally.add(slice(None), source, still.answers(fed, names).outputs)
        return tally.loss


class DiagnoseOptions(WorkOptions, total=False):
    """Options of a diagnosis."""

    verify: Annotated[bool, Option(False, "Run every proposed change and measure it.")]
    metric: Annotated[
        Callable[[Any, Any], Any] | None,
        Option(None, "A function to measure in place of accuracy, as for `evaluate`."),
    ]


@suppress_warnings()
def diagnose(
    conversion: ConversionLike,
    x: Any,
    y: Any,
    steps: Any,
    dt: float,
    *,
    verify: bool,
    metric: Any,
    progress: bool,
    **settings: Any,
) -> Diagnosis:
    """See `Conversion.diagnose`; `settings` are those of its runs."""
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"give the steps of the run, a whole number from 1, got {steps!r}")
    inputs = as_held(x, conversion.graph, ", held constant as the source takes it")
    real = _real(conversion, inputs)
    scorer = _judge(conversion, y, Metric.of(metric), batch_of(inputs), real)
    trial = DiagnosisTrial(inputs, scorer, real, dt, settings)
    plan = MeanPropagation.of(conversion, steps, dt, settings["seed"])
    _require_something(plan)
    run = trial.run(conversion, steps)
    samples = DiagnosedSamples(plan, inputs, run, real)
    with progress_bar(len(samples.slices) * len(plan.lossy_layers), progress, "layers") as advance:
        layers, source = survey(samples, trial.scorer, advance)
    found = trial.outcome(source, run)
    advice = _nothing_to_propose(conversion, found)
    proposals: Sequence[Proposal] = ()
    case, coding = Diagnosed(conversion, samples, layers, found.spikes), coding_of(conversion)
    if not advice:
        if coding is None:
            proposals = _proposals(case, trial, found, progress)
            if verify:
                proposals = _verified(case, proposals, trial, source, found, progress)
        else:
            tried = remedies_of_digits(case, coding)
            proposals = _run(case, tried, trial, source, found, verify=verify, progress=progress)
        proposals = ranked(proposals, found.tally.loss)
    return Diagnosis(
        loss=found.tally.loss,
        interval=found.tally.interval,
        score=found.tally.score,
        layers=layers,
        proposals=tuple(proposals),
        advice=advice or ("" if proposals else "No change that was tried would bring anything."),
        spikes=found.spikes,
        samples=len(samples),
        steps=steps,
        dt=dt,
        failures=case.failures,
        rounded=trial.rounded(conversion, source, steps),
        causes=causes(case) if found.tally.loss.value > 0 and coding is None else (),
        network_steps=run.network_steps,
    )


def _nothing_to_propose(conversion: ConversionLike, found: RunOutcome) -> str:
    """The reason for proposing nothing; empty where there may be a proposal."""
    if found.tally.loss.value <= 0:
        return "Nothing was lost, so there is nothing to win back."
    if not conversion.arguments:
        return (
            "It was loaded from a file from before files held arguments: convert the model to see "
            "what to change."
        )
    return ""


def _real(conversion: ConversionLike, inputs: Mapping[str, NDArray]) -> Outputs:
    """Which values of outputs count, of those that have some at padding."""
    fed = feeds_of(inputs, conversion.inputs, None, 1, 1.0, 0)
    return real_outputs(conversion.lowered, fed)


def _judge(
    conversion: ConversionLike, y: Any, metric: Metric | None, samples: int, real: Outputs
) -> Scorer | None:
    """The judge of the outputs, None without y; raises `SimulationError` where y does not fit."""
    outputs = outputs_of(conversion.lowered)
    if metric is not None:
        return CustomScore(metric, given_for(y, samples))
    if y is None:
        return None
    named = y if isinstance(y, Mapping) else dict.fromkeys(outputs, y)
    if len(named) != 1 or not set(named) <= set(outputs):
        got = f"names {list(y)}" if isinstance(y, Mapping) else "an array"
        raise SimulationError(
            f"the network has outputs {list(outputs)}, and y is for one of them, {{name: array}}; "
            f"got {got}. Leave y out to judge by how far the outputs are from the source's"
        )
    ((name, given),) = named.items()
    truth = targets_of(given, outputs[name], samples)
    if truth.kind == "labels":
        return LabelScore(outputs[name], truth)
    return TargetScore(outputs[name], truth, real.get(name))


def _require_something(plan: MeanPropagation) -> None:
    """Raise `SimulationError` for a network that computes exactly the same as its source."""
    neurons = [lossy.neurons for lossy in plan.lossy_layers.values()]
    if not any(found is None or found.neuron_type.spiking for found in neurons):
        raise SimulationError(
            "nothing to diagnose: no layer spikes and none was changed, so the network computes "
            "what its source does. Convert with spiking=True"
        )


def _proposals(
    case: Diagnosed, trial: DiagnosisTrial, found: RunOutcome, progress: bool
) -> list[Proposal]:
    """Every remedy with its predicted effect."""
    samples = case.samples
    planned = [(remedy, _planned(case, trial, remedy)) for remedy in remedies(case)]
    able = [(remedy, plan) for remedy, plan in planned if plan is not None]
    with progress_bar(len(samples.slices), progress, "proposals") as advance:
        plans = [plan for _, plan in able]
        effects = predict(samples, trial.scorer, found.spikes, plans, advance)
    return [
        replace(
            remedy,
            predicted=effect.gain,
            price=effect.price if remedy.spikes is None else remedy.spikes - found.spikes,
        )
        for (remedy, _), effect in zip(able, effects, strict=True)
    ]


def _run(
    case: Diagnosed,
    proposals: Sequence[Proposal],
    trial: DiagnosisTrial,
    source: Outputs,
    found: RunOutcome,
    *,
    verify: bool,
    progress: bool,
) -> list[Proposal]:
    """Proposals with the effect that they have in a run, which of digits is short."""
    ran = _verified(case, proposals, trial, source, found, progress)
    return [
        replace(
            proposal,
            predicted=proposal.effect.gain,
            price=proposal.effect.price,
            measured=proposal.measured if verify else None,
        )
        for proposal in ran
    ]


def _planned(case: Diagnosed, trial: DiagnosisTrial, remedy: Proposal) -> MeanPropagation | None:
    """The plan of a remedy; None, and noted, where it cannot be converted."""
    before = case.samples.plan
    try:
        made = case.conversion.replace(**remedy.arguments)
        return MeanPropagation.of(made, remedy.steps, before.dt, trial.settings["seed"], before)
    except SpikewrightError as error:
        case.failures[remedy.text] = str(error)
        return None


def _verified(
    case: Diagnosed,
    proposals: Sequence[Proposal],
    trial: DiagnosisTrial,
    source: Outputs,
    before: RunOutcome,
    progress: bool,
) -> list[Proposal]:
    """The proposals, each of them run; remedies that cannot be run are noted and left out."""
    found = []
    with progress_bar(len(proposals), progress, "proposals run") as advance:
        for proposal in proposals:
            try:
                made = case.conversion.replace(**proposal.arguments)
                after = trial.outcome(source, trial.run(made, proposal.steps))
            except SpikewrightError as error:
                case.failures[proposal.text] = str(error)
            else:
                gain = before.tally.loss.value - after.tally.loss.value
                effect = ProposalEffect(gain, after.spikes - before.spikes)
                found.append(replace(proposal, measured=effect))
            advance(1)
    return found
