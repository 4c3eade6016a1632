"""Asks a REST API for JSON: one request at a time, no faster than it allows, tried again where that may help.

Redirects are refused, answers are bounded, every wait has a deadline, and no environment decides where the key goes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from ops.reconcile.source import ApiAccess, SourceError

_ANSWER_BYTES_MAX = 67_108_864
_TRIES_MAX = 6
_CONNECT_TIMEOUT_S = 5.0
_PAUSE_S = 0.5
# Where the answer to "too fast" does not say how long: the budgets of these APIs are those of a minute.
_LIMITED_PAUSE_S = 60.0
_WAIT_MAX_S = 120.0
_PAGES_MAX = 10_000


@dataclass(slots=True)
class RestApi:
    """An API at `base`; made by `open_rest`. `asked_at` is when the newest request was sent, aware UTC."""

    http: aiohttp.ClientSession
    base: str
    access: ApiAccess
    between_requests_s: float
    asked_at: datetime
    _free_at: float = 0.0

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """The JSON object that the API answers; `path` may be a whole address on the same host, as a `next` is.

        Raises:
            SourceError: it cannot be reached, refuses, or answers no JSON object.
        """
        url = urljoin(f"{self.base}/", path)
        if urlsplit(url)[:2] != urlsplit(self.base)[:2]:
            raise SourceError(f"{self.base} points to another host for the next page; the key does not go there")
        for tries in range(1, _TRIES_MAX + 1):
            try:
                return await self._once(url, query)
            except _AgainError as again:
                if tries == _TRIES_MAX or again.pause_s > _WAIT_MAX_S:
                    raise SourceError(again.sentence) from again
                await asyncio.sleep(again.pause_s * 2 ** (tries - 1) if again.pause_s < 1 else again.pause_s)
        raise AssertionError("the last try returns or raises")

    async def change(self, method: Literal["POST", "DELETE"], path: str, body: Mapping[str, str] | None = None) -> None:
        """Has the API change something; asked once, for a second time might change it twice.

        Raises:
            SourceError: it refuses, or nobody knows whether it has done it.
        """
        await self._pace()
        try:
            async with self.http.request(
                method, urljoin(f"{self.base}/", path), json=body, allow_redirects=False
            ) as response:
                await _bounded(response, self.base)
                self.access.on_request(str(response.status))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.access.on_request("no answer")
            raise SourceError(
                f"{self.base} gives no whole answer ({type(error).__name__}): whether it has done it is not known; "
                "ask again, for what is there is looked at first"
            ) from error
        if response.status in {401, 403}:
            raise SourceError(
                f"{self.base} denies it (HTTP {response.status}): check the rights of the endpoint's api.key"
            )
        if response.status >= 500:
            raise SourceError(
                f"{self.base} answers HTTP {response.status}: whether it has done it is not known; ask again later, "
                "for what is there is looked at first"
            )
        if not 200 <= response.status < 300:
            raise SourceError(f"{self.base} refuses it (HTTP {response.status})")

    async def _pace(self) -> None:
        """Waits until the next request may go out."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        between_s = self.access.between_requests_s
        self._free_at = loop.time() + (self.between_requests_s if between_s is None else between_s)

    async def _once(self, url: str, query: Mapping[str, str] | None) -> Mapping[str, Any]:
        await self._pace()
        self.asked_at = self.access.now()
        pause_s = random.uniform(_PAUSE_S / 2, _PAUSE_S)  # noqa: S311 spreads callers, guards nothing
        try:
            async with self.http.get(url, params=query, allow_redirects=False) as response:
                content = await _bounded(response, self.base)
                self.access.on_request(str(response.status))
                return self._read(response, content, pause_s)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.access.on_request("no answer")
            raise _AgainError(
                f"{self.base} gives no whole answer ({type(error).__name__}): try again later", pause_s
            ) from error

    def _read(self, response: aiohttp.ClientResponse, content: bytes, pause_s: float) -> Mapping[str, Any]:
        status = response.status
        if status == 429:
            given = response.headers.get("Retry-After", "")
            wait_s = float(given[:9]) if given.isascii() and given.isdigit() else _LIMITED_PAUSE_S
            raise _AgainError(
                f"{self.base} limits the rate of calls (HTTP 429): wait for {wait_s:.0f} s", wait_s + pause_s
            )
        if status >= 500:
            raise _AgainError(f"{self.base} answers HTTP {status}: try again later", pause_s)
        if status in {401, 403}:
            raise SourceError(f"{self.base} denies access (HTTP {status}): check the endpoint's api.key and its rights")
        if status != 200:
            raise SourceError(f"{self.base} answers HTTP {status}: check the endpoint's api.url")
        try:
            read = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise _AgainError(f"{self.base} answers no JSON, or half of it: try again later", pause_s) from None
        if not isinstance(read, dict):
            raise SourceError(f"{self.base} answers no JSON object: its documentation has changed")
        return read


class _AgainError(Exception):
    """A failure that may pass by itself after `pause_s`."""

    def __init__(self, sentence: str, pause_s: float) -> None:
        self.sentence, self.pause_s = sentence, pause_s
        super().__init__(sentence)


def rows_of(answer: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    """The rows under a path of names.

    Raises:
        SourceError: there is no list of objects.
    """
    found: Any = answer
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list) or any(not isinstance(one, dict) for one in found):
        raise SourceError(f"the API answers no rows in {'.'.join(names)}: its documentation has changed")
    return found


def pages_left(number: int) -> int:
    """`number`, where it is one that a list can have.

    Raises:
        SourceError: so many pages come that the list turns in a circle.
    """
    if number > _PAGES_MAX:
        raise SourceError(f"the API gives more than {_PAGES_MAX} pages: its list turns in a circle")
    return number


async def _bounded(response: aiohttp.ClientResponse, base: str) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > _ANSWER_BYTES_MAX:
            raise SourceError(f"{base} answers more than {_ANSWER_BYTES_MAX} bytes")
    return bytes(content)


@asynccontextmanager
async def open_rest(
    access: ApiAccess, *, base: str, headers: Mapping[str, str], between_requests_s: float
) -> AsyncIterator[RestApi]:
    """The API at `base`; nothing goes out before the first request."""
    timeout = aiohttp.ClientTimeout(total=access.settings.answer_timeout_ms / 1000, connect=_CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(
        timeout=timeout,
        headers={"Accept": "application/json", **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as http:
        yield RestApi(http, base, access, between_requests_s, access.now())
