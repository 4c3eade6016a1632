"""Whether a delivery is from the sender that it names: HMAC-SHA256 over the exact bytes, compared in constant time.

Expected signatures are made and compared as text, so that exactly one spelling is right: a decoder that forgives
(upper-case hex, spare base64 bits) would let a changed signature pass.
"""

import base64
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

from schemas.delivery import Delivery
from schemas.fast_frozen import fast_frozen
from schemas.notes.rejections import Reason, Rejection
from schemas.sections.endpoints import SignaturePolicy, SigningSecret
from schemas.vocabulary import SignatureStatus

# More than any account has keys; a header full of commas must not buy processor time.
SIGNATURES_MAX = 16


@fast_frozen()
class Claim:
    """What a delivery claims: one of `signatures` (text as received) is the MAC of `message`, in one of `encodings`.

    `timestamp` is the signed time where there is one, aware; it counts only where the endpoint has a tolerance.
    """

    signatures: tuple[bytes, ...]
    message: bytes
    encodings: tuple[Callable[[bytes], bytes], ...]
    timestamp: datetime | None = None


def hex_text(mac: bytes) -> bytes:
    """Lower-case hex."""
    return mac.hex().encode()


def base64_text(mac: bytes) -> bytes:
    """Base64 with padding, the standard alphabet."""
    return base64.b64encode(mac)


def mac(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    return hmac.digest(secret, message, "sha256")


def single_header(delivery: Delivery, name: str) -> bytes | Rejection | None:
    """The one value of the signature header `name` (lower case), trimmed; None without one, a rejection for several."""
    values = delivery.values_of(name)
    if not values:
        return None
    if len(values) > 1:
        return Rejection(Reason.SIGNATURE_INVALID, f"{len(values)} headers {name}; one is expected")
    return values[0].strip(b" \t")


def list_header(delivery: Delivery, name: str) -> bytes | None:
    """The value of the signature header `name` (lower case), which is a list; None without one.

    A sender or proxy may write the parts of a list into lines of their own: RFC 9110 section 5.3.
    """
    values = delivery.values_of(name)
    return b",".join(values).strip(b" \t") if values else None


def segments(value: bytes) -> tuple[bytes, ...]:
    """The comma-separated parts of a header's value, trimmed, at most SIGNATURES_MAX."""
    return tuple([part.strip(b" \t") for part in value.split(b",", SIGNATURES_MAX)[:SIGNATURES_MAX]])


def judge(
    claim: Claim | Rejection | None,
    *,
    secrets: Sequence[SigningSecret],
    policy: SignaturePolicy,
    tolerance_s: int,
    received_at: datetime,
) -> SignatureStatus | Rejection:
    """Whether the claim holds at `received_at`, not at the time of the clock, so that a replay judges the same."""
    if isinstance(claim, Rejection):
        return claim
    if claim is None:
        if policy == "verify-if-present":
            return SignatureStatus.UNSIGNED
        return Rejection(Reason.SIGNATURE_MISSING, "the delivery carries no signature and the endpoint requires one")
    expired: SigningSecret | None = None
    for secret in secrets:
        if _matches(claim, secret.value.value):
            if secret.expires is None or secret.expires > received_at:
                return _judge_age(claim, tolerance_s, received_at)
            expired = expired or secret
    if expired is not None:
        return Rejection(Reason.SECRET_EXPIRED, f"signed with {expired.value}, which has expired")
    return Rejection(Reason.SIGNATURE_INVALID, f"no signature is by a secret of this endpoint ({len(secrets)} known)")


def _matches(claim: Claim, secret: bytes) -> bool:
    digest = mac(secret, claim.message)
    for encode in claim.encodings:
        expected = encode(digest)
        for signature in claim.signatures:
            if hmac.compare_digest(expected, signature):
                return True
    return False


def _judge_age(claim: Claim, tolerance_s: int, received_at: datetime) -> SignatureStatus | Rejection:
    if not tolerance_s:
        return SignatureStatus.VERIFIED
    if claim.timestamp is None:
        return Rejection(Reason.TIMESTAMP_OUTSIDE_TOLERANCE, "the signature carries no time that can be read")
    age_s = (received_at - claim.timestamp).total_seconds()
    if abs(age_s) > tolerance_s:
        return Rejection(
            Reason.TIMESTAMP_OUTSIDE_TOLERANCE, f"signed {age_s:.0f} s before receipt; {tolerance_s} s are allowed"
        )
    return SignatureStatus.VERIFIED
