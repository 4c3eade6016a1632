"""Sends calls to ShipStream over HTTPS, logs in where configured, and tries again where that is harmless.

Redirects are refused, answers are bounded, and every wait has a deadline. `protocol` decides what the bytes mean.
"""

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import aiohttp

from ops.shipstream.errors import SESSION_EXPIRED, CallOutcome, ShipstreamError
from ops.shipstream.protocol import ApiCall, HttpAnswer, login_call, read_answer, request_body

_CONNECT_TIMEOUT_S = 5.0
_PAUSE_S = 0.5
# Too many calls at once, and too many in a time: https://docs.shipstream.io/merchant-api/rate-limits
_LIMITED = frozenset({409, 429})


@dataclass(frozen=True, slots=True)
class Account:
    """An account at ShipStream: the URL of its API, and the credentials."""

    url: str
    username: str
    api_key: str = field(repr=False)
    authentication: Literal["basic", "session"]
    answer_timeout_s: float


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How large an answer may be, how often a call is tried, and how long one pause may be; a person decides beyond."""

    answer_bytes_max: int = 4_194_304
    tries_max: int = 3
    wait_max_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the size of its answer (`status` None without one); shown to people, so it holds no secret."""

    method: str
    status: int | None
    answer_bytes: int


class Api:
    """Calls of one account in one HTTP session; made by `open_api`."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        account: Account,
        on_exchange: Callable[[Exchange], None],
        limits: CallLimits,
    ) -> None:
        self._http = http
        self._account = account
        self._on_exchange = on_exchange
        self._limits = limits
        self._session: str | None = None
        self._request_ids = count(1)

    async def call(self, call: ApiCall) -> Any:
        """The result of `call`; a session that has expired is opened again, once.

        Raises:
            ShipstreamError: the call failed; `outcome` says whether it may have been carried out all the same.
        """
        if self._account.authentication == "basic":
            return await self._with_retries(call)
        fresh = self._session is None
        if fresh:
            await self._log_in()
        try:
            return await self._with_retries(call)
        except ShipstreamError as error:
            if error.code != SESSION_EXPIRED or fresh:
                raise
        await self._log_in()
        return await self._with_retries(call)

    async def _log_in(self) -> None:
        self._session = None
        result = await self._with_retries(login_call(self._account.username, self._account.api_key))
        if not isinstance(result, str) or not result:
            raise ShipstreamError(
                "ShipStream answered login without a session: check url of the account", outcome="undone"
            )
        self._session = result

    async def _with_retries(self, call: ApiCall) -> Any:
        """Repeats a call that was not carried out, or whose repeat is harmless; a denied access is final."""
        for tries in range(1, self._limits.tries_max + 1):
            try:
                return await self._once(call)
            except _TryAgainError as again:
                may_repeat = again.error.outcome == "undone" or call.is_harmless_twice
                pause_s = _pause_s(again.retry_after, tries)
                if not may_repeat or tries == self._limits.tries_max or pause_s > self._limits.wait_max_s:
                    raise again.error from again
                await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _once(self, call: ApiCall) -> Any:
        request_id = str(next(self._request_ids))
        answer = await self._exchange(call, request_body(call, request_id=request_id, session=self._session))
        secrets = (self._account.api_key, f"{self._account.username}:{self._account.api_key}", self._session or "")
        try:
            return read_answer(call, answer, request_id=request_id, secrets=secrets)
        except ShipstreamError as error:
            if error.code is None and (answer.status in _LIMITED or answer.status >= 500):
                raise _TryAgainError(error, answer.retry_after) from error
            raise

    async def _exchange(self, call: ApiCall, body: bytes) -> HttpAnswer:
        try:
            async with self._http.post(self._account.url, data=body, allow_redirects=False) as response:
                content = await self._bounded(response)
                self._on_exchange(Exchange(call.method, response.status, len(content)))
                retry_after = response.headers.get("Retry-After")
                return HttpAnswer(response.status, content, self._account.url, retry_after)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._on_exchange(Exchange(call.method, None, 0))
            raise _failure(error, self._account) from error

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for part in response.content.iter_any():
            content += part
            if len(content) > self._limits.answer_bytes_max:
                bound = f"more than {self._limits.answer_bytes_max} bytes"
                sentence = f"{self._account.url} answers {bound}: check url of the account"
                raise ShipstreamError(sentence, outcome="unknown")
        return bytes(content)


class _TryAgainError(Exception):
    """A failure that may pass by itself."""

    def __init__(self, error: ShipstreamError, retry_after: str | None = None) -> None:
        self.error = error
        self.retry_after = retry_after
        super().__init__()


@asynccontextmanager
async def open_api(
    account: Account, on_exchange: Callable[[Exchange], None], limits: CallLimits | None = None
) -> AsyncIterator[Api]:
    """The API of `account`; nothing goes out before the first call. `on_exchange` is given every request."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    if account.authentication == "basic":
        headers["Authorization"] = aiohttp.encode_basic_auth(account.username, account.api_key, "utf-8")
    timeout = aiohttp.ClientTimeout(total=account.answer_timeout_s, connect=_CONNECT_TIMEOUT_S)
    # No cookie and no variable of the environment (a proxy, a .netrc) has a say in where credentials go.
    # A connection for each request: one kept while a person thinks would be found closed in the middle of a change.
    async with aiohttp.ClientSession(
        timeout=timeout,
        headers=headers,
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as http:
        yield Api(http, account, on_exchange, limits or CallLimits())


def _pause_s(retry_after: str | None, tries: int) -> float:
    """The pause that the answer asks for, else a random part of a time that doubles."""
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9]) + random.uniform(0, _PAUSE_S)  # noqa: S311 spreads callers, guards nothing
    return random.uniform(0, _PAUSE_S * 2**tries)  # noqa: S311 the same


def _failure(error: Exception, account: Account) -> Exception:
    """The error for a request without a whole answer; where no connection came to be, nothing was carried out."""
    url = account.url
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        sentence = f"the certificate of {url} is not to be trusted, so nothing was sent: check url of the account"
        return ShipstreamError(sentence, outcome="undone")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _TryAgainError(_no_connection(url, error.os_error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _TryAgainError(ShipstreamError(f"cannot reach {url}: no connection in time", outcome="undone"))
    outcome: CallOutcome = "unknown"
    if isinstance(error, TimeoutError):
        sentence = f"{url} did not answer within {account.answer_timeout_s:g} s (answer_timeout_ms of the account)"
        return _TryAgainError(ShipstreamError(sentence, outcome=outcome))
    return _TryAgainError(ShipstreamError(f"{url} broke off in its answer: try again later", outcome=outcome))


def _no_connection(url: str, error: OSError) -> ShipstreamError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
    return ShipstreamError(f"cannot reach {url}: {reason}; check url of the account", outcome="undone")
