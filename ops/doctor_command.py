"""`dropstream doctor`: every check on one screen, each with what to do."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ops import screen
from ops.context import ConfigFile, configuration_file, load_settings
from ops.doctor import Finding, examine, examine_time_zones
from ops.event_loop import run
from schemas.errors import ConfigurationError, DropstreamError


def doctor(config: ConfigFile = None) -> None:
    """Checks configuration, secrets, Kafka, topics, clock and disk; exit code 1 if a check failed.

    Example: dropstream doctor
    """
    findings = _findings(config)
    screen.show_table(("check", "state", "what"), ((one.subject, one.level, one.sentence) for one in findings))
    failed = sum(one.level == "failed" for one in findings)
    if failed:
        raise DropstreamError(f"{failed} of {len(findings)} checks failed")


def _findings(config: Path | None) -> Sequence[Finding]:
    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        return (*(Finding("failed", "configuration", fault) for fault in error.faults), examine_time_zones())
    read = Finding("ok", "configuration", f"{configuration_file(config)} can be used")
    return (read, *run(examine(settings, datetime.now(UTC))))
