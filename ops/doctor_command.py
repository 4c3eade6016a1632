"""`dropstream doctor`: every check on one screen, each with what to do."""

from collections.abc import Sequence
from datetime import UTC, datetime

from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings
from ops.doctor import Finding, examine, examine_time_zones
from ops.event_loop import run
from schemas.errors import ConfigurationError, DropstreamError


def doctor(config: ConfigFile = None) -> None:
    """Checks configuration, secrets, Kafka, topics, clock and disk; exit code 1 if a check failed.

    Example: dropstream doctor
    """
    try:
        settings = load_settings(config)
    except ConfigurationError:
        # Told as every verb tells it; what needs no configuration is looked at all the same.
        _show((examine_time_zones(),))
        raise
    read = Finding("ok", "configuration", f"{configuration_file(config)} can be used")
    findings = (read, *run(examine(settings, datetime.now(UTC))))
    _show(findings)
    failed = sum(one.level == "failed" for one in findings)
    if failed:
        raise DropstreamError(f"{failed} of {len(findings)} checks failed")


def _show(findings: Sequence[Finding]) -> None:
    screen.show_table(("check", "state", "what"), ((one.subject, one.level, one.sentence) for one in findings))
