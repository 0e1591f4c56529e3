"""Errors in words, without secrets."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectfasta.errors import (
    CollectfastaError,
    StoreError,
    describe,
    naming_disks,
    printable,
    printable_error,
    redact,
)

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"

hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=64)
base64 = st.text("ABCXYZabcxyz0189+/", min_size=32, max_size=64).map(lambda text: text + "==")
signatures = hexadecimal | base64

# Of hosts and keys as the SDKs write them into URLs, and as users do.
hosts = st.sampled_from(
    [
        "bucket.s3.eu-central-1.amazonaws.com",
        "storage.googleapis.com:443",
        "account.blob.core.windows.net",
        "127.0.0.1:9000",
        "[::1]:9000",
        "[::1]",
    ]
)
paths = st.lists(
    st.sampled_from(
        ["a", "é", "site.css", "image(1).png", "a%20b", "~x", "a+b", "it's", "$&,;=:@!*"]
    )
).map("/".join)
schemes = st.sampled_from(["https", "http", "s3", "HTTPS"])

# The parameters of each cloud's signed URLs; the last of each is the signature.
S3_V4 = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature"]
S3_V2 = ["AWSAccessKeyId", "Expires", "x-amz-security-token", "Signature"]
GOOGLE_V4 = ["X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Signature"]
GOOGLE_V2 = ["GoogleAccessId", "Expires", "Signature"]
AZURE = ["sv", "sr", "sp", "se", "sig"]
GOOGLE_RESUMABLE = ["uploadType", "name", "upload_id"]
signed = st.sampled_from([S3_V4, S3_V2, GOOGLE_V4, GOOGLE_V2, AZURE, GOOGLE_RESUMABLE])
encoders: st.SearchStrategy[Callable[[str], str]] = st.sampled_from(
    [lambda text: quote(text, safe=""), quote, lambda text: text]
)
quotes = st.sampled_from(["{}", "'{}'", '"{}"', "<{}>", "({})", "url={}", "{} (Caused by x)"])


@st.composite
def signed_urls(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return a signed URL within a text, and the forms that its secrets have there."""
    names = draw(signed)
    secret = draw(signatures)
    encode = draw(encoders)
    values = [draw(st.sampled_from(["1", "AKIA/2026/us-east-1", "it's"])) for _ in names[:-1]]
    pairs = [*zip(names, map(quote, values), strict=False), (names[-1], encode(secret))]
    parameters = draw(st.permutations(["=".join(pair) for pair in pairs]))
    # A parameter without a value names what of the object is meant.
    subresource = draw(st.sampled_from([[], ["uploads"], ["acl"]]))
    query = "&".join([*subresource, *parameters])
    url = f"{draw(schemes)}://{draw(hosts)}/{draw(paths)}?{query}"
    return draw(quotes).format(url), [secret, encode(secret)]


@given(signed_urls())
def test_no_signature_of_a_url_survives(text_and_secrets: tuple[str, list[str]]) -> None:
    text, secrets = text_and_secrets
    told = redact(f"PUT {text} failed")
    assert not [secret for secret in secrets if secret in told]


@given(signed_urls())
def test_what_is_around_a_signed_url_survives(
    text_and_secrets: tuple[str, list[str]],
) -> None:
    text, _ = text_and_secrets
    told = redact(f"PUT {text} failed")
    assert told.startswith("PUT ")
    assert told.endswith(" failed")


# As urllib3 writes what it could not reach, and azure-core what it has asked for.
UNREACHED = "Max retries exceeded with url: /static/a.css?sv=1&sig={} (Caused by NewError('x'))"
ASKED = "Request URL: '/container/a%20b.css?comp=block&sig={}'"


def test_no_signature_of_a_url_without_its_host_survives() -> None:
    for text in (UNREACHED, ASKED):
        assert SECRET not in redact(text.format(SECRET))


