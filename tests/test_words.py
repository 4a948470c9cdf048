"""Pages and docstrings are plain: short sentences, statements, and paths that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import prose

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spikewright"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST = 30
INTERROGATIVES = {"What", "Which", "Where", "How", "Why", "When"}
FILE = r"[\w./-]+\.(?:py|pyi|md|css|toml)"
PATH = re.compile(rf"[\w./-]*/|{FILE}|(?:\.ci|src|tests|benchmarks|scripts|docs)/[\w./-]+")


def _prose(text: str) -> str:
    """A page without its code blocks; a formula and a name in code are one word each."""
    text = re.sub(r"\$[^$]*\$|`[^`]*`", "x", prose(text))
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def _parts(text: str) -> Iterator[str]:
    """Paragraphs, items of lists, and single cells of tables."""
    for part in re.split(r"\n\s*\n|\n(?=\s*[*\-|#\d])", _prose(text)):
        if part.lstrip().startswith("|"):
            yield from part.strip().strip("|").split("|")
        else:
            yield part


def long_sentences(text: str) -> list[str]:
    """The sentences of a page that have more than 30 words."""
    sentences = (s for part in _parts(text) for s in re.split(r"(?<=[.!?:;])\s+", part))
    return [s for s in sentences if len(re.findall(r"[A-Za-z][\w'-]*", s)) > LONGEST]


def test_sentences_are_counted() -> None:
    """Thirty words are allowed and one more is not: in a paragraph, an item or a cell."""
    allowed, long = " ".join(["word"] * 30), " ".join(["word"] * 31)
    for form in ("{}.", "Word.\n{}", "* {}.", "| {} | word |", "Word. {}: word.", "`a b {}` {}"):
        assert not long_sentences(form.format(allowed, allowed[5:]))
        assert len(long_sentences(form.format(long, long[5:]))) == 1, form

    assert not long_sentences(f"| {allowed} | {allowed} |\n| {allowed} | {allowed} |")
    assert not long_sentences(f"```text\n{long}\n```\n`{long}` [{allowed[5:]}]({'a/' * 40})")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_sentence_of_a_page_is_long(page: Path) -> None:
    """Thirty words at most; code blocks do not count, cells of tables count singly."""
    assert long_sentences(page.read_text(encoding="utf-8")) == []


def _texts(tree: ast.AST) -> Iterator[str]:
    """Texts of a module that are no docstrings: values that are filled in are one word each."""
    inside = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    inside |= {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "x" for p in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield str(node.value)


def test_no_sentence_of_a_message_is_long() -> None:
    """Nor in what the command line, errors and refusals say; lists of names are no sentences."""
    long = [
        f"{path.relative_to(SOURCE)}: {sentence}"
        for path in SOURCE.rglob("*.py")
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        if not re.fullmatch(r"[\w.\s]*", text)
        for sentence in long_sentences(text)
    ]
    assert long == []


def missing_paths(text: str) -> list[str]:
    """The paths in code that do not exist.

    They are below the root or the package; under a heading with a folder also below that folder.
    """
    missing = []
    for section in re.split(r"^(?=###? )", text, flags=re.MULTILINE):
        folder = re.match(r"### `([\w/]+)/`", section)
        places = [ROOT, SOURCE, SOURCE.parent, *([SOURCE / folder[1]] if folder else [])]
        paths = [code for code in re.findall(r"`([^`\n]+)`", section) if PATH.fullmatch(code)]
        missing += [path for path in paths if not any((p / path).exists() for p in places)]
    return missing


def test_missing_paths_are_found() -> None:
    """A file of another folder is missing, and so is one below a heading's folder elsewhere."""
    assert missing_paths("`gone.py` and `pyproject.toml`, `1 / 2`, `graph/layers/`") == ["gone.py"]
    text = "### `lower/`\n`linear.py` `graph.py`\n### `graph/`\n`graph.py` `linear.py`\n## Ideas\n"
    assert missing_paths(text + "`graph.py`") == ["graph.py", "linear.py", "graph.py"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_exists(page: Path) -> None:
    """No page names a file that was moved, as a contributor would look for it."""
    assert missing_paths(page.read_text(encoding="utf-8")) == []


def test_pages_for_contributors_name_many_paths() -> None:
    """So the rule above holds of something."""
    for page in ("CONTRIBUTING.md", "docs/architecture.md"):
        named = re.findall(r"`([^`\n]+)`", (ROOT / page).read_text(encoding="utf-8"))
        assert sum(bool(PATH.fullmatch(code)) for code in named) > 20


def _docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of the package, with its file."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield file.relative_to(SOURCE).as_posix(), text


def test_docstrings_are_statements() -> None:
    """Fewer than 3 % of them open with an interrogative."""
    found = list(_docstrings())
    asking = [(file, text) for file, text in found if text.split(maxsplit=1)[0] in INTERROGATIVES]

    assert len(found) > 3000
    assert len(asking) < 0.03 * len(found), asking[:10]


def test_no_file_holds_both_sides_of_a_merge() -> None:
    """Markers of a conflict that nobody settled stand in no page, table or module."""
    ends = (".md", ".py", ".toml", ".csv", ".hpp", ".cpp", ".txt", ".yml")
    folders = ("src", "tests", "docs", "benchmarks", "scripts", ".github")
    files = [*ROOT.glob("*.*"), *(p for f in folders for p in (ROOT / f).rglob("*"))]
    marks = re.compile(r"^(?:<{7} |>{7} )", re.MULTILINE)
    texts = [p for p in files if p.suffix in ends and p.is_file()]

    assert len(texts) > 500
    assert [str(p) for p in texts if marks.search(p.read_text(encoding="utf-8"))] == []
