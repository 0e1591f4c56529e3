"""The documentation site: Sphinx with MyST and furo, built by ``make docs``.

The pages are plain Markdown that reads well on GitHub too, so they link to each other and to the
rest of the repository by relative paths.
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from collectfasta import __version__  # noqa: E402 - from this checkout

URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
# Files of the repository that are pages of the site too.
PAGES = {"CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}

project = "Collectfasta"
author = "Collectfasta contributors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser"]
nitpicky = True
# The anchors that GitHub gives to headings.
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"{project} {version}"
html_baseurl = URLS["Documentation"]
html_theme_options = {
    "source_repository": URLS["Repository"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_show_copyright = False
html_copy_source = False

exclude_patterns = ["_build"]


def lead_out_of_docs(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Make links to files of the repository lead there, as they do on GitHub."""

    def lead(link: re.Match[str]) -> str:
        path, anchor = link["path"], link["anchor"] or ""
        if not (ROOT / path).exists():
            logging.getLogger(__name__).warning("There is no %s.", path, location=docname)
        if PAGES.get(path, f"{docname}.md") != f"{docname}.md":
            return f"]({PAGES[path]}{anchor})"
        return f"]({URLS['Repository']}/blob/main/{path}{anchor})"

    source[0] = re.sub(r"\]\(\.\./(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]+)?\)", lead, source[0])


def setup(app: Sphinx) -> None:
    """Register what is above."""
    app.connect("source-read", lead_out_of_docs)
