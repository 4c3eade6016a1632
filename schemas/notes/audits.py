"""The records of the compacted topic `audit-state`: how the last audit ended, and where the last clean one ended.

Only audits of everything count: from the beginning, or from where the last clean one ended, to the present end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson
from pydantic import TypeAdapter

from schemas.notes.formats import expect_known, numbered

FORMAT = 1
Status = Literal["clean", "exceptions", "unknown"]

RESULT_KEY = b"last"
CHECKPOINT_KEY = b"clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """How the last audit ended; `finished_at` is RFC 3339 UTC."""

    finished_at: str
    status: Status
    deliveries: int
    pending: int
    exceptions: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the next audit goes on. `looked_at` is when the clean one looked at the ends of the topics, RFC 3339 UTC.

    `raw` are the next offsets by partition. `begins` and `ends` are offsets of the outputs, by topic (short name) and
    partition: from `begins` on there may be records of deliveries that were not judged yet, and from `ends` on there
    are records that were never read. `replays` are the ids of the replays and redrives that were judged to their end.
    """

    looked_at: str
    raw: Mapping[int, int]
    begins: Mapping[str, Mapping[int, int]]
    ends: Mapping[str, Mapping[int, int]]
    replays: Sequence[str]


_RESULT = TypeAdapter(AuditResult)
_CHECKPOINT = TypeAdapter(Checkpoint)


def write(state: AuditResult | Checkpoint) -> bytes:
    """The value of a record that `read_result` or `read_checkpoint` reads."""
    return numbered(orjson.dumps(state, option=orjson.OPT_NON_STR_KEYS), FORMAT)


def read_result(value: bytes | None) -> AuditResult | None:
    """The result that a record holds; None for whatever else another producer wrote there.

    Raises:
        NewerFormatError: a newer version wrote it.
    """
    expect_known(value, known=FORMAT, what="how an audit ended, in topic audit-state,")
    try:
        result = _RESULT.validate_json(value or b"")
        return result if _is_moment(result.finished_at) else None
    except ValueError:
        return None


def read_checkpoint(value: bytes | None) -> Checkpoint | None:
    """The checkpoint that a record holds; None for whatever else another producer wrote there.

    Raises:
        NewerFormatError: a newer version wrote it.
    """
    expect_known(value, known=FORMAT, what="how an audit ended, in topic audit-state,")
    try:
        checkpoint = _CHECKPOINT.validate_json(value or b"")
        return checkpoint if _is_moment(checkpoint.looked_at) else None
    except ValueError:
        return None


def _is_moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None
