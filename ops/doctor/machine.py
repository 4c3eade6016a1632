"""Whether this machine knows the time and the time zones."""

import ctypes
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops.doctor.check_result import CheckResult

# adjtimex(2): the answer of a clock that nothing keeps right. https://man7.org/linux/man-pages/man2/adjtimex.2.html
_CLOCK_UNSYNCHRONISED = 5
# Larger than `struct timex` on every architecture; all zero, it asks and changes nothing.
_TIMEX_BYTES = 512


def examine_time_zones() -> CheckResult:
    """Whether this machine knows Spain's clock changes, on which Dropea's times rest."""
    try:
        zone = ZoneInfo("Europe/Madrid")
    except ZoneInfoNotFoundError:
        return CheckResult("failed", "time zones", "Europe/Madrid is unknown here; install the package tzdata")
    # Clocks change on the last Sunday of March and of October at 01:00 UTC: Directive 2000/84/EC.
    instants = ((3, 30, 0, 59), (3, 30, 1, 0), (10, 26, 0, 59), (10, 26, 1, 0))
    shown = [f"{datetime(2025, *at, tzinfo=UTC).astimezone(zone):%H:%M%z}" for at in instants]
    if shown != ["01:59+0100", "03:00+0200", "02:59+0200", "02:00+0100"]:
        return CheckResult("failed", "time zones", "Europe/Madrid has wrong rules for 2025; update the package tzdata")
    return CheckResult("ok", "time zones", "Europe/Madrid changes its clocks as it should")


def examine_clock() -> Sequence[CheckResult]:
    """Whether anything keeps the clock right; nothing where the kernel cannot be asked."""
    if not sys.platform.startswith("linux"):
        return ()
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if answer == _CLOCK_UNSYNCHRONISED:
        sentence = "the kernel says that nothing keeps it right; run an NTP client (chrony, systemd-timesyncd)"
        return (CheckResult("warning", "clock", sentence),)
    return (CheckResult("ok", "clock", "synchronised, says the kernel"),) if answer >= 0 else ()
