"""`processors.deliver.signatures`: one spelling of one MAC passes; everything else is told why not.

The MACs here were made by the openssl command line.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.deliver.signatures import (
    SIGNATURES_MAX,
    Claim,
    base64_text,
    hex_text,
    judge,
    mac,
    segments,
    single_header,
)
from schemas.delivery import Delivery
from schemas.notes.rejections import Reason, Rejection
from schemas.secrets import Secret
from schemas.sections.endpoints import SignaturePolicy, SigningSecret
from schemas.vocabulary import SignatureStatus

RECEIVED = datetime(2025, 12, 1, 10, 0, tzinfo=UTC)
BODY = b'{"topic":"test:ping","message":{"webhook_increment_id":1}}'
KEY = b"2RUJ8NXLnLRrAj3"
BASE64 = b"06BJwgeZTfecvcY1w/TpR1asmYdbePbUmzYVBPZWkoI="
HEX = b"d3a049c207994df79cbdc635c3f4e94756ac99875b78f6d49b361504f6569282"


def secret(value: bytes = KEY, *, name: str = "env:KEY", expires: datetime | None = None) -> SigningSecret:
    return SigningSecret.model_construct(value=Secret(name, value), expires=expires)


def claim(*signatures: bytes, message: bytes = BODY, timestamp: datetime | None = None) -> Claim:
    return Claim(signatures, message, (base64_text, hex_text), timestamp)


def verdict(
    what: Claim | Rejection | None,
    *secrets: SigningSecret,
    policy: SignaturePolicy = "require",
    tolerance_s: int = 0,
) -> SignatureStatus | Reason:
    judged = judge(what, secrets=secrets, policy=policy, tolerance_s=tolerance_s, received_at=RECEIVED)
    return judged.reason if isinstance(judged, Rejection) else judged


def delivery(*values: bytes) -> Delivery:
    headers = tuple(("x-signature", value) for value in values)
    return Delivery("id", "provider", "endpoint", RECEIVED, "192.0.2.1", headers, BODY)


def test_the_mac_is_the_one_that_openssl_makes() -> None:
    """HMAC-SHA256 of the exact bytes, in standard base64 and in lower-case hex."""
    assert base64_text(mac(KEY, BODY)) == BASE64
    assert hex_text(mac(KEY, BODY)) == HEX


@pytest.mark.parametrize("signature", [BASE64, HEX])
@pytest.mark.parametrize("policy", ["require", "verify-if-present"])
def test_a_right_signature_is_verified(signature: bytes, policy: SignaturePolicy) -> None:
    """One right signature among several claimed, by one right secret among several, is enough."""
    assert verdict(claim(signature), secret(), policy=policy) is SignatureStatus.VERIFIED
    assert verdict(claim(b"x", signature), secret(b"other"), secret(), policy=policy) is SignatureStatus.VERIFIED


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"x",
        HEX.upper(),
        BASE64.rstrip(b"="),
        BASE64.replace(b"/", b"_"),
        BASE64[:-2] + b"J=",
        BASE64 + b"\n",
        b"sha256=" + HEX,
        "ñ".encode(),
        b"\xff\x00",
    ],
)
@pytest.mark.parametrize("policy", ["require", "verify-if-present"])
def test_any_other_spelling_is_invalid(signature: bytes, policy: SignaturePolicy) -> None:
    """A decoder would forgive some of these; a present signature that is not the one right text is refused."""
    assert verdict(claim(signature), secret(), policy=policy) is Reason.SIGNATURE_INVALID


def test_without_a_claim_the_policy_decides() -> None:
    """Absent is never valid: missing where one is required, marked where it is not."""
    assert verdict(None, secret()) is Reason.SIGNATURE_MISSING
    assert verdict(None, secret(), policy="verify-if-present") is SignatureStatus.UNSIGNED


def test_a_malformed_claim_is_refused_whatever_the_policy() -> None:
    """What the provider's file has already refused stays refused, with its own reason."""
    malformed = Rejection(Reason.SIGNATURE_INVALID, "two headers")
    assert judge(malformed, secrets=[], policy="verify-if-present", tolerance_s=0, received_at=RECEIVED) is malformed


def test_without_secrets_nothing_is_verified() -> None:
    """An endpoint without secrets cannot prove a sender."""
    assert verdict(claim(BASE64), policy="verify-if-present") is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (RECEIVED + timedelta(microseconds=1), SignatureStatus.VERIFIED),
        (RECEIVED, Reason.SECRET_EXPIRED),
        (RECEIVED - timedelta(days=1), Reason.SECRET_EXPIRED),
    ],
)
def test_a_secret_ends_at_its_expiry(expires: datetime, expected: SignatureStatus | Reason) -> None:
    """Measured at receipt: valid before, expired from the very moment on, and told from a wrong one."""
    assert verdict(claim(BASE64), secret(b"other"), secret(expires=expires)) is expected


