"""Undoing: what a way of reading has added to a builder is taken out again, or put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spikewright.frontends.source import GraphBuilder


class Attempt:
    """The nodes and refusals that are added to a builder from now on."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._before = _contents(builder)
        self._after = self._before

    @property
    def refused(self) -> bool:
        """Whether something was refused since then."""
        pairs = zip(_all(self._builder), self._before, strict=True)
        return any(len(now.refusals) > len(before["refusals"]) for now, before in pairs)

    @property
    def reasons(self) -> list[str]:
        """The reasons of what was refused, before it was undone."""
        pairs = zip(self._after, self._before, strict=True)
        return [why.reason for now, old in pairs for why in now["refusals"][len(old["refusals"]) :]]

    def undo(self) -> None:
        """Take everything out of the builder again."""
        self._after = _contents(self._builder)
        self._set(self._before)

    def redo(self, advice: str) -> None:
        """Put back what was taken out; its refusals advise this too."""
        self._set(self._after)
        for builder, before in zip(_all(self._builder), self._before, strict=True):
            for refusal in builder.refusals[len(before["refusals"]) :]:
                builder.advise(refusal, advice)

    def _set(self, contents: list[dict[str, Any]]) -> None:
        for builder, held in zip(_all(self._builder), contents, strict=True):
            for name, value in held.items():
                own = getattr(builder, name)
                own.clear()
                own.update(value) if isinstance(own, dict) else own.extend(value)


def _all(builder: GraphBuilder) -> Iterator[GraphBuilder]:
    """The builder, and those that it adds to."""
    yield builder
    outer = getattr(builder, "outer", None)
    if outer is not None:
        yield from _all(outer)


def _contents(builder: GraphBuilder) -> list[dict[str, Any]]:
    return [
        {name: v.copy() for name, v in vars(each).items() if isinstance(v, list | dict)}
        for each in _all(builder)
    ]