# What RFC 3986 allows in a password, and what people write there all the same.
passwords = st.text(
    st.characters(codec="ascii", categories=["L", "N"]) | st.sampled_from("-._~!$&'()*+,;=:%@"),
    min_size=8,
).map(lambda text: f"Pw0{text}")


@given(passwords, st.sampled_from(["user", "", "us%40er"]), quotes)
def test_no_password_of_a_url_survives(password: str, user: str, quoted: str) -> None:
    url = f"redis://{user}:{password}@cache.internal:6379/1"
    told = redact(f"failed: {quoted.format(url)}")
    assert told == f"failed: {quoted.format('redis://***@cache.internal:6379/1')}"


secret_texts = st.text(min_size=8, max_size=60)


@given(secret_texts, st.text())
def test_no_given_secret_survives(secret: str, around: str) -> None:
    assume(secret not in around + "***" + around)
    assert secret not in redact(f"{around}{secret}{around}{secret}", [secret])


@given(st.text("abc", min_size=4, max_size=8), st.text("abc", min_size=1, max_size=8))
def test_no_end_of_a_secret_that_begins_with_another_survives(first: str, more: str) -> None:
    assert redact(f"<{first}{more}>", [first, first + more]) == "<***>"


@given(secret_texts)
def test_no_given_secret_survives_the_description_of_an_error(secret: str) -> None:
    # White space is collapsed, so the secret's would not be found again.
    told = "".join(describe(ValueError(f"refused: {secret}."), [secret]).split())
    collapsed = "".join(secret.split())
    assume(len(collapsed) >= 4)
    assert collapsed not in told


def connect(secret: str) -> None:
    raise ConnectionError(f"GET https://user:{secret}@host/a.css?sig={secret}")


def upload(secret: str) -> None:
    try:
        connect(secret)
    except ConnectionError as error:
        raise OSError(f"the upload with {secret} failed") from error


def failed_upload(secret: str) -> OSError:
    """Return an error that tells the secret, as its cause does."""
    with pytest.raises(OSError, match="the upload") as raised:
        upload(secret)
    return raised.value


@given(signatures)
def test_no_given_secret_survives_in_a_traceback(secret: str) -> None:
    told = describe(failed_upload(secret), [secret], full=True)
    assert secret not in told
    assert "OSError: the upload with *** failed" in told


def test_no_signed_url_survives_in_a_traceback() -> None:
    told = describe(failed_upload(SECRET), full=True)
    assert "GET https://***@host/a.css?***" in told
    assert told.count(SECRET) == 1  # where it is no part of a URL


def test_the_values_of_empty_secrets_change_nothing() -> None:
    assert redact("failed", [""]) == "failed"


def test_ordinary_text_is_unharmed() -> None:
    texts = [
        "",
        "failed",
        "Is it there? No = it is not.",
        "write to someone@example.com",
        "s3://bucket/static/ at http://127.0.0.1:9000",
        "https://docs.djangoproject.com/en/6.1/#top",
        "C:\\static\\a.css",
        "'css/what?.css': FileNotFoundError",
        "arn:aws:s3:::bucket/static/*",
        "a=1&b=2",
        "{'a': 1, 'b': [2]}",
    ]
    assert [text for text in texts if redact(text) != text] == []


printable_texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]))


@given(printable_texts.filter(lambda text: "?" not in text and "@" not in text))
def test_text_without_a_query_and_without_a_user_is_unharmed(text: str) -> None:
    assert redact(text) == text


def test_where_a_request_went_survives() -> None:
    assert redact("https://host/a.css?sig=x") == "https://host/a.css?***"
    assert redact("https://user:pw@host/a.css") == "https://***@host/a.css"


def test_an_error_is_described_in_a_line() -> None:
    assert describe(ValueError("one\n\n  two\tthree ")) == "ValueError: one two three"


def test_an_error_without_words_is_described_by_its_name() -> None:
    assert describe(TimeoutError()) == "TimeoutError"


