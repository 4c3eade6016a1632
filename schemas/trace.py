"""W3C trace context, as far as a delivery carries it: one `traceparent`, valid or not there.

https://www.w3.org/TR/trace-context/#traceparent-header. Nothing here records a trace; `ops/tracing/` does, where asked.
"""

import re
from collections.abc import Sequence

TRACEPARENT = "traceparent"
TRACEPARENT_PATTERN = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"

# Section 3.2.2: an id of zeros is none.
_VERSION_0 = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Section 4.1: of a later version the first four fields are read, and go on as those of version 00.
_LATER = re.compile(r"(?!00|ff)[0-9a-f]{2}-(?P<ids>[0-9a-f]{32}-[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?")
_CHARACTERS_MAX = 512


def read_traceparent(values: Sequence[bytes]) -> str:
    """The one valid `traceparent` among a message's headers of that name; "" where there is none, or more than one."""
    if len(values) != 1 or len(values[0]) > _CHARACTERS_MAX:
        return ""
    text = values[0].strip(b" \t").decode("latin-1")
    later = _LATER.fullmatch(text)
    if later:
        text = f"00-{later['ids']}-{int(later['flags'], 16) & 1:02x}"
    return text if _VERSION_0.fullmatch(text) else ""


def sampled_traceparent(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """The `traceparent` of a record whose trace is recorded; "" where there is none, or its flag says not to record."""
    text = read_traceparent([content or b"" for name, content in headers if name == TRACEPARENT])
    return text if text and int(text[-2:], 16) & 1 else ""


def begun_traceparent(random: bytes) -> str:
    """The `traceparent` of a trace that begins here; `random` is 24 bytes.

    It says `sampled`, for a consumer whose tracing follows its parent would otherwise record nothing, ever.
    """
    trace_id, parent_id = random[:16].hex(), random[16:24].hex()
    return f"00-{trace_id}-{parent_id}-01" if any(random[:16]) and any(random[16:24]) else f"00-{1:032x}-{1:016x}-01"
