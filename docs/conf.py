"""The settings of the site that is made of the pages: `sphinx-build -W docs site`.

The Markdown stays what it is in the repository: plain links, no directives. What a site needs
beside it (the shelves as a tree, links out of this folder, the gallery's code) is made from those
links while the pages are read. `_making/` adds signatures and docstrings, and leads from names in
code to where they are documented.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _making import commands, links, reference  # noqa: E402

os.environ.setdefault("KERAS_BACKEND", "torch")  # of the layers whose signatures are shown

project = "Spikewright"
author = "The Spikewright authors"
copyright = author
version = release = metadata.version("spikewright")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
root_doc = "index"
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks hold their outputs, which tests keep true
autodoc_inherit_docstrings = False  # an override says what its base says
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "literal"  # code in docstrings stands between single backticks
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
extlinks = {"keras": (f"{links.inventory('keras').address}%s", "%s")}
html_theme = "furo"
html_static_path = ["_making/static"]
html_css_files = ["wide.css"]
pygments_dark_style = "github-dark"
html_title = f"Spikewright {release}"
html_show_copyright = False

# files outside of this folder that are pages of the site
OUTSIDE = {"../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changes.md"}


# pages that the build adds to a section of the index; the repository does not have them
ADDED = {
    "Reference": (
        "* [Python reference](api/reference.md): every public name\n"
        "* [Commands](api/commands.rst): every command and its options\n"
    )
}


def completed(page: str) -> str:
    """The index with the pages that the build adds."""
    for section, lines in ADDED.items():
        page = re.sub(
            rf"^## {section}\n.*?\n\n(?=\* )", rf"## {section}\n\n{lines}", page, flags=re.M | re.S
        )
    return page


def shelves(page: str) -> str:
    """The tree of pages: a caption for each section of the index, and what it links to."""
    trees = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        names = dict.fromkeys(re.findall(r"\]\(([\w/]+)\.(?:md|rst|ipynb)\)", section))
        caption = section.partition("\n")[0]
        trees.append(
            f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{chr(10).join(names)}\n```\n"
        )
    return "\n".join([page, *trees])


def decisions(page: str) -> str:
    """The list of decisions, with its tree of pages."""
    names = re.findall(r"\]\((\w+)\.md\)", page)
    return f"{page}\n```{{toctree}}\n:hidden:\n\n{chr(10).join(names)}\n```\n"


def with_code(page: str) -> str:
    """The gallery, with the file behind each picture."""

    def shown(link: re.Match[str]) -> str:
        code = (HERE / "gallery" / link[1]).read_text(encoding="utf-8")
        return f"{link[0]}\n\n```python\n{code}```\n"

    return re.sub(r"\(\[\w+\.py\]\((\w+\.py)\)\)", shown, page)


def read(app: Any, name: str, source: list[str]) -> None:
    """Rewrite a page's text as it is read."""
    for link, page in OUTSIDE.items():
        source[0] = source[0].replace(f"]({link}", f"]({page}")
    if name == root_doc:
        source[0] = shelves(completed(source[0]))
    if name == "decisions/README":
        source[0] = decisions(source[0])
    if name == "gallery/README":
        source[0] = with_code(source[0])


def prepare(app: Any, config: Any) -> None:
    """Write what every build makes: inventories, and pages of names and commands."""
    config.intersphinx_mapping = links.mapping(Path(app.doctreedir) / "inventories")
    reference.write(HERE)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("config-inited", prepare, priority=100)  # before intersphinx looks
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", reference.docstring)
    app.connect("sphinx-click-process-description", commands.description)
    app.connect("sphinx-click-process-options", commands.options)
    app.connect("doctree-resolved", links.link)
