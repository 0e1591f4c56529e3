"""What PyPI shows: the README, whose links and pictures lead to the repository from there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<picture>!?)(?P<text>\[[^]]*\])\((?P<path>(?!https?:)[^)]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Gives the project's metadata its readme."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the readme to the metadata.

        Args:
            metadata: The project's, changed in place.
        """
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata["urls"]["Repository"]

        def lead(link: re.Match[str]) -> str:
            view = "raw" if link["picture"] else "blob"
            return f"{link['picture']}{link['text']}({repository}/{view}/main/{link['path']})"

        text = _LINK.sub(lead, text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
