"""The server of an explorer: its guard, its page, and the sockets of pages."""

from spikewright._base.optional import require as _require

_require("starlette")

from spikewright.explorer.message import LONGEST  # noqa: E402
from spikewright.explorer.serving.server import application  # noqa: E402

__all__ = ["LONGEST", "application"]
