"""What the console shows of a stranger's body and headers: the shape, never a person's words, never a key."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.console.masking import clipped, masked_body, masked_headers


def test_a_body_shows_what_it_is_about_and_nobody() -> None:
    """Ids, statuses and structure are shown; names, addresses and telephone numbers are dots of their length."""
    body = orjson.dumps(
        {
            "topic": "order:created",
            "message": {
                "unique_id": "SO-100071",
                "order_ref": 100071,
                "customer": {"name": "Ada Lovelace", "phone": 441234567890, "vip": True, "note": None},
                "lines": [{"sku": "MUG-BLUE", "name": "Mug", "quantity": 2}],
            },
        }
    )
    assert orjson.loads(masked_body(body)) == {
        "topic": "order:created",
        "message": {
            "unique_id": "SO-100071",
            "order_ref": 100071,
            "customer": {
                "name": "•••• (12 characters)",
                "phone": "•••• (12 characters)",
                "vip": True,
                "note": None,
            },
            "lines": [{"sku": "MUG-BLUE", "name": "•••• (3 characters)", "quantity": 2}],
        },
    }


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b"<html>Ada, 1815</html>", "<xxxx>xxx, 0000</xxxx>"),
        (b"name=Ada&year=1815", "xxxx=xxx&xxxx=0000"),
        (b"\xff\xfe{", "��{"),
        ('{"status": "Ада & <b>"}'.encode(), '{\n  "status": "•••• (9 characters)"\n}'),
        (b'{"id": "ada@example.com"}', '{\n  "id": "•••• (15 characters)"\n}'),
        (b"441234567890", '"•••• (12 characters)"'),
    ],
)
def test_what_is_no_readable_message_shows_its_shape(body: bytes, shown: str) -> None:
    """Of no JSON letters and digits are levelled; a telling name does not let a person's words through."""
    assert masked_body(body) == shown


def test_huge_bodies_are_shown_in_part() -> None:
    """However large and deep, what is shown is small and says how large the whole is."""
    assert masked_body(b"x" * 1_000_000).endswith("… 1,000,000 bytes in all")
    assert len(masked_body(b"[" * 60_000 + b"]" * 60_000)) < 5_000
    many = masked_body(orjson.dumps({f"key-{number}": number for number in range(4_000)}))
    assert '"…": "3950 more"' in many
    assert len(many) < 3_000


@given(st.binary(max_size=2_000))
def test_every_body_can_be_shown(body: bytes) -> None:
    """Whatever the bytes, there is text."""
    masked_body(body).encode()


def test_headers_never_show_a_key() -> None:
    """A header that could let somebody in shows its length alone; the others are cut at a bound."""
    shown = masked_headers(
        (
            ("x-shipstream-hmac-sha256", b"c2VjcmV0"),
            ("x-api-key", b"secret"),
            ("convictional-signature", b"1,ab"),
            ("user-agent", b"curl/8"),
            ("x-long", b"y" * 9_000),
            ("x-bytes", b"\xff"),
        )
    )
    assert shown == [
        ("x-shipstream-hmac-sha256", "•••• (8 characters)"),
        ("x-api-key", "•••• (6 characters)"),
        ("convictional-signature", "•••• (4 characters)"),
        ("user-agent", "curl/8"),
        ("x-long", "y" * 400 + "… (9,000 characters)"),
        ("x-bytes", "�"),
    ]
    assert len(masked_headers(tuple((f"h{number}", b"") for number in range(128)))) == 60
    assert clipped("abc", 2) == "ab… (3 characters)"
