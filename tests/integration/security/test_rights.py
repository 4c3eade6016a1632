"""Every program works with exactly the rights of the table, on a Kafka that grants nothing else."""

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import aiohttp
import orjson

from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.kafka.rights.table import Purpose, Right, rights_of
from tests.support.ports import free_ports
from tests.support.processing import deliveries, signed
from tests.support.programs import program, send_all
from tests.support.security.system import SecuredSystem
from tests.support.security.tokens import token_server
from tests.support.waiting import until_it_is

# A migration has a test of its own; a call of a provider's API and a judgement of a person are not run here.
_NOT_SHOWN = {Purpose.MIGRATE, Purpose.RECONCILE, Purpose.DISMISS}
_UNUSED_HERE = {
    # Read every minute, once there was an audit.
    Purpose.PROCESS: ["Read on topic audit-state"],
    # Only where ShipStream's API is configured.
    Purpose.DOCTOR: ["Read on topic sequence"],
    # What came before a replay is read only where its range does not begin with `raw` itself.
    Purpose.AUDIT: ["Read on topic deliver-state"],
    # As above; and where a delivery of ShipStream was rejected at first and is good today.
    Purpose.REPLAY: ["Read on topic deliver-state", "Read on topic rules", "Write on topic sequence"],
    # Only where somebody logs in or acts, and where the page of acts is looked at.
    Purpose.CONSOLE: ["Read on topic acts", "Write on topic acts"],
}
_SHOWN = [one for one in Purpose if one not in _NOT_SHOWN]


def principal_of_purpose(purpose: Purpose) -> str:
    return "User:CN=ingest" if purpose is Purpose.INGEST else f"User:{purpose}"


def log_in(system: SecuredSystem, url: str) -> None:
    """Each program as a user of its own, and by all ways to log in."""
    for purpose in _SHOWN:
        if purpose is Purpose.INGEST:
            system.login_by_certificate(purpose)
        elif purpose is Purpose.AUDIT:
            system.login_by_token(purpose, url)
        else:
            plain = purpose is Purpose.TOPICS
            system.login_by_password(purpose, mechanism="PLAIN" if plain else "SCRAM-SHA-512")
        system.kafka.grant(principal_of_purpose(purpose), rights_of(purpose, system.prefix))


def eventful() -> list[Delivery]:
    """Deliveries that lead to records of every kind: events of all topics, a gap, a retry, a rejection."""
    given = deliveries(30)
    forged = replace(given[0], body=given[0].body + b" ")
    return [*given, given[5], forged, of_shipstream("product:updated", 40), of_shipstream("serial_number:created", 41)]


def of_shipstream(topic: str, number: int) -> Delivery:
    """A delivery of this topic of ShipStream, signed."""
    sample = discover()["shipstream"].samples[0]

    def body(count: int, at: datetime) -> bytes:
        envelope = orjson.loads(sample.body(count, at))
        return orjson.dumps(envelope | {"topic": topic, "message": envelope["message"] | {"sku": "MUG-BLUE"}})

    return signed(replace(sample, body=body), "shipstream", "shipstream", number)


# Each verb with the exit code that it has; in an order in which each has something to do.
CALLS: tuple[tuple[Purpose, int, tuple[str, ...]], ...] = (
    (Purpose.REPLAY, 0, ("replay", "--from", "beginning", "--into", "again", "--yes")),
    (Purpose.REPLAY, 1, ("replay", "--from", "beginning", "--into", "again", "--yes")),
    (Purpose.REPLAY, 0, ("replay", "--from", "beginning", "--in-place", "--dry-run")),
    (Purpose.REPLAY, 0, ("replay", "--from", "beginning", "--in-place", "--yes")),
    (Purpose.REPLAY, 0, ("redrive", "--yes")),
    (Purpose.AUDIT, 0, ("audit",)),
    (Purpose.AUDIT, 0, ("audit", "--since-last")),
    (Purpose.DOCTOR, 0, ("doctor",)),
)
CALLS_BESIDE: tuple[tuple[Purpose, int, tuple[str, ...]], ...] = (
    (Purpose.OFFSETS, 0, ("offsets", "show")),
    (Purpose.INSPECT, 0, ("tail", "orders", "--from", "beginning", "--max", "1")),
    (Purpose.INSPECT, 0, ("gaps",)),
    (Purpose.INSPECT, 0, ("acts",)),
    (Purpose.INSPECT, 0, ("explain", "0:0")),
    (Purpose.INSPECT, 1, ("trace", "no-such-order")),
)
# With the groups stopped, and a setting that alters every topic.
LAST_CALLS: tuple[tuple[Purpose, int, tuple[str, ...]], ...] = (
    *(
        (Purpose.OFFSETS, 0, ("offsets", "set", "--group", one, "--topic", topic, "--to", "earliest", "--yes"))
        for one, topic in (("deliver", "raw"), ("sequence", "sequence"))
    ),
    (Purpose.TOPICS, 0, ("topics", "apply")),
)


