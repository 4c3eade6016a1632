"""Masks a stranger's request for a person on call: shows its shape, and the words that say what it is about.

Names, addresses and telephone numbers stay in the topic. Pure; whatever the bytes are, the answer is bounded text.
"""

import re
from typing import Any

import orjson

from schemas.delivery import Delivery
from schemas.records import Headers

_BODY_BYTES_MAX = 65_536
_SHAPE_CHARACTERS_MAX = 4_000
_ITEMS_MAX = 50
_DEPTH_MAX = 12
_KEY_CHARACTERS_MAX = 80
_VALUE_CHARACTERS_MAX = 80
_HEADERS_MAX = 60
_HEADER_CHARACTERS_MAX = 400

# Keys whose values say which message this is; never a person's words. Compared without case and separators.
# fmt: off
_SHOWN_KEYS = frozenset({
    "event", "eventtype", "type", "topic", "action", "status", "state", "statusid", "id", "orderid", "orderref",
    "reference", "sku", "uniqueid", "uuid", "variantid", "productid", "quantity", "qty", "available", "currency",
    "createdat", "updatedat", "timestamp", "time", "date", "version", "messageid", "webhookid",
    "webhookincrementid", "eventtimestamp", "merchantcode", "deliveryid",
    "incrementid", "sequence", "sequenceid", "carrier",
})
# fmt: on
_SECRET_HEADER = re.compile(
    r"signature|token|secret|hmac|auth|cookie|api-?key|password|session|credential", re.IGNORECASE
)
_PLAIN = re.compile(r"[\w .:+/#-]{0,80}")
_NUMBER_MAX = 999_999


def masked_body(body: bytes) -> str:
    """The body as indented JSON, every value that could name a person as dots; of no JSON only the shape is shown."""
    if not body:
        return ""
    if len(body) <= _BODY_BYTES_MAX:
        try:
            tree = orjson.loads(body)
            return orjson.dumps(_masked(tree, "", 0), option=orjson.OPT_INDENT_2).decode()
        except (ValueError, TypeError):
            pass
    return _shape(body)


def masked_headers(headers: Headers) -> list[tuple[str, str]]:
    """The request's headers, names as they came; the values of secret headers as dots."""
    return [(_clip(name, _KEY_CHARACTERS_MAX), _header_value(name, value)) for name, value in headers[:_HEADERS_MAX]]


def clipped(text: object, limit: int = 200) -> str:
    """`text` of a stranger, at most `limit` characters and a note of its length."""
    return _clip(str(text), limit)


def facts_of(delivery: Delivery) -> list[tuple[str, str]]:
    """The facts that the ingress noted of the request."""
    return [
        ("delivery", _clip(delivery.id, _VALUE_CHARACTERS_MAX)),
        ("provider", _clip(delivery.provider, _VALUE_CHARACTERS_MAX)),
        ("from address", _clip(delivery.remote, _VALUE_CHARACTERS_MAX)),
        ("body", f"{len(delivery.body):,} bytes"),
    ]


def _masked(value: Any, key: str, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        shown = {
            _clip(name, _KEY_CHARACTERS_MAX): _masked(one, name, depth + 1)
            for name, one in list(value.items())[:_ITEMS_MAX]
        }
        return shown | ({"…": f"{len(value) - _ITEMS_MAX} more"} if len(value) > _ITEMS_MAX else {})
    if isinstance(value, list):
        shown_items = [_masked(one, key, depth + 1) for one in value[:_ITEMS_MAX]]
        return shown_items + ([f"… {len(value) - _ITEMS_MAX} more"] if len(value) > _ITEMS_MAX else [])
    if isinstance(value, str):
        return value if _is_shown(key) and _PLAIN.fullmatch(value) else _dots(len(value))
    if isinstance(value, bool) or value is None:
        return value
    return value if _is_shown(key) or abs(value) <= _NUMBER_MAX else _dots(len(str(value)))


def _is_shown(key: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", key.lower()) in _SHOWN_KEYS


def _dots(length: int) -> str:
    return f"•••• ({length} characters)" if length else ""


def _shape(body: bytes) -> str:
    text = body[:_SHAPE_CHARACTERS_MAX].decode("utf-8", "replace")
    shape = re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))
    note = f"\n… {len(body):,} bytes in all" if len(body) > _SHAPE_CHARACTERS_MAX else ""
    return shape + note


def _header_value(name: str, value: bytes) -> str:
    if _SECRET_HEADER.search(name):
        return _dots(len(value))
    return _clip(value.decode("utf-8", "replace"), _HEADER_CHARACTERS_MAX)


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"
