"""The losses of accuracy by layer, and the changes that are proposed."""

from __future__ import annotations

from spikewright._base.markup import Child, Markup, el
from spikewright.records import select
from spikewright.report.figures import gaps_info
from spikewright.report.losses import loss_table, proposals_table
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import Figure
from spikewright.report.page.plots import gaps
from spikewright.report.page.tables import table_markup

PARTS = {
    "inherited": "what earlier layers have lost, passed on",
    "policy": "what was changed on purpose",
    "clipping": "more than the cap on spikes lets through",
    "quantisation": "what whole spikes cannot express",
    "arrival order": "spikes sent too early, or not any more, because input came unevenly",
    "settling": "what a synapse had not passed on by the end",
}
"""Parts of the gap in words; docs/diagnosis.md has the formulas."""


def diagnosis(contents: Contents) -> Markup | None:
    """Error by layer with its parts, the loss by each layer, and proposals."""
    found = contents.diagnosis
    if not select(found, "gap"):
        return None
    info = gaps_info(found)
    meanings = "; ".join(f"{part}: {PARTS[part]}" for part in info.present if part in PARTS)
    children: list[Child] = [
        el("p", f"Found on {found[0].n:,} samples."),
        Figure(
            "error_by_layer",
            "Error by layer, and what caused it",
            info,
            gaps.draw,
            gaps.describe,
            gaps.keys(info),
            f"The layer that costs most comes first; parts add up. {_capital(meanings)}",
        ).markup(),
        table_markup(loss_table(found, "Each layer alone in an exact network"), "Loss by layer"),
    ]
    if select(found, "predicted gain"):
        table = proposals_table(found, "What to change, the best first")
        children.append(table_markup(table, "Proposed changes"))
    return section("diagnosis", "Where accuracy went", children)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
