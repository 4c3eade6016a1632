"""How the last audit ended, and when."""

import asyncio
from datetime import datetime, timedelta

from ops.audit.state import AuditState, read_state
from ops.doctor.check_result import CheckResult
from schemas.errors import DropstreamError
from schemas.settings import Settings

_STATE_WITHIN_S = 15.0


async def last_audit(settings: Settings) -> AuditState | None:
    """What topic `audit-state` keeps of the last audit; None where that cannot be read in time."""
    try:
        async with asyncio.timeout(_STATE_WITHIN_S):
            return await read_state(settings)
    except (DropstreamError, TimeoutError):
        return None


def examine_audit(state: AuditState | None, now: datetime) -> CheckResult:
    """The result and the time of the last audit of everything; `state` is None where it cannot be read."""
    if state is None or not state.is_readable:
        return CheckResult("warning", "audit", "what topic audit-state keeps of the last one cannot be read")
    if (result := state.result) is None:
        return CheckResult(
            "warning", "audit", "never audited; run dropstream audit, then audit --since-last every hour"
        )
    ended = f"{result.status} {_ago(now - datetime.fromisoformat(result.finished_at))}"
    if result.status == "exceptions":
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(result.exceptions.items()))
        return CheckResult("failed", "audit", f"{ended}: {counts}; dropstream audit --since-last names them")
    if result.status == "unknown":
        return CheckResult("warning", "audit", f"{ended}; dropstream audit --since-last says what is not known")
    return CheckResult("ok", "audit", ended)


def _ago(age: timedelta) -> str:
    minutes = max(0, round(age.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
