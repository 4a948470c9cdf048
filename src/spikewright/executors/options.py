"""Options of work that is cut into pieces: where it is done, and where finished pieces are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

from spikewright._base.options import Option


class PlaceOptions(TypedDict, total=False):
    """The executor of work in pieces, and its address."""

    executor: Annotated[Any, Option("local", "Do the work in this process, on Dask or on Ray.")]
    address: Annotated[
        str | None,
        Option(None, "Of the cluster's scheduler (default: workers on this machine)."),
    ]


class KeptOptions(PlaceOptions, total=False):
    """The executor, and the folder of finished pieces."""

    checkpoint: Annotated[
        str | Path | None,
        Option(None, "Keep what is finished in this folder, and go on from there the next time."),
    ]
