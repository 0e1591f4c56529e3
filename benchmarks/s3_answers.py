"""Answers of an S3 server, in S3's XML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XML = {"Content-Type": "application/xml"}


class Answer(NamedTuple):
    """A status, a body and headers; of the body of an answer to HEAD only the length is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


def error_answer(status: int, code: str, message: str) -> Answer:
    """Return an error as S3 tells it."""
    facts = elements({"Code": code, "Message": message})
    return Answer(status, f"<Error>{facts}</Error>".encode(), _XML)


def xml_answer(name: str, content: str) -> Answer:
    """Return a document with one element that has the content, which is XML already."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{content}</{name}>'
    )
    return Answer(200, text.encode(), _XML)


def elements(facts: Mapping[str, object]) -> str:
    """Return an element for each fact, its text escaped."""
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in facts.items())
