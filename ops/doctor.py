"""`dropstream doctor`: runs every check and shows its result, with what to do where it failed.

Checks change nothing and have deadlines. The configuration itself is read first.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from ingest.spool.network_disk import network_file_system_of
from ops import screen
from ops.addresses import reached_at
from ops.audit.state import AuditState, read_state
from ops.configuration import ConfigFile, configuration_file, load_settings, read_text
from ops.endpoints.check import find_problems
from ops.endpoints.running import find_reload_problems
from ops.endpoints.secret_strength import other_weaknesses
from ops.event_loop import run
from ops.http_page import fetch_page
from ops.kafka.clients import admin
from ops.kafka.layouts import look_at_layout
from ops.kafka.offsets import GROUP_SOURCES, PartitionOffsets, members_if_known, read_group_offsets
from ops.kafka.reader import full_name
from ops.kafka.topics import Comparison, read_comparisons
from ops.reconcile.tail_gaps import find_tail_gaps
from ops.service.unready import unready_reasons
from processors.providers import discover
from schemas.errors import ConfigurationError, DropstreamError
from schemas.kafka.codecs import AS_PRODUCED
from schemas.kafka.log_bounds import NotKnown
from schemas.notes.layout_faults import layout_fault
from schemas.notes.layouts import Layout
from schemas.secrets import resolve
from schemas.settings import Settings

_HTTP_TIMEOUT_S = 3.0
_TAILS_WITHIN_S = 60.0
_AUDIT_STATE_WITHIN_S = 15.0
# As the alert DropstreamProcessorsLag.
_BEHIND_MAX = 10_000
_FREE_BYTES_MIN = 1_073_741_824
_MEBIBYTE = 1_048_576
# adjtimex(2): the answer of a clock that nothing keeps right. https://man7.org/linux/man-pages/man2/adjtimex.2.html
_CLOCK_UNSYNCHRONISED = 5
# Larger than `struct timex` on every architecture; all zero, it asks and changes nothing.
_TIMEX_BYTES = 512


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: `subject` is what was checked, `sentence` its state and, unless ok, what to do."""

    level: Literal["ok", "warning", "failed"]
    subject: str
    sentence: str


async def examine(settings: Settings, read: tuple[str, str], now: datetime) -> tuple[CheckResult, ...]:
    """The results of all checks but that of the configuration, in the order in which a person would mend them.

    `read` is the absolute path of the configuration file, and its text: the running services are to use it.
    """
    ingest, process = settings.ingest, settings.process
    async with asyncio.TaskGroup() as checks:
        cluster = checks.create_task(_examine_cluster(settings, now))
        tails = checks.create_task(_examine_tails(settings, now))
        services = [
            checks.create_task(_examine_service("ingress", "ingest", ingest.admin_host, ingest.admin_port)),
            checks.create_task(_examine_service("processors", "process", process.admin_host, process.admin_port)),
        ]
        reloads = checks.create_task(find_reload_problems(settings, *read))
    return (
        *_examine_endpoints(settings, now),
        *_examine_console_token(settings),
        examine_time_zones(),
        *_examine_clock(),
        examine_disk(Path(settings.ingest.spool_dir), settings.ingest.spool_bytes_max),
        *(
            examine_file_system(
                network_file_system_of(Path(settings.ingest.spool_dir)), settings.ingest.spool_bytes_max
            )
        ),
        *cluster.result(),
        *tails.result(),
        *(service.result() for service in services),
        *(
            CheckResult("failed" if one.level == "error" else "warning", f"{one.endpoint}: configuration", one.sentence)
            for one in reloads.result()
        ),
    )


