"""The order of operators: feed-forward parts over whole blocks, loops step by step.

Operators that reach each other form a strongly connected component and run step by step inside it
(Tarjan 1972); every other operator runs once per block. Filters, means and delays read their
input at the end of a step, and so do the rules of `Learned` weights, so that they break a loop; a
loop that nothing breaks has no order.

Operators that are called in turn, since they may share something beside the network, are such a
component with all that lies between them. Functions of time alone come first in a step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from spikewright.engines.operators import Operator
from spikewright.engines.program import Component
from spikewright.errors import BuildError


def order(
    operators: Sequence[Operator], in_turn: Collection[Operator] = ()
) -> tuple[Component, ...]:
    """Group and sort operators, those that are called `in_turn` in one component.

    Raises `BuildError` naming the members of an instantaneous loop.
    """
    producer: dict[int, int] = {}
    for index, op in enumerate(operators):
        producer.update(dict.fromkeys(op.outputs, index))
    reads = {
        index: tuple(producer[signal] for signal in op.inputs) for index, op in enumerate(operators)
    }
    turns = [index for index, op in enumerate(operators) if op in in_turn]
    reached = dict(reads)
    for one, other in zip(turns, turns[1:] + turns[:1], strict=True):
        reached[one] = (*reads[one], other)
    components = []
    for members in _strongly_connected(reached):
        loops = len(members) > 1 or members[0] in reads[members[0]]
        if loops:
            members = _sorted_within(members, reads, operators)
        shared = loops and not set(turns).isdisjoint(members)
        components.append(Component(tuple(operators[i] for i in members), loops, shared))
    return tuple(components)


def _strongly_connected(reads: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Components in dependency order: each after all that it reads (iterative Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    result: list[list[int]] = []
    for root in reads:
        if root in index:
            continue
        work = [(root, iter(reads[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, neighbours = work[-1]
            for other in neighbours:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(reads[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members = [stack.pop()]
                    while members[-1] != node:
                        members.append(stack.pop())
                    on_stack.difference_update(members)
                    result.append(sorted(members))
    return result


def _sorted_within(
    members: list[int],
    reads: Mapping[int, Sequence[int]],
    operators: Sequence[Operator],
) -> list[int]:
    """One step's order inside a loop, filters first; they read at the end of the step."""
    waiting = {i: set(reads[i][: len(operators[i].prompt)]) & set(members) for i in members}
    done: list[int] = []
    while waiting:
        ready = sorted(i for i, needs in waiting.items() if not needs)
        if not ready:
            names = ", ".join(dict.fromkeys(operators[i].label for i in sorted(waiting)))
            raise BuildError(
                f"a cycle without a synapse has no order: {names}. Give one of its connections a "
                "synapse (synapse=0 is a plain delay of one step) or a delay."
            )
        done += ready
        for i in ready:
            del waiting[i]
        for needs in waiting.values():
            needs.difference_update(ready)
    return done
