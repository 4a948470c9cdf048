"""Partition of a program into regions, which run natively and exchange counts of spikes as bytes.

Three neurons that drive two others are one region; the constant before them is not part of it:

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
from spikewright.engines.native.kernel_selection import (
    BYTES,
    KernelChoice,
    Kind,
    choose_kernel,
    choose_standalone_kernel,
    may_use_tiles,
)
from spikewright.engines.operators import Linear, Operator
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Component, Program
from spikewright.network import Ensemble
from spikewright.network.transforms import Convolution


@dataclass(frozen=True, eq=False)
class Region(Operator):
    """Operators that run as one native kernel; `exported` are the signals that others read.

    `counts` are the signals that are counts of spikes in bytes, made in this region or an earlier
    one; `whole` those that are signed whole numbers, in bytes or in doubles. With `loops` the
    operators run step by step, filters first and last, and `host_operators` are called on kernels
    of the reference engine; after every `restart` steps its state is reset. A `linear` region is
    one linear map of values from outside.
    """

    operators: tuple[Operator, ...]
    exported: tuple[int, ...]
    counts: frozenset[int]
    whole: frozenset[int]
    loops: bool = False
    linear: bool = False
    restart: int | None = None
    host_operators: frozenset[Operator] = frozenset()

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
class _Partition:
    """A program that is being partitioned: its native operators and their levels."""

    program: Program
    kinds: dict[int, Kind] = field(default_factory=dict)
    choices: dict[Operator, KernelChoice] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)
    native: dict[int, list[Operator]] = field(default_factory=dict)
    others: dict[int, list[Component]] = field(default_factory=dict)
    loops: set[Component] = field(default_factory=set)
    windows: dict[Component, _Partition] = field(
        default_factory=dict
    )  # loops that run window by window
    apart: set[int] = field(default_factory=set)  # signals of native loops: regions of their own
    changing: set[int] = field(default_factory=set)  # signals that differ from step to step
    outside: dict[int, Kind] = field(default_factory=dict)  # those of them that are not native

    def add(self, component: Component) -> None:
        """Find the level of a component and the kinds of its signals."""
        found, kinds = self._choices(component)
        self.choices.update(found)
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
            external = s not in self.kinds or s in self.apart
            level = max(level, self.levels.get(s, 0) + (external and not alone))
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
        """Partition the operators between the means of a loop, if nothing else breaks the loop.

        The means are known when a window begins, so that the rest runs as if there were no loop.
        """
        means = _means(component)
        others = [op for op in component.operators if op not in means]
        if not means or any(op.immediate_inputs != op.inputs for op in others):
            return False
        made = {s for op in others for s in op.outputs}
        known = {s: k for s, k in {**self.outside, **self.kinds}.items() if s not in made}
        counts = self.program.counts
        known.update({m.output: "whole" if m.output in counts else "values" for m in means})
        inner = replace(self.program, components=tuple(Component((op,), False) for op in others))
        found = _Partition(
            inner, outside=known, changing={*self.changing, *(m.output for m in means)}
        )
        for one in inner.components:
            found.add(one)
        self.windows[component] = found
        return True

    def _choices(
        self, component: Component
    ) -> tuple[dict[Operator, KernelChoice], dict[int, Kind]]:
        """The kernel of each operator; in a loop filters come first, so that inputs are known."""
        kinds = {**self.outside, **self.kinds}
        found = {}
        for op in component.operators if component.loops else ():
            if isinstance(op, Neurons) and op.neuron_type.spiking:  # delays come before them
                kind = choose_kernel(op, kinds, self.program).kind
                kinds[op.output] = kind or "whole"
        for op in component.operators:
            found[op] = choose_kernel(op, kinds, self.program)
            kind = found[op].kind
            if kind is not None:
                kinds[op.output] = kind
                kinds.update(dict.fromkeys(op.outputs[1:], "values"))  # voltages
            elif component.loops:
                kinds.update(_kinds_of_reference(op))
        return found, kinds


def _kinds_of_reference(op: Operator) -> dict[int, Kind]:
    """The kinds of an operator's outputs on a kernel of the reference engine."""
    kinds: dict[int, Kind] = dict.fromkeys(op.outputs, "values")
    if isinstance(op, Neurons) and op.neuron_type.spiking:
        kinds[op.output] = "whole"
    return kinds


