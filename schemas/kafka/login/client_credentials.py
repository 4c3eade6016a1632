"""A token by OAuth 2.0's client credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4"""

import re
from urllib.parse import quote_plus

import aiohttp
import orjson

from schemas.kafka.login.token_errors import TokenRefusedError
from schemas.sections.kafka import KafkaSettings

_WITHIN_S = 10.0
_ANSWER_BYTES_MAX = 65_536
# Where the server does not say how long it is good: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
_GOOD_FOR_S = 60.0
# An error of the specification (section 5.2) is a word; anything else may be the secret.
_ERROR_WORD = re.compile(r"[a-z_]{1,40}")


async def fetch_token(kafka: KafkaSettings) -> tuple[str, float]:
    """A token, and for how many seconds it is good.

    Raises:
        TokenRefusedError: the server is away, refuses, or answers something else.
    """
    if kafka.token_url is None or kafka.token_client_id is None or kafka.token_client_secret is None:
        raise TokenRefusedError("token_url, token_client_id and token_client_secret are needed")
    # Section 2.3.1: both parts are form-encoded before they are joined.
    client = aiohttp.encode_basic_auth(
        quote_plus(kafka.token_client_id), quote_plus(kafka.token_client_secret.value), "utf-8"
    )
    form = {"grant_type": "client_credentials"}
    if kafka.token_scope:
        form["scope"] = kafka.token_scope
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN_S)) as session,
            session.post(
                kafka.token_url, data=form, headers={"Authorization": client}, allow_redirects=False
            ) as response,
        ):
            return _read(response.status, await _whole(response))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise TokenRefusedError(f"it cannot be reached ({type(error).__name__})") from None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, which may come in parts; cut where it is longer than any answer with a token."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _ANSWER_BYTES_MAX:
            break
    return bytes(body)


def _read(status: int, body: bytes) -> tuple[str, float]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = {}
    found = answer if isinstance(answer, dict) else {}
    token, good_for_s = found.get("access_token"), found.get("expires_in", _GOOD_FOR_S)
    if status == 200 and isinstance(token, str) and token:
        return token, float(good_for_s) if isinstance(good_for_s, int | float) else _GOOD_FOR_S
    word = str(found.get("error", ""))
    raise TokenRefusedError(f"it answers {status}{f', {word}' if _ERROR_WORD.fullmatch(word) else ''}")
