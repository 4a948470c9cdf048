"""The losses of accuracy by layer, and the changes that are proposed."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright._base.amounts import number, percent
from spikewright._base.markup import Child, Markup, el
from spikewright.records import Record, select, worths
from spikewright.report.figures import gaps_info
from spikewright.report.losses import loss_table, proposals_table
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import shown


def diagnosis(contents: Contents) -> Markup | None:
    """Error by layer with its parts, the loss by each layer, and proposals."""
    found = contents.diagnosis
    if not select(found, "gap"):
        return None
    children: list[Child] = [
        el("p", f"Found on {found[0].n:,} samples.{_timing(found)}{_of_active(found)}"),
        figure(gaps_info(found)),
        table_markup(loss_table(found, "Each layer alone in an exact network"), "Loss by layer"),
    ]
    causes = select(found, "loss without its cause")
    if causes:
        children.append(el("p", "What makes these losses, in words:"))
        lines = [f"{c.how['layer']}: {c.how['text']}. {c.how['move']}." for c in causes]
        children.append(el("ul", *(el("li", line) for line in lines)))
    if select(found, "predicted gain"):
        table = proposals_table(found, "What to change, the best first")
        children.append(table_markup(table, "Proposed changes"))
    return section("diagnosis", "Where accuracy went", children)


def _timing(found: Sequence[Record]) -> str:
    """How the answers would be if all spikes were on time: the rest is lost to rounding."""
    for worth in worths(found)[:1]:
        own, twin = select(found, worth.name), select(found, f"rounded {worth.name}")
        if own and twin:
            show = shown(worth)
            return (
                f" If no spike came early or late, the {worth.name} would be "
                f"{show(twin[0].value)}, where the run has {show(own[0].value)}: what lies between "
                "is due to timing, the rest to rounding and to the cap on spikes."
            )
    own, twin = select(found, "output change"), select(found, "rounded output change")
    if not (own and twin):
        return ""
    return (
        f" The outputs are {percent(own[0].value)} away from the source's, and would be "
        f"{percent(twin[0].value)} away if no spike came early or late."
    )


def _of_active(found: Sequence[Record]) -> str:
    """Spikes for each active neuron of the source."""
    ratio = select(found, "spikes per active neuron")
    if not ratio:
        return ""
    return f" For each active neuron of the source {number(ratio[0].value)} spikes are sent."
