"""`schemas.notes.rules`: what topic `rules` says is read as it was written; digests give no secret away."""

import pytest

from schemas.notes.rules import RulesNote, RulesVersion, digest_of, read_rules, rules_records, secret_digest
from schemas.secrets import Secret

RULES = RulesVersion(
    version="0.1.0",
    code="c0de",
    settings="5e77",
    common="c033",
    endpoints={"acme": "e0d9"},
    partitions={"orders": 12},
)


def test_rules_and_their_note_are_read_as_written() -> None:
    """The first record holds the rules under their digest, the second says from which offset on they count."""
    rules, note = rules_records(RULES, "raw", 3, 1041)
    assert (rules.topic, rules.key) == ("rules", RULES.digest.encode())
    assert read_rules(rules.key, rules.value) == RULES
    assert note.key == b"raw/3/1041"
    assert read_rules(note.key, note.value) == RulesNote("raw", 3, 1041, RULES.digest)


@pytest.mark.parametrize("key", [None, b"digest", b"raw/3/1041"])
@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"{}"])
def test_what_another_producer_wrote_says_nothing(key: bytes | None, value: bytes | None) -> None:
    """Reading is total: any other record gives None, and never an error."""
    assert read_rules(key, value) is None


def test_a_digest_tells_two_secrets_apart_and_shows_none() -> None:
    """Another secret has another digest, and no digest holds a part of its secret."""
    one, other = (Secret("env:S", value) for value in (b"first-secret", b"other-secret"))
    assert secret_digest(one) != secret_digest(other)
    assert secret_digest(one) == secret_digest(Secret("file:elsewhere", b"first-secret"))
    assert "secret" not in secret_digest(one)
    assert len(secret_digest(one)) == 24


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """The same settings, written in another order, are the same rules."""
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of({"a": 1, "b": [2, 3]}) != digest_of({"a": 1, "b": [3, 2]})