async def run_verbs(system: SecuredSystem, calls: Iterable[tuple[Purpose, int, tuple[str, ...]]]) -> None:
    """Each verb ends as it should."""
    for purpose, code, verb in calls:
        ended, said = await system.verb(purpose, *verb)
        assert ended == code, (verb, said)


async def test_every_program_works_with_its_rights_and_needs_each(system: SecuredSystem) -> None:
    """A delivery becomes an event, is audited, replayed and shown; nothing is denied, and no right is unused."""
    folder, port = system.folder, system.ports
    async with token_server(free_ports(1)) as tokens:
        log_in(system, tokens.url)
        await run_verbs(system, [(Purpose.TOPICS, 0, ("topics", "apply"))])
        async with (
            program(folder, "ingest", admin_port=port + 1, environ=system.logins["ingest"]) as ingest,
            program(folder, "process", admin_port=port + 2, environ=system.logins["process"]) as process,
        ):
            await asyncio.gather(ingest.ready(), process.ready())
            await send_all(f"http://127.0.0.1:{port}", eventful())
            await until_it_is(lambda: has_gaps(system))
            async with program(folder, "console", admin_port=port + 3, environ=system.logins["console"]):
                await until_it_is(lambda: shows_page(f"http://127.0.0.1:{port + 3}/"))
                await asyncio.gather(run_verbs(system, CALLS), run_verbs(system, CALLS_BESIDE))
            for one in (ingest, process):
                one.signal(signal.SIGTERM)
                assert await one.ended() == 0
        assert not any(token in one.log.read_text() for one in (ingest, process) for token in tokens.given)
    for purpose in (Purpose.OFFSETS, Purpose.TOPICS):
        system.logins[purpose] = {**system.logins[purpose], "DROPSTREAM_INGEST__BODY_BYTES_MAX": "5000000"}
    await run_verbs(system, LAST_CALLS)
    left = {}
    for purpose in _SHOWN:
        allowed, denied = system.kafka.used_rights(principal_of_purpose(purpose))
        # The doctor asks for the rights of all programs; transactions can be asked for in no other way.
        asked = [one for one in denied if purpose is Purpose.DOCTOR and "for request = EndTxn" in one]
        assert denied == asked, purpose
        left[purpose] = unused(rights_of(purpose, system.prefix), allowed)
    told = {purpose: [one.replace(system.prefix, "") for one in rights] for purpose, rights in left.items() if rights}
    # What is read now and then may have been read.
    assert all(set(rights) <= set(_UNUSED_HERE.get(purpose, ())) for purpose, rights in told.items()), str(told)


async def test_a_migration_works_with_its_rights_and_needs_each(system: SecuredSystem) -> None:
    """Beside running programs with rights of their own it moves the partitions; nothing is denied, nothing unused."""
    folder, port = system.folder, system.ports
    for purpose in (Purpose.INGEST, Purpose.PROCESS, Purpose.TOPICS, Purpose.MIGRATE):
        system.login_by_password(purpose, mechanism="PLAIN" if purpose is Purpose.TOPICS else "SCRAM-SHA-512")
        system.kafka.grant(f"User:{purpose}", rights_of(purpose, system.prefix))
    system.kafka.grant("User:migrate", rights_of(Purpose.TOPICS, system.prefix))
    await run_verbs(system, [(Purpose.TOPICS, 0, ("topics", "apply"))])
    async with (
        program(folder, "ingest", admin_port=port + 1, environ=system.logins["ingest"]) as ingest,
        program(folder, "process", admin_port=port + 2, environ=system.logins["process"]) as process,
    ):
        await asyncio.gather(ingest.ready(), process.ready())
        await send_all(f"http://127.0.0.1:{port}", deliveries(12))
        system.logins["migrate"] = {**system.logins["migrate"], "DROPSTREAM_KAFKA__PARTITIONS": "4"}
        await run_verbs(system, [(Purpose.MIGRATE, 0, ("topics", "apply", "--migrate"))])
    allowed, denied = system.kafka.used_rights("User:migrate")
    assert denied == []
    assert unused(rights_of(Purpose.MIGRATE, system.prefix), allowed) == []


def unused(rights: Iterable[Right], allowed: set[tuple[str, str, str]]) -> list[str]:
    """The rights that no request asked for."""
    return [str(one) for one in rights if not any(is_use(one, *use) for use in allowed)]


def is_use(right: Right, operation: str, kind: str, name: str) -> bool:
    kinds = {"transactionalid": "transactional-id"}
    fits = name.startswith(right.name) if right.is_prefix else name == right.name
    return fits and kinds.get(kind, kind) == right.resource and operation == right.operation.upper()


async def has_gaps(system: SecuredSystem) -> bool:
    """Whether group `sequence` has told of the gaps, as the last thing that comes of the deliveries."""
    return bool(await read_topic(system.settings("inspect"), "gaps"))


async def shows_page(url: str) -> bool:
    """Whether the console answers with its page."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
