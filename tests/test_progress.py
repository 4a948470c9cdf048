"""Progress bars: in the output of a notebook's cell, on terminals, and nowhere else."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import nbformat
import pytest
from IPython import display as shown
from nbclient import NotebookClient

from spikewright._base import progress
from spikewright._base.progress import progress_bar


class Handle:
    """A display whose pictures are kept."""

    def __init__(self) -> None:
        self.pictures: list[Any] = []

    def update(self, picture: Any) -> None:
        self.pictures.append(picture)


class Shell:
    """The shell of a kernel."""

    kernel = object()


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A notebook, in which bars appear at once and every picture is shown."""
    found = Handle()

    def display(picture: Any, *, display_id: bool) -> Handle:
        assert display_id
        found.update(picture)
        return found

    monkeypatch.setattr("IPython.get_ipython", Shell)
    monkeypatch.setattr(shown, "display", display)
    monkeypatch.setattr(progress, "_DELAY", -1.0)
    monkeypatch.setattr(progress, "_PAUSE", -1.0)
    return found


def test_a_notebook_shows_how_far_it_is(handle: Handle) -> None:
    """How much is done of how much, and nothing any more when all is done."""
    with progress_bar(1200, True) as advance:
        for _ in range(3):
            advance(400)
    texts = [repr(picture) for picture in handle.pictures]
    assert texts[0] == "steps: 0 of 1,200" and texts[-1] == ""
    counts = [re.match(r"steps: ([\d,]+) of 1,200, \d+ s left$", text) for text in texts[1:-1]]
    assert [match and match[1] for match in counts] == ["400", "800", "1,200"]
    pages = [picture._repr_html_() for picture in handle.pictures]
    assert [re.search(r'value="([\d.]+)"', page) is not None for page in pages[1:-1]] == [True] * 3
    assert pages[-1] == ""


def test_work_of_unknown_length_is_counted(handle: Handle) -> None:
    """Without a share; names are text, not markup."""
    with progress_bar(None, True, "<b>runs</b>") as advance:
        advance(7)
    assert repr(handle.pictures[1]) == "<b>runs</b>: 7"
    page = handle.pictures[1]._repr_html_()
    assert "value=" not in page and "&lt;b&gt;runs" in page


def test_a_bar_that_was_interrupted_is_gone(handle: Handle) -> None:
    """As one that came to its end."""
    with pytest.raises(KeyboardInterrupt), progress_bar(9, True) as advance:
        advance(1)
        raise KeyboardInterrupt
    assert repr(handle.pictures[-1]) == ""


def test_nothing_is_shown_unasked(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `show=False`; of short work; where there is neither a kernel nor a terminal."""
    with progress_bar(9, False) as advance:
        advance(9)
    monkeypatch.setattr(progress, "_DELAY", 60.0)
    with progress_bar(9, True) as advance:
        advance(9)
    monkeypatch.setattr(progress, "_DELAY", -1.0)
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with progress_bar(9, True) as advance:
        advance(9)
    assert handle.pictures == []


def test_pictures_are_a_few_a_second(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often work reports; the last one is complete."""
    monkeypatch.setattr(progress, "_PAUSE", 60.0)
    with progress_bar(100, True) as advance:
        for _ in range(100):
            advance(1)
    assert [repr(p).partition(",")[0] for p in handle.pictures] == [
        "steps: 0 of 100",
        "steps: 100 of 100",
        "",
    ]


@pytest.mark.slow
def test_a_run_in_a_kernel_shows_a_bar() -> None:
    """`Simulator.run` in a real notebook: an output while it works, which is empty at its end."""
    code = (
        "import spikewright as sw, time\n"
        "with sw.Network() as net:\n"
        "    sw.Probe(sw.Node(lambda t: time.sleep(0.002) or t))\n"
        "sw.Simulator(net, block=1).run(1.5)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    seen: list[str] = []

    class Watching(NotebookClient):  # type: ignore[misc]
        def process_message(self, message: Any, *rest: Any) -> Any:
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen.append(message["content"]["data"].get("text/html", ""))
            return super().process_message(message, *rest)

    start = time.monotonic()
    Watching(notebook, timeout=120).execute()
    assert time.monotonic() - start > 3.0
    assert any("<progress" in page and "of 1,500" in page for page in seen)
    assert seen[-1] == ""
    (left,) = notebook.cells[0].outputs
    assert left.output_type == "display_data" and left.data["text/html"] == ""
