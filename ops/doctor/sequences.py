"""Whether deliveries are missing at the end of a sequence."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from ops.doctor.check_result import CheckResult
from ops.reconcile.tail_gaps import find_tail_gaps
from schemas.errors import DropstreamError
from schemas.settings import Settings

_WITHIN_S = 60.0


async def examine_tails(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    """Whether deliveries are missing at the end of a sequence, where ShipStream can be asked."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            found = await find_tail_gaps(settings, now)
    except (DropstreamError, TimeoutError):
        return ()  # Kafka's own line says why nothing of it is known.
    return tuple(CheckResult(one.level, f"end of {one.endpoint}", one.sentence) for one in found)