def test_a_full_description_is_the_traceback() -> None:
    told = describe(failed_upload("key"), full=True)
    assert told.startswith("Traceback")
    assert "in connect" in told
    assert told.endswith("OSError: the upload with key failed")


# Control characters, line and paragraph separators, marks of bidirectional text, lone surrogates.
FORGING = ["\0", "\a", "\b", "\t", "\n", "\v", "\f", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85"]
FORGING += ["\x9b", "\x9f", "\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e"]
FORGING += ["\u2066", "\u2069", "\ud800", "\udc80", "\udcff", "\udfff"]


def test_what_could_forge_output_is_escaped_as_in_source() -> None:
    forged = [each for each in FORGING if printable(f"a{each}b") != f"a{each!r}b".replace("'", "")]
    assert forged == []


@given(printable_texts)
def test_printable_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_names_of_emoji_that_are_joined_are_printed_as_they_are() -> None:
    assert printable("\U0001f469\u200d\U0001f680.png") == "\U0001f469\u200d\U0001f680.png"


@given(st.text())
def test_nothing_unprintable_survives_but_ends_of_lines(text: str) -> None:
    told = redact(text)
    assert told.count("\n") == text.count("\n")
    assert not {*FORGING} - {"\n"} & {*told}


@given(st.text())
def test_nothing_unprintable_survives_the_description_of_an_error(text: str) -> None:
    assert not {*FORGING} & {*describe(ValueError(text))}


def test_a_secret_with_an_unprintable_character_is_hidden() -> None:
    assert redact("refused: pass\x1bword.", ["pass\x1bword"]) == "refused: ***."


def test_an_error_without_end_is_cut() -> None:
    told = describe(ValueError("x" * 5_000_000))
    assert len(told) < 1100
    assert told.endswith("x... (4999000 more characters)")


class TestErrorOfPostProcessing:
    def test_one_that_can_be_printed_is_itself(self) -> None:
        error = ValueError("line 1\nline 2")
        assert printable_error(error, "a.css") is error

    def test_the_name_of_the_file_makes_no_line(self) -> None:
        told = printable_error(ValueError("No 'a\nb.css':\nlook"), "a\nb.css")
        assert str(told) == "No 'a\\nb.css':\nlook"

    def test_its_notes_are_escaped_too(self) -> None:
        error = ValueError("x")
        error.__notes__ = ["\x1b[2J"]  # type: ignore[attr-defined]
        assert printable_error(error, "a.css").__notes__ == ["\\x1b[2J"]  # type: ignore[attr-defined]


def test_an_error_of_collectfasta_needs_no_type() -> None:
    assert describe(CollectfastaError("do this")) == "do this"
    assert describe(StoreError("503", kind="503 SlowDown", transient=True)) == "503"


def error_of(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


def test_what_the_local_system_lacks_comes_with_advice() -> None:
    advice = {
        error_of(errno.ENOSPC, "/a"): " (free some space there)",
        error_of(errno.EDQUOT, "/a"): " (free some space there)",
        error_of(errno.EROFS, "/a"): " (mount it for writing)",
        error_of(errno.EMFILE): " (lower COLLECTFASTA_THREADS, or raise the limit: ulimit -n)",
        error_of(
            errno.ENOSPC, tempfile.gettempdir()
        ): " (free some space there, or let TMPDIR name another directory)",
        error_of(errno.ENOENT, "/a"): "",
        ValueError("no"): "",
    }
    told = {error: describe(error) for error in advice}
    assert told == {error: f"{type(error).__name__}: {error}{advice[error]}" for error in advice}


class TestNamingDisks:
    def test_a_full_disk_is_named_by_its_directory(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No space left") as caught, naming_disks(tmp_path):
            _write_to_full_disk()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))

    def test_other_errors_keep_the_name_of_the_file(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing"
        with pytest.raises(FileNotFoundError) as caught, naming_disks(tmp_path):
            missing.read_bytes()
        assert caught.value.filename == str(missing)


def _write_to_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
