"""PyTorch modules as users write them: recommenders, tables, padded sequences."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import ids, lengths, mask, padded_ids, values
from benchmarks.families.member import Member, Origin
from benchmarks.families.warming import warm_module

USER, ITEM, WEEKDAY = ids(below=30), ids(below=40), ids(below=7)
LENGTH = 8
PAIR = {"user": USER, "item": ITEM}
FIELDS = {**PAIR, "weekday": WEEKDAY}
NUMBERS = {"numbers": values(4)}
MATRIX = {"fields": ids(3, below=7)}

RECOMMENDERS = {
    "MatrixFactorization": Member("matrix factorisation", PAIR),
    "FactorizationMachine": Member("factorisation machine", FIELDS),
    "NeuMF": Member("neural collaborative filtering", PAIR),
    "WideAndDeep": Member("wide and deep", {**NUMBERS, "user": USER, "weekday": WEEKDAY}),
    "DeepFM": Member("DeepFM", FIELDS),
    "DCN": Member("deep and cross, version 2", NUMBERS | PAIR),
    "XDeepFM": Member("xDeepFM", MATRIX),
    "AutoInt": Member("AutoInt", MATRIX),
    "DLRM": Member("DLRM", NUMBERS | PAIR),
    "TwoTowers": Member("two towers", PAIR),
    "EntityEmbeddings": Member(
        "entity embeddings", {**NUMBERS, "shop": ids(below=20), "weekday": WEEKDAY}
    ),
    "FTTransformer": Member("FT-Transformer", {**NUMBERS, "categories": ids(2, below=7)}),
}
"""Classes of `recommenders.py`."""

PADDED = {
    "SASRec": Member("SASRec", {"history": padded_ids(LENGTH, 40, left=True), "item": ITEM}),
    "GRU4Rec": Member(
        "GRU4Rec", {"history": padded_ids(LENGTH, 40, free=True), "length": lengths(LENGTH)}
    ),
    "DIN": Member(
        "deep interest network",
        {"history": padded_ids(LENGTH, 40, free=True), "mask": mask(LENGTH), "item": ITEM},
    ),
    "PackedLSTM": Member(
        "LSTM of packed sequences",
        {"frames": values(LENGTH, 12, padded=True, free=True), "length": lengths(LENGTH)},
    ),
    "MaskedVideo": Member(
        "frames of a video",
        {"video": values(4, 3, 12, 12, padded=True, free=True), "mask": mask(4)},
    ),
}
"""Classes of `padded.py`."""


def network(name: str, member: Member) -> Any:
    """A module with initial weights."""
    import torch

    from benchmarks.families import padded, recommenders

    torch.manual_seed(0)
    return getattr(padded if name in PADDED else recommenders, name)()


ORIGIN = Origin("PyTorch modules of users", RECOMMENDERS | PADDED, network, warm_module, torch_file)
