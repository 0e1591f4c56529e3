"""The steps of a deploy, apart from what they do."""

from __future__ import annotations

from collections.abc import Iterator

from collectfasta.management.commands.collectstatic import Command
from collectfasta.staging import PostProcessed


def test_post_processing_ends_with_the_loop_over_it() -> None:
    """Though something holds on to it: the traceback of an error does, until Django 6.1."""
    ended = []

    def post_process() -> Iterator[PostProcessed]:
        try:
            yield "a.css", "a.1.css", True
            yield "b.css", "b.1.css", True
        finally:
            ended.append(True)

    held = post_process()
    counted = Command()._counted(held)
    next(counted)
    counted.close()

    assert ended
