"""A body is read once and exactly: no digit is lost, and what cannot be read is rejected with a reason."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.deliver.fields import decimal_text, text_id
from processors.deliver.parse import parse
from processors.deliver.provider import Message
from schemas.delivery import Delivery
from schemas.events import exact_json
from schemas.notes.rejections import Reason, Rejection


def read(body: bytes) -> Message | Rejection:
    return parse(Delivery("id", "shipstream", "a", datetime(2026, 5, 21, tzinfo=UTC), "192.0.2.1", (), body))


def message(body: bytes) -> Message:
    found = read(body)
    assert isinstance(found, Message)
    return found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.BODY_NOT_JSON),
        (b"not json", Reason.BODY_NOT_JSON),
        (b'{"a": NaN}', Reason.BODY_NOT_JSON),
        (b"\xef\xbb\xbf", Reason.BODY_NOT_JSON),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', Reason.BODY_NOT_JSON),
        (b'{"a": "\xff"}', Reason.BODY_NOT_JSON),
        (b"[]", Reason.BODY_UNRECOGNISED),
        (b'"text"', Reason.BODY_UNRECOGNISED),
        (b"7", Reason.BODY_UNRECOGNISED),
        (b'{"a":' + b"[" * 128 + b"]" * 128 + b"}", Reason.BODY_UNRECOGNISED),
    ],
)
def test_what_cannot_be_read_is_rejected(body: bytes, reason: Reason) -> None:
    """Each kind of unreadable body has its reason, and the detail quotes none of it."""
    found = read(body)
    assert isinstance(found, Rejection)
    assert found.reason is reason
    assert "text" not in found.detail


def test_a_body_of_128_levels_is_read() -> None:
    """The limit on nesting is a limit and not one less."""
    assert message(b'{"a":' + b"[" * 127 + b"]" * 127 + b"}").body["a"]


@pytest.mark.parametrize(
    ("number", "text"),
    [("2.50", "2.50"), ("-0.10", "-0.10"), ("12345678901234567890123", "12345678901234567890123"), ("7", "7")],
)
def test_a_number_keeps_its_digits(number: str, text: str) -> None:
    """A figure comes out with the digits that it came in with, as text and in the payload's part."""
    part = message(f'{{"entry": {{"figure": {number}}}}}'.encode()).body["entry"]
    assert decimal_text(part["figure"]) == text
    assert exact_json(part) == f'{{"figure":{number}}}'.encode()


def test_a_large_whole_number_is_an_id() -> None:
    """Two ids beyond 64 bits that differ in their last digit stay two ids."""
    body = message(b'{"a": 123456789012345678901, "b": 123456789012345678902}').body
    assert text_id(body["a"]) == "123456789012345678901"
    assert text_id(body["b"]) == "123456789012345678902"


@pytest.mark.parametrize("number", ["1e400", "1e-400", "9" * 65, "1e99999999999999999999"])
def test_a_monstrous_number_is_no_figure(number: str) -> None:
    """A number that no stock and no price has is none, and costs nothing."""
    found = read(f'{{"figure": {number}}}'.encode())
    if isinstance(found, Message):
        assert decimal_text(found.body["figure"]) is None


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["", " ", "\n\t", "\r"]),
    st.sampled_from(['{"a":%s}', '{"a":[%s]}', '{"a":[%s,1]}']),
)
def test_every_way_to_write_a_number_is_read_exactly(number: str, space: str, place: str) -> None:
    """Fraction, exponent, length: none loses a digit, whatever stands around it."""
    read_back = message((place % f"{space}{number}{space}").encode()).body["a"]
    figure = read_back[0] if isinstance(read_back, list) else read_back
    assert Decimal(exact_json(figure).decode()) == Decimal(number)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_exact_reading_agrees_with_the_plain_one(value: object) -> None:
    """Reading exactly changes numbers' types, never what is there."""
    body = exact_json({"value": value})
    assert orjson.loads(exact_json(message(body).body)) == orjson.loads(body)
