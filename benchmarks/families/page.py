"""The document: a table for each place that networks are from, and why some are not converted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from benchmarks import marked
from benchmarks.families.apart import FAILED
from benchmarks.families.digits import CHOSEN, DEVIATION, DISTANCES
from benchmarks.families.measuring import CONVERTED, DIFFERS, NOT_EXPORTED, REFUSED, SEEN
from benchmarks.families.origins import ONNX, ORIGINS
from benchmarks.results import markdown_table

Row = Mapping[str, Any]
Rows = Mapping[str, Row]

HEAD = """# Families of networks

Published networks, one of each family, and whether they can be converted: made spiking, and
verified layer by layer.

<!-- Written by `python -m benchmarks.families --document docs/families.md`; do not edit. -->

The networks have random weights and a small input or configuration. Those of the first four tables
are also converted from the ONNX file that their framework exports. Outputs and every layer are
[verified](guarantees.md#verify-a-conversion) on two random samples. Inputs are those of users:
token ids with the mask of a padded batch, ids and timesteps as one number a sample. Where a mask
hides padding, a third sample has other padding. Statistics of batch normalisation are those of
random input, and constant weights, such as scales of layers, are made random. The rows of
torchvision and of ONNX files are older: from before models were read at one sample.

* **verdict**: the guarantee of the spiking network, the weakest of its layers
  ([what can be converted](support.md)); refused networks have a reason below the tables;
* **error of bound**: the error of the outputs relative to the largest value, and the bound that
  rounding explains; every layer is within its own bound;
* **seconds**: of one core, to make, export, convert and verify it.

`python -m benchmarks.families --unchanged` reads one of two equal copies of each network, refused
ones included, and compares their states and outputs: reading leaves a network as it was.
"""
DIGITS = "digits"
COMMONEST = 6  # kinds of layers that digits cannot express, as the page names them
DIGITS_HEAD = """## Signed digits

The networks whose values [signed digits](few_steps.md#signed-digits) can express, with six digits,
two silent steps and units from 32 samples, measured on four others.

<!-- Written by `python -m benchmarks.families --digits --document docs/families.md`. -->

The twin is the network without time, every activation rounded to the same units. Distances are root
mean squares over all outputs, before a softmax. Networks whose outputs hardly differ from sample to
sample, named below, show large differences whatever the code.

* **twin from source**: the effect of rounding, in deviations of the source's outputs;
* **network from twin**: the effect of late values, in units of the distance of twin and source, as
  are the next columns; **later** has three silent steps;
* **network from source**: 1 where it is as close as its twin;
* **from twin, changed**: the distance of the twin from itself with one more unit in a thousandth of
  the active neurons of its first layer, for comparison.

Behind each network that is further
from its twin than that is from the source stand its distances with silent steps that its 32 samples
choose, as `convert(steps=6)` does. Why they are late:

* Inputs that are about the same in every sample are all short by the same part at first, so that
  sums in which they nearly cancel begin far off, often with the wrong sign (VGG16, ConvNeXtTiny).
* Norms and quotients of sums that are not yet known are wrong for all of their values at once
  (poolformer_s12, efficientvit_b0, MPNetModel). More silent steps there, which samples find, help.
* Where the twin changed by so little is as far off as 1, as of ConvNeXtTiny, distances from the
  twin tell little: two roundings are so far apart, and the distance from the source counts.

Rows are kept until they are measured anew: those that are named there are of the commit below, all
others of 23cd562a.
"""
COLUMNS = [
    "network", "family", "input", "layers", "parameters", "verdict", "error of bound", "seconds",
    "its ONNX file", "error of bound", "seconds",
]  # fmt: skip
VERDICTS = ("verdict", "its ONNX file")
REASONS = {
    REFUSED: "Refused",
    DIFFERS: "Converted, and not verified",
    FAILED: "Failed",
    NOT_EXPORTED: "Not exported, which the framework cannot do",
}


def page(rows: Rows, used: Mapping[str, str], digits: str = "") -> str:
    """The whole page, with the section `digits`; networks that were not measured are left out."""
    parts = [HEAD, _count(rows), *(_section(place, rows) for place in ORIGINS), around(digits)]
    return "\n".join([*parts, *_reasons(rows), _with(used), ""])


def _count(rows: Rows) -> str:
    """The number of converted rows, of all, and the time that they took."""
    done, exported = _converted(rows.values()), list(_exported(rows.values()))
    seconds = sum(row.get("seconds", 0) for row in rows.values())
    return (
        f"**{_conversion_counts(rows)} are converted and verified**, "
        f"{done / max(len(exported), 1):.1%} of them.\n"
        f"{len(rows) - len(exported)} networks cannot be exported. Reasons are below the "
        f"tables. All of it took {seconds / 60:.0f} minutes of one core.\n"
    )


def _conversion_counts(rows: Rows) -> str:
    """The count of networks and of files that are converted."""
    own = [row for key, row in rows.items() if not key.endswith(ONNX)]
    files = list(_exported(row for key, row in rows.items() if key.endswith(ONNX)))
    return (
        f"{_converted(own)} of {len(own)} networks and {_converted(files)} of {len(files)} ONNX "
        "files"
    )


def _exported(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row["outcome"] != NOT_EXPORTED)


def _converted(rows: Iterable[Row]) -> int:
    return sum(row["outcome"] == CONVERTED for row in rows)


def _section(place: str, rows: Rows) -> str:
    origin, here = ORIGINS[place], {k: row for k, row in rows.items() if k.startswith(f"{place}/")}
    names = [name for name in origin.members if f"{place}/{name}" in here]
    table = markdown_table(COLUMNS, [cells(f"{place}/{name}", here) for name in names])
    counts = f"{_conversion_counts(here)}.{_padding(here)}"
    return f"## {origin.title}\n\n{counts}\n\n{table}\n" if names else ""


def _padding(rows: Rows) -> str:
    """How many of the rows leave padding out, and which do not."""
    found = {key: row["padding"] for key, row in rows.items() if "padding" in row}
    if not found:
        return ""
    seen = [key.split("/", 1)[1] for key, kind in found.items() if kind == SEEN]
    rest = f"; in {', '.join(seen)} it does, as in the framework" if seen else ""
    return (
        f" In {len(found) - len(seen)} of {len(found)} with a mask, padding changes no output at "
        f"other positions{rest}."
    )


def cells(key: str, rows: Rows) -> list[str]:
    """A row as text; what does not exist is a dash."""
    place, name = key.split("/", 1)
    row, exported = rows[key], rows.get(key + ONNX, {})
    parameters = row.get("parameters")
    return [
        name,
        ORIGINS[place].members[name].family,
        row.get("input", "-"),
        str(row.get("layers", "-")),
        "-" if parameters is None else f"{parameters:,}",
        *_outcome(row),
        *_outcome(exported),
    ]


def _outcome(row: Row) -> list[str]:
    """Guarantee, error and seconds."""
    if row.get("outcome") != CONVERTED:
        return [row.get("outcome", "-"), "-", "-"]
    error = f"{row['error']:.0e} of {row['bound']:.0e}"
    return [row["guarantee"], error, f"{row['seconds']:.0f}"]


def _reasons(rows: Rows) -> Iterator[str]:
    """The reasons against each network that is not converted, by outcome."""
    for outcome, title in REASONS.items():
        lines = [f"* {key}: {_why(row)}" for key, row in rows.items() if row["outcome"] == outcome]
        if lines:
            yield "\n".join([f"## {title}\n", *lines, ""])


def _why(row: Row) -> str:
    """A network's reason; other libraries' errors are quoted as code."""
    why: str = row["why"]
    return "`" + why.replace("`", "'") + "`" if row["outcome"] in (FAILED, NOT_EXPORTED) else why


def around(digits: str) -> str:
    """The section of signed digits, with what was measured between its marks."""
    first, last = marked.marks(DIGITS)
    return "\n\n".join([DIGITS_HEAD, *filter(None, (first, digits, last)), ""])


def digits_part(rows: Rows, used: Mapping[str, str]) -> str:
    """The networks that digits can say, what the others have that they cannot, and failures."""
    done = {key: row for key, row in rows.items() if row["outcome"] == CONVERTED}
    kinds = [row["kinds"] for row in rows.values() if row["outcome"] == REFUSED]
    common = Counter(kind for those in kinds for kind in those).most_common(COMMONEST)
    middle = {name: median(row[name] for row in done.values()) for name in DISTANCES}
    far = [
        f"{key}, whose outputs deviate by {row[DEVIATION]:.0e} of their size{_chosen(row)}"
        for key, row in done.items()
        if row["network from twin"] > 1
    ]
    count = (
        f"**{len(done)} of {len(rows)} networks** can use digits. Medians: "
        f"{', '.join(f'{name} {value:.2f}' for name, value in middle.items())}. Further from the "
        f"twin than that is from the source: {'; '.join(far) or 'none'}.\n\n"
        f"{len(kinds)} are refused by name, {kinds.count([])} of them whatever the code. Layers "
        f"that most of the others have: {', '.join(f'{kind} ({n})' for kind, n in common)}."
    )
    table = markdown_table(["network", "from", "layers", *DISTANCES, "seconds"], [
        [key.split("/", 1)[1], ORIGINS[key.split("/", 1)[0]].title, str(row["layers"]),
         *(f"{row[name]:.2f}" for name in DISTANCES), f"{row['seconds']:.0f}"]
        for key, row in done.items()
    ])  # fmt: skip
    failed = [f"* {key}: {_why(row)}" for key, row in rows.items() if row["outcome"] == FAILED]
    return "\n\n".join([count, table, *filter(None, ["\n".join(failed)]), _with(used)])


def _chosen(row: Row) -> str:
    """The distances with silent steps that samples choose, where these were measured."""
    if CHOSEN not in row:
        return ""
    from_twin, from_source = row[CHOSEN]
    return f" (chosen by samples: {from_twin:.2f} from the twin, {from_source:.2f} from the source)"


def _with(used: Mapping[str, str]) -> str:
    return f"With {', '.join(f'{name} {version}' for name, version in used.items())}."