def partition(program: Program) -> _Partition:
    """Partition a program into regions by the levels of its operators.

    An operator's level is that of its inputs, plus one if it runs natively and an input does not.
    The native operators of one level are a region, so that no region depends on an operator that
    depends on it. A loop is a region of its own, or not native.
    """
    result = _Partition(program)
    for component in program.components:
        result.add(component)
    return result


def with_regions(program: Program) -> Program:
    """The program with all operators that have a native kernel in regions."""
    partitioned = partition(program)
    return replace(program, components=tuple(_components(partitioned, program)))


def _components(partitioned: _Partition, program: Program) -> list[Component]:
    """The components of a partitioned program in order, with regions of operators of `program`."""
    kinds = {**partitioned.outside, **partitioned.kinds}
    counts, whole = (
        frozenset(s for s, kind in kinds.items() if kind in those)
        for those in (BYTES, {"signed", "whole"})
    )
    known = (program, counts, whole, partitioned.choices)
    components: list[Component] = []
    for level in sorted({*partitioned.native, *partitioned.others}):
        if level in partitioned.native:
            region = _region(tuple(partitioned.native[level]), *known, False)
            components.append(Component((region,), False))
        for component in partitioned.others.get(level, []):
            if component in partitioned.loops:
                region = _region(component.operators, *known, True)
                component = Component((region,), False)
            elif component in partitioned.windows:
                inner = _components(partitioned.windows[component], program)
                operators = [op for part in inner for op in part.operators]
                component = Component((*_means(component), *operators), True)
            elif choose_standalone_kernel(component.operators[0], program).kind is not None:
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
    choices: Mapping[Operator, KernelChoice],
    loops: bool,
) -> Region:
    inside = set(operators)
    host = frozenset(op for op in operators if choices[op].kind is None)
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
        restart=next((op.restart for op in operators if op.has_state and op not in host), None),
        host_operators=host,
    )


_CALLED = "; called from the native loop, step by step"


def plan_rows(program: Program, tiles: str | None = None) -> list[PlanRow]:
    """The rows of a plan in the program's order; `tiles` names the instruction set of tiles."""
    partitioned = partition(program)
    rows: list[PlanRow] = []
    for component in program.components:
        if component in partitioned.windows:
            inner = partitioned.windows[component]
            rows += [_row(op, partitioned.choices[op], program, "") for op in _means(component)]
            for op in component.operators:
                if not op.by_window:
                    how = "in blocks of time, a window at a time"
                    rows += _rows(Component((op,), False), inner.choices, program, how)
        else:
            how = "step by step, in a loop" if component.loops else "in blocks of time"
            called = _CALLED if component in partitioned.loops else ""
            found = _rows(component, partitioned.choices, program, how, called)
            rows += (
                found
                if component.loops or tiles is None
                else [
                    _with_tiles(row, op, partitioned.choices[op], tiles)
                    for row, op in zip(found, component.operators, strict=True)
                ]
            )
    return rows


def _with_tiles(row: PlanRow, op: Operator, found: KernelChoice, tiles: str) -> PlanRow:
    """A row that also says from how many spikes on counts are multiplied and not listed."""
    share = tile_share(tiles, *([1] if isinstance(op, Linear) and op.steps is not None else []))
    if share > 1.0 or not may_use_tiles(op, found):
        return row
    when = f"by tiles of {tiles} where about {share:.0%} of the inputs or more spike"
    if isinstance(op, Linear) and isinstance(op.transform, Convolution):
        when += "; in fewer than 16 steps pixels are their rows, which pays earlier"
    return row._replace(why=f"{row.why}; {when}")


def _rows(
    component: Component,
    choices: Mapping[Operator, KernelChoice],
    program: Program,
    how: str,
    called: str = "",
) -> list[PlanRow]:
    """The rows of a component's operators; `how` describes the native ones."""
    rows = []
    for op in component.operators:
        found, by_itself = choices[op], choose_standalone_kernel(op, program)
        if not component.loops and found.kind is None and by_itself.kind is not None:
            alone = "by itself; once, if what it reads is constant"
            rows.append(_row(op, by_itself, program, alone))
        else:
            rows.append(_row(op, found, program, how, called))
    return rows


def _row(
    op: Operator, found: KernelChoice, program: Program, how: str, called: str = ""
) -> PlanRow:
    work = op.multiply_adds(program)
    if found.kind is None:
        return PlanRow(op.label, "reference", found.text + called, work)
    return PlanRow(op.label, f"native: {found.text}", how, work)
