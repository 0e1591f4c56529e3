"""The sessions of ``requests`` by which Azure's and Google's SDKs send: pooled, and shortened.

Azure's and Google's SDKs send by ``Session.request()``, which for each request reads the
environment's proxies, looks for a ``.netrc``, copies jars of cookies and builds the chain of
redirects. To one service, which sets no cookies, all that comes out the same each time; it was a
third of what ``requests`` works for a small upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from requests import PreparedRequest, Request, Response, Session
from requests.adapters import HTTPAdapter

from collectfasta.strategies.counting import Counter


def mount_pool(session: Session, threads: int, counter: Counter) -> None:
    """Give a session of ``requests`` a connection for each thread; note what it sends.

    Its own pool holds 10 connections and throws away what exceeds them. Retries stay the SDK's.
    """

    class CountingAdapter(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            counter.add()
            response = super().send(*args, **kwargs)
            counter.date = response.headers.get("Date")
            return response

    size = max(threads, 10)
    for scheme in ("https://", "http://"):
        session.mount(scheme, CountingAdapter(pool_connections=size, pool_maxsize=size))


def shorten_way(session: Session) -> None:
    """Let a session send the same requests with less work.

    Its methods keep their meaning, except that the environment is read once for each server, no
    ``.netrc`` takes the place of the SDK's own login, and cookies are neither kept nor sent.

    Args:
        session: A session that has no cookies, hooks or login of its own.
    """
    way = _ShortWay(session)
    vars(session).update(
        prepare_request=way.prepare_request,
        merge_environment_settings=way.merge_environment_settings,
        send=way.send,
    )


class _ShortWay:
    """What takes the place of the session's methods of the same names.

    See https://requests.readthedocs.io/en/latest/user/advanced/#prepared-requests.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._send = session.send
        self._environment = lru_cache(_read_environment(session))

    def prepare_request(self, request: Request) -> PreparedRequest:
        prepared = PreparedRequest()
        prepared.prepare_method(request.method)
        prepared.prepare_url(str(request.url), request.params)
        prepared.prepare_headers({**self._session.headers, **request.headers})
        prepared.prepare_body(request.data, request.files, request.json)
        prepared.prepare_hooks(request.hooks)
        return prepared

    def merge_environment_settings(
        self,
        url: str,
        proxies: Mapping[str, str] | None,
        stream: bool | None,
        verify: bool | str | None,
        cert: Any,
    ) -> dict[str, Any]:
        known = self._environment("/".join(url.split("/", 3)[:3]))
        return {
            "proxies": {**known["proxies"], **(proxies or {})},
            "stream": known["stream"] if stream is None else stream,
            # As it is without this: only what is asked for by default comes from the environment.
            "verify": known["verify"] if verify in (None, True) else verify,
            "cert": cert or known["cert"],
        }

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        follows = options.pop("allow_redirects", True)
        response: Response = self._session.get_adapter(str(request.url)).send(request, **options)
        if not options.get("stream"):
            # Read, its connection is free for the next request.
            _ = response.content
        if follows and response.is_redirect:
            request.prepare_cookies({})
            return self._send(request, allow_redirects=True, **options)
        return response


def _read_environment(session: Session) -> Any:
    merge = session.merge_environment_settings
    return lambda origin: merge(origin, {}, None, None, None)
