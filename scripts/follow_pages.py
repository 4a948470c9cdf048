"""Follows README, the start page and the tutorials word for word, in fresh environments.

    python scripts/follow_pages.py FOLDER            the folder of a wheel of this tree
    python scripts/follow_pages.py FOLDER --keep ENVIRONMENTS

For each page it makes an environment with the extras that the page names and runs its lines twice
in an empty folder. As they stand they have to print what the page shows, percentages within one
point. With a network and images that the page does not know (`scripts/unseen_networks/`) every line
has to run, and the last check of that file to hold. Takes three to ten minutes of two cores; no
test runs it. `tests/test_first_hour.py` follows the start page in CI.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.notebooks import printed, read  # noqa: E402
from scripts.pages import blocks, differing_lines  # noqa: E402

UNSEEN = ROOT / "scripts" / "unseen_networks"
AT_THE_END = "# the page follows here; at its end:\n"
_SHOWN = re.compile(
    r"^```python\n(?:(?!^```$).)*^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_INSTALL = re.compile(r"pip install '(?:spikewright|\.)\[([\w,]+)\]'")
_SHELL = (
    "import subprocess\nsubprocess.run({!r}, shell=True, check=True, stdout=subprocess.DEVNULL)\n"
)


@dataclass(frozen=True)
class Followed:
    """A page: the extras that it names, its lines in order, and what they print.

    Block `own` makes the page's own network, or, `given`, begins with the reader's.
    """

    name: str
    extras: str
    blocks: tuple[str, ...]
    shown: str
    own: int
    given: bool = False

    def session(self, unseen: str | None = None) -> str:
        """The lines as one program, on the page's own network or on one that it does not know."""
        before, own, after = (
            self.blocks[: self.own],
            self.blocks[self.own],
            self.blocks[self.own + 1 :],
        )
        if unseen is None:
            return "\n".join([*before, *([] if self.given else [own]), *after])
        code, _, check = unseen.partition(AT_THE_END)
        return "\n".join([*before, code, *([own] if self.given else []), *after, check])


def shell(block: str) -> str:
    """Commands of a page as a line of Python; installing is left out."""
    kept = [line for line in block.splitlines() if not line.strip().startswith("pip install")]
    return _SHELL.format("\n".join(["set -e", *kept]))


def page(path: Path, own: str, given: bool = False) -> Followed:
    """A page in Markdown; `own` are words of the block that makes its network, or is given one."""
    text = path.read_text(encoding="utf-8")
    lines = [code if kind == "python" else shell(code) for kind, code in blocks(text)
             if kind in ("python", "sh")]  # fmt: skip
    extras = {extra for extras in _INSTALL.findall(text) for extra in extras.split(",")}
    extras = extras - {"dev"} | ({"torch"} if given else set())  # a module needs PyTorch
    place = next(n for n, block in enumerate(lines) if own in block)
    shown = "".join(_SHOWN.findall(text))
    return Followed(path.stem, ",".join(sorted(extras)), tuple(lines), shown, place, given)


def notebook(path: Path, own: str) -> Followed:
    """A tutorial; `own` are words of the cell that makes its network."""
    cells = read(path).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    (extras,) = _INSTALL.findall(text)
    place = next(n for n, cell in enumerate(code) if own in cell.source)
    shown = "".join(map(printed, code))
    return Followed(path.stem, extras, tuple(cell.source for cell in code), shown, place)


def pages() -> Iterator[Followed]:
    """README, the start page and the tutorials."""
    docs = ROOT / "docs"
    yield page(ROOT / "README.md", "conversion.verify(x)", given=True)
    yield page(docs / "start.md", "torch.export.save")
    yield notebook(docs / "notebooks" / "pytorch_to_decision.ipynb", "model = nn.Sequential")
    yield notebook(docs / "notebooks" / "keras_to_decision.ipynb", "def network(pooling)")


def environment(folder: Path, extras: str, wheel: Path) -> dict[str, str]:
    """Variables of an environment with these extras, which is made where it is not there yet."""
    place = folder / extras.replace(",", "-")
    if not place.exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", f"{wheel}[{extras}]"], check=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KERAS"))}
    kept["OMP_NUM_THREADS"] = "1"  # as notebooks are run: sums of two threads train another network
    programs = f"{place / 'bin'}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": programs, "MPLBACKEND": "Agg"}


def follow(code: str, env: dict[str, str]) -> tuple[str, str, float]:
    """The output of a session, the end of its errors if it fails, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.py"
        path.write_text(code, encoding="utf-8")
        begin = time.perf_counter()
        done = subprocess.run(["python", path.name], cwd=folder, env=env, capture_output=True,
                              text=True, check=False)  # fmt: skip
    failed = done.stderr[-3000:] if done.returncode else ""
    return done.stdout, failed, time.perf_counter() - begin


def main() -> int:
    """Follow every page twice; 1 where one does not lead to its end, or prints something else."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of a wheel")
    parser.add_argument("--keep", type=Path, help="make environments here, and use those that are")
    given = parser.parse_args()
    (wheel,) = given.folder.resolve().glob("*.whl")
    status = 0
    with tempfile.TemporaryDirectory() as made:
        for found in pages():
            env = environment((given.keep or Path(made)).resolve(), found.extras, wheel)
            unseen = (UNSEEN / f"{found.name.lower()}.py").read_text(encoding="utf-8")
            out, failed, seconds = follow(found.session(), env)
            faults = [failed] if failed else list(differing_lines(out, found.shown, points=1))
            print(f"{found.name} as it stands: {seconds:.0f} s", *faults or ["ok"], sep="\n  ")
            out, failed, seconds = follow(found.session(unseen), env)
            print(f"{found.name} with an unseen network: {seconds:.0f} s")
            print(f"  {failed or out.splitlines()[-1]}", flush=True)
            status |= bool(faults or failed)
    return status


if __name__ == "__main__":
    sys.exit(main())
