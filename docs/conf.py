"""The settings of the site that is made of the pages: `sphinx-build -W docs site`.

The Markdown stays what it is in the repository: plain links, no directives. What a site needs
beside it (the shelves as a tree, links out of this folder, the gallery's code) is made from those
links while the pages are read. `_making/` adds signatures and docstrings, and leads from names in
code to where they are documented.
"""

from __future__ import annotations

import html
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from docutils import nodes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _making import accessible, commands, index, links, reference  # noqa: E402

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
html_logo = "_making/static/logo.svg"
html_favicon = html_logo
# absolute, since pages that show a link load the preview from elsewhere
html_baseurl = os.environ.get("SITE_ADDRESS", "")
copybutton_exclude = ".linenos, .gp, .go"
pygments_dark_style = "github-dark"
html_theme_options = {"top_of_page_buttons": []}  # the pages' sources are in the repository
html_title = f"Spikewright {release}"
html_show_copyright = False

# files outside of this folder that are pages of the site
OUTSIDE = {"../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changes.md"}


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
        source[0] = index.site(source[0])
    if name == "decisions/README":
        source[0] = decisions(source[0])
    if name == "gallery/README":
        source[0] = with_code(source[0])


def preview(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """The preview of a link on other sites: the page's title, first paragraph and a picture."""
    if doctree is None:
        return
    first = next((p.astext() for p in doctree.findall(nodes.paragraph)), "")
    picture = f"{html_baseurl or context['pathto']('', 1)}_static/preview.png"
    shown = {
        "og:type": "website",
        "og:site_name": project,
        "og:title": context["title"],
        "og:description": " ".join(first.split())[:300],
        "og:image": picture,
        "og:image:width": "1200",
        "og:image:height": "630",
        "twitter:card": "summary_large_image",
    }
    context["metatags"] += "".join(
        f'<meta property="{name}" content="{html.escape(text)}"/>\n' for name, text in shown.items()
    )


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
    app.connect("html-page-context", preview)
    app.connect("build-finished", accessible.mend)
