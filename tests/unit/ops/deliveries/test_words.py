"""What a person typed into the search, understood."""

import pytest

from ops.deliveries.words import DeliveryWords, EventWords, IdWords, PlaceWords, Words, read_words

PREFIX = "dropstream."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", None),
        ("   ", None),
        ("3:17", PlaceWords("raw", 3, 17)),
        ("3/17", PlaceWords("raw", 3, 17)),
        ("dropstream.raw/3/17", PlaceWords("raw", 3, 17)),
        ("orders:0:5", PlaceWords("orders", 0, 5)),
        ("rejected 1:2", PlaceWords("rejected", 1, 2)),
        (
            "019a21e6-4fcb-7654-828a-56949e657eb4",
            DeliveryWords("019a21e6-4fcb-7654-828a-56949e657eb4", 1_761_505_333_195),
        ),
        ("6F0A3C5E-52A1-5D0E-9C1B-7F1F4F0F6D11", EventWords("6f0a3c5e-52a1-5d0e-9c1b-7f1f4f0f6d11")),
        ("6f0a3c5e-52a1-4d0e-9c1b-7f1f4f0f6d11", IdWords("6f0a3c5e-52a1-4d0e-9c1b-7f1f4f0f6d11")),
        (" 100000015 ", IdWords("100000015")),
    ],
)
def test_each_kind_of_word_is_told_from_the_others(text: str, words: Words | None) -> None:
    """A place, a delivery's id with its time, an event's id; whatever else is an id of somebody."""
    assert read_words(text, PREFIX) == words


@pytest.mark.parametrize(
    ("text", "said"), [("x" * 301, "300 characters"), ("gaps/0/1", "no deliveries lie in a topic")]
)
def test_what_cannot_be_searched_for_is_said(text: str, said: str) -> None:
    """Too long a text, and a topic without deliveries, get a sentence."""
    with pytest.raises(ValueError, match=said):
        read_words(text, PREFIX)


def test_an_id_is_looked_for_as_json_writes_it() -> None:
    """Quotes and slashes escaped or not, letters beyond ASCII as they are or escaped."""
    assert IdWords("100000015").needles == (b"100000015",)
    assert IdWords("A/1").needles == (b"A/1", b"A\\/1")
    assert IdWords('ñ"').needles == ('ñ\\"'.encode(), b'\\u00f1\\"')
    assert IdWords("\N{GRINNING FACE}").needles == ("\N{GRINNING FACE}".encode(), b"\\ud83d\\ude00")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17", 17),
        ("0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", None),
        ("-1", None),
        ("٣", None),
    ],
)
def test_a_sequence_number_is_one_of_64_bits(text: str, number: int | None) -> None:
    """Any other text is no sequence number."""
    assert IdWords(text).sequence == number
