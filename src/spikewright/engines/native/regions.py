"""Regions: native parts of a program, between which counts of spikes stay bytes.

Three neurons that drive two others are one region; the constant before them is none of it:

>>> with sw.Network() as net:
...     one = sw.Node(np.ones(3), label="one")
...     a = sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire(), label="a")
...     b = sw.Ensemble(2, None, neuron_type=sw.IntegrateAndFire(), label="b")
...     into_a = sw.Connection(one, a.neurons, synapse=None)
...     into_b = sw.Connection(a.neurons, b.neurons, transform=np.ones((2, 3)), synapse=None)
>>> program = with_regions(compile_network(net, 0.001, 0, "float32"))
>>> [type(op).__name__ for op in program.operators]
['NodeSource', 'ScaledSum', 'Region']
>>> [type(op).__name__ for op in program.operators[-1].operators]
['Neurons', 'Linear', 'ScaledSum', 'Neurons']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spikewright.engines.base import PlanRow
from spikewright.engines.native._kernels import tile_share
from spikewright.engines.native.support import (
    BYTES,
    Kind,
    Verdict,
    takes_tiles,
    verdict,
    verdict_alone,
)
from spikewright.engines.operators import Linear, Operator
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Component, Program
from spikewright.network import Ensemble
from spikewright.network.transforms import Convolution


@dataclass(frozen=True, eq=False)
class Region(Operator):
    """Operators that run as one, sample by sample; `exported` are the signals others read.

    `counts` names the signals that are counts of spikes in bytes, made in this region or an earlier
    one; `whole` those that are whole numbers of either sign, in bytes or in doubles. With `loops`
    its operators run step by step, filters first and last, and those that are `foreign` on kernels
    of the reference engine, which it calls; after every `restart` steps its state starts again. A
    `linear` region is one linear map of values that come from outside.
    """

    operators: tuple[Operator, ...]
    exported: tuple[int, ...]
    counts: frozenset[int]
    whole: frozenset[int]
    loops: bool = False
    linear: bool = False
    restart: int | None = None
    foreign: frozenset[Operator] = frozenset()

    @property
    def stateless(self) -> bool:
        return self.linear

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.exported

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        return tuple(op.ensemble for op in self.operators if isinstance(op, Neurons))


@dataclass
class _Cut:
    """A program that is being cut: its native operators and their levels."""

    program: Program
    kinds: dict[int, Kind] = field(default_factory=dict)
    verdicts: dict[Operator, Verdict] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)
    native: dict[int, list[Operator]] = field(default_factory=dict)
    others: dict[int, list[Component]] = field(default_factory=dict)
    loops: set[Component] = field(default_factory=set)
    windows: dict[Component, _Cut] = field(default_factory=dict)  # loops that run window by window
    apart: set[int] = field(default_factory=set)  # signals of native loops: regions of their own
    changing: set[int] = field(default_factory=set)  # signals that differ from step to step
    outside: dict[int, Kind] = field(default_factory=dict)  # those of them that are not native

    def add(self, component: Component) -> None:
        """Give a component its level, and its signals their kinds."""
        found, kinds = self._verdicts(component)
        self.verdicts.update(found)
        inputs = {s for op in component.operators for s in op.inputs}
        made = {s for op in component.operators for s in op.outputs}
        changes = component.loops or any(op.changes for op in component.operators)
        if changes or not inputs.isdisjoint(self.changing):
            self.changing |= made
        native = [v.kind is not None for v in found.values()]
        fits = all(native)
        if component.loops and not fits:  # a loop calls what it cannot run
            fits = component.in_turn or (not self._by_windows(component) and any(native))
        alone = component.loops or not fits
        level = 0
        for s in inputs - made:
            foreign = s not in self.kinds or s in self.apart
            level = max(level, self.levels.get(s, 0) + (foreign and not alone))
        if fits:
            self.kinds.update((s, kinds[s]) for s in made)
        elif not made.isdisjoint(self.changing):
            for op in component.operators:
                self.outside.update(_kinds_of_reference(op))
        if alone:
            self.others.setdefault(level, []).append(component)
            if fits:
                self.loops.add(component)
                self.apart |= made
        else:
            self.native.setdefault(level, []).extend(component.operators)
        self.levels.update(dict.fromkeys(made, level))

    def _by_windows(self, component: Component) -> bool:
        """Cut the operators between the means of a loop, if they wait for nothing else.

        Its means are known when a window begins, so that the rest runs as if there were no loop.
        """
        means = _means(component)
        others = [op for op in component.operators if op not in means]
        if not means or any(op.prompt != op.inputs for op in others):
            return False
        made = {s for op in others for s in op.outputs}
        known = {s: k for s, k in {**self.outside, **self.kinds}.items() if s not in made}
        counts = self.program.counts
        known.update({m.output: "whole" if m.output in counts else "values" for m in means})
        inner = replace(self.program, components=tuple(Component((op,), False) for op in others))
        found = _Cut(inner, outside=known, changing={*self.changing, *(m.output for m in means)})
        for one in inner.components:
            found.add(one)
        self.windows[component] = found
        return True

    def _verdicts(self, component: Component) -> tuple[dict[Operator, Verdict], dict[int, Kind]]:
        """The verdict on each operator; in a loop filters come first, so inputs are known."""
        kinds = {**self.outside, **self.kinds}
        found = {}
        for op in component.operators if component.loops else ():
            if isinstance(op, Neurons) and op.neuron_type.spiking:  # delays come before them
                kind = verdict(op, kinds, self.program).kind
                kinds[op.output] = kind or "whole"
        for op in component.operators:
            found[op] = verdict(op, kinds, self.program)
            kind = found[op].kind
            if kind is not None:
                kinds[op.output] = kind
                kinds.update(dict.fromkeys(op.outputs[1:], "values"))  # voltages
            elif component.loops:
                kinds.update(_kinds_of_reference(op))
        return found, kinds


def _kinds_of_reference(op: Operator) -> dict[int, Kind]:
    """Kinds of an operator's outputs where the reference engine's kernel makes them."""
    kinds: dict[int, Kind] = dict.fromkeys(op.outputs, "values")
    if isinstance(op, Neurons) and op.neuron_type.spiking:
        kinds[op.output] = "whole"
    return kinds


def cut(program: Program) -> _Cut:
    """Cut a program into regions by the levels of its operators.

    An operator's level is that of its inputs, one more if it runs natively and an input does not.
    The native operators of one level are a region, so that no region reads, directly or not, an
    operator behind it. A loop is a region of its own, or none.
    """
    result = _Cut(program)
    for component in program.components:
        result.add(component)
    return result


def with_regions(program: Program) -> Program:
    """The program with every operator that runs natively in a region."""
    parts = cut(program)
    return replace(program, components=tuple(_components(parts, program)))


def _components(parts: _Cut, program: Program) -> list[Component]:
    """Components of a cut program, in order, with regions of operators of `program`."""
    kinds = {**parts.outside, **parts.kinds}
    counts, whole = (
        frozenset(s for s, kind in kinds.items() if kind in those)
        for those in (BYTES, {"signed", "whole"})
    )
    known = (program, counts, whole, parts.verdicts)
    components: list[Component] = []
    for level in sorted({*parts.native, *parts.others}):
        if level in parts.native:
            region = _region(tuple(parts.native[level]), *known, False)
            components.append(Component((region,), False))
        for component in parts.others.get(level, []):
            if component in parts.loops:
                region = _region(component.operators, *known, True)
                component = Component((region,), False)
            elif component in parts.windows:
                inner = _components(parts.windows[component], program)
                operators = [op for part in inner for op in part.operators]
                component = Component((*_means(component), *operators), True)
            elif verdict_alone(component.operators[0], program).kind is not None:
                (op,) = component.operators
                region = Region(
                    label=op.label,
                    inputs=op.inputs,
                    output=op.output,
                    operators=(op,),
                    exported=op.outputs,
                    counts=counts,
                    whole=whole,
                    linear=True,
                )
                component = Component((region,), False)
            components.append(component)
    return components


def _means(component: Component) -> tuple[Operator, ...]:
    return tuple(op for op in component.operators if op.by_window)


def _region(
    operators: tuple[Operator, ...],
    program: Program,
    counts: frozenset[int],
    whole: frozenset[int],
    verdicts: Mapping[Operator, Verdict],
    loops: bool,
) -> Region:
    inside = set(operators)
    foreign = frozenset(op for op in operators if verdicts[op].kind is None)
    made = {s for op in operators for s in op.outputs}
    wanted = {s for op in program.operators if op not in inside for s in op.inputs}
    wanted |= {recording.signal for recording in program.recordings}
    inputs = dict.fromkeys(s for op in operators for s in op.inputs if s not in made)
    label = f"{operators[0].label} to {operators[-1].label}"
    exported = tuple(sorted(made & wanted))
    return Region(
        label=label,
        inputs=tuple(inputs),
        output=operators[-1].output,
        operators=operators,
        exported=exported,
        counts=counts,
        whole=whole,
        loops=loops,
        restart=next((op.restart for op in operators if op.keeps and op not in foreign), None),
        foreign=foreign,
    )


_CALLED = "; called from the native loop, step by step"


def plan_rows(program: Program, tiles: str | None = None) -> list[PlanRow]:
    """Operator, kernel and why, in the program's order; `tiles` names whose there are, if any."""
    parts = cut(program)
    rows: list[PlanRow] = []
    for component in program.components:
        if component in parts.windows:
            inner = parts.windows[component]
            rows += [_row(op, parts.verdicts[op], program, "") for op in _means(component)]
            for op in component.operators:
                if not op.by_window:
                    how = "in blocks of time, a window at a time"
                    rows += _rows(Component((op,), False), inner.verdicts, program, how)
        else:
            how = "step by step, in a loop" if component.loops else "in blocks of time"
            called = _CALLED if component in parts.loops else ""
            found = _rows(component, parts.verdicts, program, how, called)
            rows += (
                found
                if component.loops or tiles is None
                else [
                    _with_tiles(row, op, parts.verdicts[op], tiles)
                    for row, op in zip(found, component.operators, strict=True)
                ]
            )
    return rows


