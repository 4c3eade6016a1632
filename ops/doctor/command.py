"""`dropstream doctor`: runs every check and shows its result, with what to do where it failed.

Checks change nothing and have deadlines. The configuration itself is read first.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingest.spool.network_disk import network_file_system_of
from ops import screen
from ops.configuration import ConfigFile, configuration_file, load_settings, read_text
from ops.doctor.check_result import CheckResult
from ops.doctor.endpoints import examine_console_tokens, examine_endpoints, examine_unread
from ops.doctor.kafka import examine_cluster
from ops.doctor.machine import examine_clock, examine_time_zones
from ops.doctor.sequences import examine_tails
from ops.doctor.services import examine_service
from ops.doctor.spool import examine_disk, examine_file_system
from ops.doctor.state import examine_state
from ops.endpoints.running import find_reload_problems
from ops.event_loop import run
from ops.kafka.rights import examine_rights
from schemas.errors import ConfigurationError, DropstreamError
from schemas.settings import Settings


def doctor(*, as_json: screen.AsJson = False, header: screen.Header = False, config: ConfigFile = None) -> None:
    """Checks configuration, secrets, Kafka, topics, clock and disk; exit code 1 if a check failed.

    Example: dropstream doctor
    """
    try:
        settings, unread = _load(config)
    except ConfigurationError:
        # The fault is shown as every verb shows it; the check that needs no configuration runs all the same.
        _show((examine_time_zones(),), as_json=as_json, header=header)
        raise
    file = configuration_file(config)
    results = (
        CheckResult("ok", "configuration", f"{file} can be used"),
        *examine_unread(unread),
        *run(examine(settings, (str(file.absolute()), read_text(file)), datetime.now(UTC))),
    )
    _show(results, as_json=as_json, header=header)
    failed = sum(one.level == "failed" for one in results)
    if failed:
        raise DropstreamError(f"{failed} of {len(results)} checks failed")


def _load(config: Path | None) -> tuple[Settings, Sequence[str]]:
    """The settings, and the faults of signing secrets that cannot be read here, as on a machine of the ingress.

    Raises:
        ConfigurationError: something else is wrong; names every fault.
    """
    try:
        return load_settings(config), ()
    except ConfigurationError as error:
        try:
            settings = load_settings(config, signing_secrets=False)
        except ConfigurationError:
            raise error from None
        return settings, error.faults


def _show(results: Sequence[CheckResult], *, as_json: bool, header: bool) -> None:
    screen.show_table(
        ("check", "state", "what"),
        ((one.subject, one.level, one.sentence) for one in results),
        as_json=as_json,
        header=header,
    )


async def examine(settings: Settings, read: tuple[str, str], now: datetime) -> tuple[CheckResult, ...]:
    """The results of all checks but that of the configuration, in the order in which a person would mend them.

    `read` is the absolute path of the configuration file, and its text: the running services are to use it.
    """
    ingest, process = settings.ingest, settings.process
    async with asyncio.TaskGroup() as checks:
        cluster = checks.create_task(examine_cluster(settings, now))
        rights = checks.create_task(examine_rights(settings))
        tails = checks.create_task(examine_tails(settings, now))
        state = checks.create_task(examine_state(settings))
        services = [
            checks.create_task(examine_service("ingress", "ingest", ingest.admin_host, ingest.admin_port)),
            checks.create_task(examine_service("processors", "process", process.admin_host, process.admin_port)),
        ]
        reloads = checks.create_task(find_reload_problems(settings, *read))
    return (
        *examine_endpoints(settings, now),
        *examine_console_tokens(settings),
        examine_time_zones(),
        *examine_clock(),
        examine_disk(Path(settings.ingest.spool_dir), settings.ingest.spool_bytes_max),
        *(
            examine_file_system(
                network_file_system_of(Path(settings.ingest.spool_dir)), settings.ingest.spool_bytes_max
            )
        ),
        *state.result(),
        *cluster.result(),
        *rights.result(),
        *tails.result(),
        *(service.result() for service in services),
        *(
            CheckResult("failed" if one.level == "error" else "warning", f"{one.endpoint}: configuration", one.sentence)
            for one in reloads.result()
        ),
    )