def test_an_expired_secret_that_is_also_listed_without_expiry_is_good() -> None:
    """One valid listing of the secret is enough."""
    assert verdict(claim(BASE64), secret(expires=RECEIVED), secret()) is SignatureStatus.VERIFIED


def test_a_rejection_names_the_reference_and_never_the_secret() -> None:
    """Neither secret nor body enters the sentence."""
    for secrets in ([secret(expires=RECEIVED)], [secret(b"another-key")]):
        judged = judge(claim(BASE64), secrets=secrets, policy="require", tolerance_s=0, received_at=RECEIVED)
        assert isinstance(judged, Rejection)
        assert not [word for word in (KEY, b"another-key", BODY, BASE64) if word.decode() in judged.detail]


@pytest.mark.parametrize(
    ("age_s", "tolerance_s", "expected"),
    [
        (0, 300, SignatureStatus.VERIFIED),
        (300, 300, SignatureStatus.VERIFIED),
        (-300, 300, SignatureStatus.VERIFIED),
        (301, 300, Reason.TIMESTAMP_OUTSIDE_TOLERANCE),
        (-301, 300, Reason.TIMESTAMP_OUTSIDE_TOLERANCE),
        (10**6, 0, SignatureStatus.VERIFIED),
    ],
)
def test_the_signed_time_counts_where_a_tolerance_is_set(
    age_s: int, tolerance_s: int, expected: SignatureStatus | Reason
) -> None:
    """Too old and too far ahead alike; a tolerance of nought is off."""
    signed = claim(BASE64, timestamp=RECEIVED - timedelta(seconds=age_s))
    assert verdict(signed, secret(), tolerance_s=tolerance_s) is expected


def test_a_tolerance_needs_a_time_and_a_right_signature_first() -> None:
    """No time is outside any tolerance; a wrong signature is told as such, whatever its time."""
    assert verdict(claim(BASE64), secret(), tolerance_s=300) is Reason.TIMESTAMP_OUTSIDE_TOLERANCE
    assert verdict(claim(b"x", timestamp=RECEIVED), secret(), tolerance_s=300) is Reason.SIGNATURE_INVALID


def test_a_header_counts_once() -> None:
    """No header, one value trimmed of blanks, or a refusal."""
    assert single_header(delivery(), "x-signature") is None
    assert single_header(delivery(b" abc\t"), "x-signature") == b"abc"
    assert single_header(delivery(b""), "x-signature") == b""
    doubled = single_header(delivery(b"abc", b"abc"), "x-signature")
    assert isinstance(doubled, Rejection)
    assert doubled.reason is Reason.SIGNATURE_INVALID


def test_segments_are_trimmed_and_bounded() -> None:
    """Commas part signatures, blanks do not count, and a header of commas buys no processor time."""
    assert segments(b"a, b ,\tc") == (b"a", b"b", b"c")
    assert segments(b"") == (b"",)
    assert segments(b",".join([b"x"] * 1_000)) == (b"x",) * SIGNATURES_MAX


@given(st.binary(), st.binary(min_size=1), st.sampled_from([base64_text, hex_text]))
def test_what_is_signed_is_verified(body: bytes, key: bytes, encode: Callable[[bytes], bytes]) -> None:
    """Any body under any key."""
    assert verdict(claim(encode(mac(key, body)), message=body), secret(key)) is SignatureStatus.VERIFIED


@given(st.binary(), st.binary(), st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_another_body_or_another_key_is_refused(body: bytes, other: bytes, key: bytes, other_key: bytes) -> None:
    """A signature holds for its own body and key only."""
    signature = hex_text(mac(key, body))
    # HMAC fills a key up with zero bytes, so that keys which differ in those alone are one key (RFC 2104).
    assume(body != other and key.rstrip(b"\0") != other_key.rstrip(b"\0"))
    assert verdict(claim(signature, message=other), secret(key)) is Reason.SIGNATURE_INVALID
    assert verdict(claim(signature, message=body), secret(other_key)) is Reason.SIGNATURE_INVALID


@given(st.lists(st.binary(), max_size=20))
def test_no_claimed_signature_is_an_error(signatures: list[bytes]) -> None:
    """Any bytes are refused in peace."""
    assume(BASE64 not in signatures and HEX not in signatures)
    assert verdict(claim(*signatures), secret()) is Reason.SIGNATURE_INVALID