def _with_tiles(row: PlanRow, op: Operator, found: Verdict, tiles: str) -> PlanRow:
    """A row that says from how many spikes on counts are multiplied and not listed."""
    share = tile_share(tiles, *([1] if isinstance(op, Linear) and op.steps is not None else []))
    if share > 1.0 or not takes_tiles(op, found):
        return row
    when = f"by tiles of {tiles} where about {share:.0%} of the inputs or more spike"
    if isinstance(op, Linear) and isinstance(op.transform, Convolution):
        when += "; in fewer than 16 steps pixels are their rows, which pays earlier"
    return row._replace(why=f"{row.why}; {when}")


def _rows(
    component: Component,
    verdicts: Mapping[Operator, Verdict],
    program: Program,
    how: str,
    called: str = "",
) -> list[PlanRow]:
    """A component's operators; `how` describes the native ones."""
    rows = []
    for op in component.operators:
        found, by_itself = verdicts[op], verdict_alone(op, program)
        if not component.loops and found.kind is None and by_itself.kind is not None:
            alone = "by itself; once, if what it reads is constant"
            rows.append(_row(op, by_itself, program, alone))
        else:
            rows.append(_row(op, found, program, how, called))
    return rows


def _row(op: Operator, found: Verdict, program: Program, how: str, called: str = "") -> PlanRow:
    work = op.work(program)
    if found.kind is None:
        return PlanRow(op.label, "reference", found.text + called, work)
    return PlanRow(op.label, f"native: {found.text}", how, work)