def _examine_endpoints(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    problems = find_problems(settings, discover(), now)
    if not problems:
        secrets = [one.value for endpoint in settings.endpoints.values() for one in endpoint.secrets]
        known = "every secret is there and valid" if all(one.value for one in secrets) else "no fault without secrets"
        return (CheckResult("ok", "endpoints", f"{len(settings.endpoints)}, {known}"),)
    return tuple(
        CheckResult("failed" if one.level == "error" else "warning", f"endpoint {one.endpoint}", one.sentence)
        for one in problems
    )


def _examine_console_token(settings: Settings) -> Iterator[CheckResult]:
    """Warnings of the console's token; none where the console runs elsewhere and the token is not known here."""
    with contextlib.suppress(ValueError):
        token = resolve(settings.console.token, os.environ) if settings.console.token is not None else None
        for key, sentence in other_weaknesses(settings, token):
            if key == "console.token":
                yield CheckResult("warning", key, sentence)


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


def _examine_clock() -> Sequence[CheckResult]:
    if not sys.platform.startswith("linux"):
        return ()
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if answer == _CLOCK_UNSYNCHRONISED:
        sentence = "the kernel says that nothing keeps it right; run an NTP client (chrony, systemd-timesyncd)"
        return (CheckResult("warning", "clock", sentence),)
    return (CheckResult("ok", "clock", "synchronised, says the kernel"),) if answer >= 0 else ()


def examine_disk(spool: Path, spool_bytes_max: int) -> CheckResult:
    """Whether the spool can be written, and can grow to its bound."""
    try:
        return _examine_folder(spool, spool_bytes_max)
    except OSError as error:
        sentence = f"{spool} cannot be looked at ({error.strerror}); set ingest.spool_dir to a directory that can"
        return CheckResult("failed", "spool", sentence)


def _examine_folder(spool: Path, spool_bytes_max: int) -> CheckResult:
    folder = next(one for one in (spool.absolute(), *spool.absolute().parents) if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return CheckResult(
            "failed", "spool", f"{folder} cannot be written; set ingest.spool_dir to a directory that can"
        )
    used = sum(file.stat().st_size for file in spool.iterdir() if file.is_file()) if spool.is_dir() else 0
    free = shutil.disk_usage(folder).free
    room = f"{free // _MEBIBYTE} MiB free at {spool}"
    if free < min(_FREE_BYTES_MIN, spool_bytes_max):
        return CheckResult("failed", "spool", f"{room}; make room, or deliveries are refused when Kafka is away")
    if free < spool_bytes_max - used:
        wanted = (spool_bytes_max - used) // _MEBIBYTE
        return CheckResult(
            "warning", "spool", f"{room}, the spool may take {wanted}; make room, or lower spool_bytes_max"
        )
    return CheckResult("ok", "spool", room)


def examine_file_system(network: str | None, spool_bytes_max: int) -> Sequence[CheckResult]:
    """A warning where there is a spool, and it is on the network file system `network`."""
    if network is None or not spool_bytes_max:
        return ()
    sentence = (
        f"on a network file system ({network}), where SQLite's log is unsafe; set ingest.spool_dir to a local disk"
    )
    return (CheckResult("warning", "spool's disk", sentence),)


async def _examine_tails(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    """Whether deliveries are missing at the end of a sequence, where ShipStream can be asked."""
    try:
        async with asyncio.timeout(_TAILS_WITHIN_S):
            found = await find_tail_gaps(settings, now)
    except (DropstreamError, TimeoutError):
        return ()  # Kafka's own line says why nothing of it is known.
    return tuple(CheckResult(one.level, f"end of {one.endpoint}", one.sentence) for one in found)


async def _examine_cluster(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    servers = settings.kafka.bootstrap_servers
    try:
        async with admin(settings) as client:
            brokers = len((await client.describe_cluster())["brokers"])
        comparisons = await read_comparisons(settings)
        layout = await look_at_layout(settings)
        state = await _audit_state(settings)
        groups = [await _examine_group(settings, name) for name in GROUP_SOURCES]
    except DropstreamError as error:
        return (CheckResult("failed", "kafka", str(error)),)
    replicas = settings.kafka.replication_factor
    if brokers < replicas:
        sentence = f"{brokers} brokers at {servers} cannot hold {replicas} replicas; set kafka.replication_factor"
        kafka = CheckResult("failed", "kafka", sentence)
    else:
        kafka = CheckResult("ok", "kafka", f"{brokers} broker(s) at {servers}")
    return (
        kafka,
        examine_topics(comparisons),
        examine_layout(layout.layout, layout.counts, settings.kafka.topic_prefix),
        examine_compression(comparisons),
        *groups,
        examine_audit(state, now),
    )


async def _examine_group(settings: Settings, name: str) -> CheckResult:
    group, source = settings.kafka.topic_prefix + name, full_name(GROUP_SOURCES[name], settings)
    try:
        found = await read_group_offsets(settings, group, [source])
    except DropstreamError as error:
        return CheckResult("warning", f"group {name}", f"how far it is, is not known: {str(error).splitlines()[0]}")
    return examine_group(name, await members_if_known(settings, group), found)


def examine_group(name: str, members: int | None, found: Sequence[PartitionOffsets]) -> CheckResult:
    """Whether the group has members and keeps up; `members` is None where that is not known."""
    subject = f"group {name}"
    known = [one.lag for one in found if not isinstance(one.lag, NotKnown)]
    behind = f"{sum(known)} offsets behind"
    if doubts := [one for one in found if one.unknown_why]:
        count = f"{len(doubts)} of {len(found)} partitions"
        sentence = f"how far it is in {count} is not known: {doubts[0].unknown_why}; dropstream offsets show names them"
        return CheckResult("failed", subject, sentence)
    if members is None:
        return CheckResult("warning", subject, f"{behind}; how many members it has is not known, ask again")
    if members == 0:
        return CheckResult("warning", subject, f"{behind}, and it has no member; start dropstream process {name}")
    if sum(known) > _BEHIND_MAX:
        return CheckResult("warning", subject, f"{behind}; watch whether it falls with dropstream offsets show")
    return CheckResult("ok", subject, f"{behind}, {members} member{'s' if members > 1 else ''}")


async def _audit_state(settings: Settings) -> AuditState | None:
    try:
        async with asyncio.timeout(_AUDIT_STATE_WITHIN_S):
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


def examine_topics(comparisons: Sequence[Comparison]) -> CheckResult:
    """Whether the cluster's topics are those of the table."""
    missing = sum(one.verdict == "missing" for one in comparisons)
    differing = sum(one.verdict == "differs" for one in comparisons)
    if not missing and not differing:
        return CheckResult("ok", "topics", f"all {len(comparisons)} agree with the plan")
    level: Literal["failed", "warning"] = "failed" if missing else "warning"
    return CheckResult(level, "topics", f"{missing} missing, {differing} differ; run dropstream topics apply")


def examine_layout(layout: Layout | None, counts: Mapping[str, int], prefix: str) -> CheckResult:
    """Whether keys are placed among as many partitions as there are, and whether a migration is under way."""
    if layout is not None and layout.phase is not None:
        sentence = (
            f"a migration from {layout.partitions} to {layout.target} partitions is under way, and the ingress spools; "
            "where nobody runs it: dropstream topics apply --migrate goes on with it"
        )
        return CheckResult("warning", "partitions", sentence)
    if fault := layout_fault(layout, counts, prefix):
        return CheckResult("failed", "partitions", fault.replace("\n", ". "))
    if layout is None:
        return CheckResult("warning", "partitions", "nobody noted how many there are; run dropstream topics apply")
    return CheckResult("ok", "partitions", f"keys are placed among the {layout.partitions} that are there")


def examine_compression(comparisons: Sequence[Comparison]) -> CheckResult:
    """Whether the records of every topic can be read here, and which topics their broker compresses."""
    kinds: dict[str, list[str]] = {}
    for one in comparisons:
        if one.compression not in {"", AS_PRODUCED}:
            kinds.setdefault(one.compression, []).append(one.plan.name)
    told = "; ".join(f"{kind} on {', '.join(names)}" for kind, names in sorted(kinds.items()))
    if not all(one.is_readable for one in comparisons):
        sentence = f"compression.type is {told}; not all of it can be read here: install cramjam, or set it to producer"
        return CheckResult("failed", "compression", sentence)
    if told:
        return CheckResult("ok", "compression", f"compression.type is {told}; all of it can be read here")
    return CheckResult("ok", "compression", "every topic keeps batches as their producers compress them")


async def _examine_service(subject: str, verb: str, host: str, port: int) -> CheckResult:
    url = f"http://{reached_at(host, port)}/readyz"
    page = await fetch_page(url, within_s=_HTTP_TIMEOUT_S)
    if page is None:
        return CheckResult("warning", subject, f"not answering at {url}; start it with dropstream {verb}")
    if page.status != 200:
        return CheckResult(
            "failed", subject, f"{url} answers {page.status}, not ready: {_reasons(page.body) or 'its log says why'}"
        )
    if reasons := _reasons(page.body):
        return CheckResult("warning", subject, f"ready, says {url}, but {reasons}")
    return CheckResult("ok", subject, f"ready, says {url}")


def _reasons(body: bytes) -> str:
    try:
        return "; ".join(unready_reasons(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return ""


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


def examine_unread(faults: Sequence[str]) -> Sequence[CheckResult]:
    """A warning where signing secrets cannot be read here; the rest is checked without them."""
    if not faults:
        return ()
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    sentence = (
        f"{faults[0]}{more}; right where the ingress runs alone, which needs none: "
        "call dropstream doctor where dropstream process runs, too"
    )
    return (CheckResult("warning", "signing secrets", sentence),)


def _show(results: Sequence[CheckResult], *, as_json: bool, header: bool) -> None:
    screen.show_table(
        ("check", "state", "what"),
        ((one.subject, one.level, one.sentence) for one in results),
        as_json=as_json,
        header=header,
    )
