"""A compressed body is inflated, within bounds: RFC 9110 section 8.4 lets a sender compress, and some proxies do.

The ingress never looks into a body, so `raw` holds it as it was sent. Only what the standard library inflates is
inflated; any other coding is told by its name.
"""

import re
import zlib

from schemas.delivery import Delivery

# `wbits` of zlib: 32 more than the largest window finds gzip and zlib by their first bytes.
_GZIP_OR_ZLIB = 47
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
# JSON of a shop shrinks to a tenth, a list of like entries to a hundredth. What shrinks to less is made to harm.
RATIO_MAX = 200
# RFC 9110 section 5.6.2; a stranger's text, so nothing else of it is told.
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_|~, -]{1,40}")


def coding_of(delivery: Delivery) -> str | None:
    """The content coding that the delivery names, in lower case; None where it names none."""
    named = b",".join(delivery.values_of("content-encoding")).decode("latin-1").strip().lower()
    if named in {"", "identity"}:
        return None
    return named if _NAME.fullmatch(named) else "unreadable"


def inflated(delivery: Delivery, bytes_max: int) -> bytes | None:
    """The body without its compression.

    None where it names no coding, one that is not known here, or is not what it says; where it would be larger than
    `bytes_max`, or more than `RATIO_MAX` times its size.
    """
    if coding_of(delivery) not in _CODINGS or not delivery.body:
        return None
    allowed = min(bytes_max, RATIO_MAX * len(delivery.body))
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        # One byte more than allowed tells a body that is too large.
        text = inflater.decompress(delivery.body, allowed + 1)
    except zlib.error:
        return None
    is_whole = inflater.eof and not inflater.unused_data
    return text if is_whole and len(text) <= allowed else None
