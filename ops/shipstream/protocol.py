"""JSON-RPC as ShipStream speaks it: a call becomes bytes, an HTTP answer becomes a result or an error. Pure.

https://docs.shipstream.io/merchant-api/introduction
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from ops.screen import printable
from ops.shipstream.errors import CallOutcome, ShipstreamError, refusal

_WORDS_CHARACTERS_MAX = 300
_SHORTEST_SECRET = 4
_MASK = "***"
# What a method that only reads is called, whatever it reads.
_READING = frozenset({"list", "search", "info", "detailed"})


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of an API method; its arguments go by position. `secrets` are texts that no person may be shown."""

    method: str
    arguments: Sequence[object] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_harmless_twice(self) -> bool:
        """Whether a repeat changes nothing, even if the first one was carried out."""
        return self.method == "login" or self.method.rpartition(".")[2] in _READING


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer; `url` is that of the API, `retry_after` the header as it came."""

    status: int
    body: bytes = field(repr=False)
    url: str
    retry_after: str | None = None


def login_call(username: str, api_key: str) -> ApiCall:
    """The call that gives a session."""
    return ApiCall("login", (username, api_key), (api_key,))


def request_body(call: ApiCall, *, request_id: str, session: str | None) -> bytes:
    """The JSON of a request.

    There are two procedures only, and every API method goes through `call`. The documentation's text wants the version
    "2.0", its samples show the number; the vendor's own client sends the text (github.com/ShipStream/middleware,
    lib/Middleware/JsonClient.php). Without a session its place holds null, for HTTP Basic speaks for us.
    """
    if call.method == "login":
        procedure, params = "login", list(call.arguments)
    else:
        procedure, params = "call", [session, call.method, list(call.arguments)]
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": procedure, "params": params})


def read_answer(call: ApiCall, answer: HttpAnswer, *, request_id: str, secrets: Sequence[str] = ()) -> Any:
    """The result that `answer` holds.

    The body decides, not the content type, for none is documented; and an error object counts whatever the status.

    Raises:
        ShipstreamError: the answer holds no result, is not for this request, or is an error.
    """
    body = _json_object(answer.body)
    if body is not None and body.get("error"):
        raise _refused(call, body["error"], (*secrets, *call.secrets))
    # The documented answers of create, update_status and delete carry no id at all.
    if body is not None and body.get("id") is not None and str(body["id"]) != request_id:
        raise _unreadable(f"{answer.url} answered another request than {call.method}")
    if answer.status != 200:
        raise _bad_status(call, answer)
    if body is None:
        raise _unreadable(_what_it_is_instead(answer))
    if "result" not in body:
        raise _unreadable(f"{answer.url} answered {call.method} with neither result nor error")
    return body["result"]


def harmless(text: str, secrets: Sequence[str]) -> str:
    """`text` of a stranger on one line, not too long, without `secrets`."""
    spellings = {spelling for secret in secrets for spelling in _spellings(secret) if len(secret) >= _SHORTEST_SECRET}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, _MASK)
    short = printable(text)
    return short if len(short) <= _WORDS_CHARACTERS_MAX else short[:_WORDS_CHARACTERS_MAX] + " ..."


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it is, and as JSON, as a URL and as base64 hold it."""
    yield secret
    for ascii_only in (False, True):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")  # as PHP writes it
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode()


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _refused(call: ApiCall, error: object, secrets: Sequence[str]) -> ShipstreamError:
    held = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
    code = str(held.get("code"))
    number = int(code) if re.fullmatch(r"-?\d{1,9}", code, re.ASCII) else None
    message = held.get("message")
    words = harmless(message, secrets) if isinstance(message, str) else ""
    if number is None:
        said = f": {words}" if words else ""
        return ShipstreamError(f"ShipStream refused {call.method} without a code{said}", outcome="unknown")
    return refusal(call.method, number if number >= 0 else -32_000 - number, words)


def _bad_status(call: ApiCall, answer: HttpAnswer) -> ShipstreamError:
    status, url = answer.status, answer.url
    if status in {401, 403}:
        return refusal(call.method, 2, f"HTTP {status}")
    if status == 404:
        return ShipstreamError(f"{url} answered 404: check url of the account", outcome="undone")
    if 300 <= status < 400:
        sentence = f"{url} sends elsewhere (HTTP {status}), and credentials do not follow; set url to the final address"
        return ShipstreamError(sentence, outcome="undone")
    if status == 429:
        wait = f" for {answer.retry_after} s" if (answer.retry_after or "").isdigit() else ""
        return ShipstreamError(
            f"{url} limits the rate of calls (HTTP 429): wait{wait}, then try again", outcome="undone"
        )
    if status == 409:
        return ShipstreamError(f"{url} has too many calls at once (HTTP 409): try again later", outcome="undone")
    outcome: CallOutcome = "unknown" if status >= 500 or status < 300 else "undone"
    return ShipstreamError(f"{url} answered {call.method} with HTTP {status}: try again later", outcome=outcome)


def _unreadable(sentence: str) -> ShipstreamError:
    return ShipstreamError(sentence, outcome="unknown")


def _what_it_is_instead(answer: HttpAnswer) -> str:
    start = answer.body.lstrip()[:1]
    if not start:
        return f"{answer.url} answered nothing at all: try again later"
    if start == b"<":
        return f"{answer.url} answered a web page, not JSON: check that url is the instance's own address"
    if start == b"{":
        return f"{answer.url} answered JSON that is broken or cut off: try again later"
    return f"{answer.url} answered something that is no JSON-RPC: check url of the account"
