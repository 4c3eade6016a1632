"""What the console puts on record: acts before they are done, logins also where Kafka is away, strangers in bounds."""

import asyncio
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from ops.people.act_log import ActLog
from ops.people.person import Asker, Person, Role
from ops.people.writing import NotRecordedError
from schemas.errors import DropstreamError
from schemas.notes.acts import Act, ActFacts, ActKind, KnownBy, act_record, read_act
from tests.support.waiting import PATIENCE_S, until

ANNA = Asker(Person("anna", Role.ACT, KnownBy.TOKEN), "192.0.2.7", "session-3fa9c1")


@dataclass(slots=True)
class Topic:
    """What was written; takes nothing while it is `away`."""

    away: bool = False
    acts: list[Act] = field(default_factory=list)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, act: Act) -> None:
        self.tried.set()
        if self.away:
            raise DropstreamError("cannot reach Kafka at 127.0.0.1:1")
        self.acts.append(act)
        self.taken.set()


async def test_an_act_has_a_beginning_and_an_end() -> None:
    """Two records with one id: who, from where, what for; then how it ended, and what came of it."""
    topic = Topic()
    facts = ActFacts(endpoint="acme", reason="signature_invalid", run="redrive-1", counts={"deliveries": 2})
    async with ActLog(topic.write).recorded(ActKind.REDRIVE, ANNA, facts) as ending:
        assert [one.stage for one in topic.acts] == ["begun"]
        ending.counts["events"] = 2
    begun, done = topic.acts
    assert (begun.who, begun.known_by, begun.place, begun.session) == ("anna", "token", "192.0.2.7", "session-3fa9c1")
    assert (done.id, done.stage, done.counts, done.failure) == (begun.id, "done", {"deliveries": 2, "events": 2}, None)
    assert read_act(act_record(done).value) == done


async def test_an_act_that_cannot_be_recorded_does_not_happen() -> None:
    """Where the beginning is not taken, the block does not run."""
    topic = Topic(away=True)
    with pytest.raises(NotRecordedError, match="not done, for it cannot be put on record in topic acts"):
        async with ActLog(topic.write).recorded(ActKind.UNMASK, ANNA, ActFacts()):
            raise AssertionError("it was done")


async def test_an_act_that_fails_says_so_and_no_more() -> None:
    """The record has the kind of the error and not its words, which may hold anything."""
    topic = Topic()
    with pytest.raises(ValueError, match="made-up@example"):
        async with ActLog(topic.write).recorded(ActKind.SEND, ANNA, ActFacts()):
            raise ValueError("made-up@example.org")
    assert (topic.acts[1].stage, topic.acts[1].failure) == ("failed", "ValueError")
    assert b"made-up" not in act_record(topic.acts[1]).value


async def test_a_login_waits_for_kafka_and_the_person_does_not() -> None:
    """Who comes in while Kafka is away is on record when it is back, in order."""
    topic = Topic(away=True)
    log = ActLog(topic.write, again_s=0.001)
    log.note_login(ANNA)
    log.note_refused("192.0.2.8")
    running = asyncio.create_task(log.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await topic.tried.wait()
            assert topic.acts == []
            topic.away = False
            while len(topic.acts) < 2:
                topic.taken.clear()
                await topic.taken.wait()
    finally:
        running.cancel()
    assert [(one.act, one.stage, one.who, one.place) for one in topic.acts] == [
        ("login", "done", "anna", "192.0.2.7"),
        ("login", "refused", "unknown", "192.0.2.8"),
    ]


async def test_a_long_absence_of_kafka_does_not_fill_the_log() -> None:
    """Logins that wait are tried ever less often, and each try that fails is one line."""
    topic = Topic(away=True)
    log = ActLog(topic.write, again_s=0.001)
    log.note_login(ANNA)
    with capture_logs() as lines:
        running = asyncio.create_task(log.run())
        await until(lambda: len(lines) >= 4)
        running.cancel()
    assert [(one["event"], one["again_s"]) for one in lines[:4]] == [
        ("logins_not_recorded", 0.001),
        ("logins_not_recorded", 0.002),
        ("logins_not_recorded", 0.004),
        ("logins_not_recorded", 0.008),
    ]


async def test_strangers_who_guess_do_not_fill_the_topic() -> None:
    """Of ten thousand wrong tokens within a minute sixty are records; the next one says how many it stands for."""
    now, topic = [0.0], Topic()
    log = ActLog(topic.write, clock=lambda: now[0])
    for _ in range(10_000):
        log.note_refused("192.0.2.8")
    now[0] = 60.0
    log.note_refused("192.0.2.8")
    running = asyncio.create_task(log.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(topic.acts) < 61:
                topic.taken.clear()
                await topic.taken.wait()
    finally:
        running.cancel()
    assert [dict(one.counts or {}) for one in topic.acts] == [{"tries": 1}] * 60 + [{"tries": 9_941}]


async def test_strangers_push_no_login_off_the_record() -> None:
    """While Kafka is away 1,000 records wait; wrong tokens go first where there are more, and the log says so."""
    now, topic = [0.0], Topic()
    log = ActLog(topic.write, clock=lambda: now[0])
    log.note_login(ANNA)
    with capture_logs() as lines:
        for minute in range(20):
            now[0] = 60.0 * minute
            for _ in range(60):
                log.note_refused("192.0.2.8")
    told = [(one["event"], one["stage"]) for one in lines]
    assert told == [("login_not_recorded", "refused")] * 201
    running = asyncio.create_task(log.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(topic.acts) < 1_000:
                topic.taken.clear()
                await topic.taken.wait()
    finally:
        running.cancel()
    assert (topic.acts[0].who, topic.acts[0].stage) == ("anna", "done")


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"act":"redrive"}', b"\xff"])
def test_what_is_no_act_is_none(value: bytes | None) -> None:
    """Whatever another producer wrote to the topic is passed over."""
    assert read_act(value) is None


def test_a_newer_version_s_words_are_read() -> None:
    """An act, a stage and a way of knowing the person that this version has no word for are shown as they stand."""
    value = (
        b'{"id":"act-20260521T143211Z-3fa9c1","at":"2026-05-21T14:32:11.000000Z","act":"rotate","stage":"paused",'
        b'"who":"anna","known_by":"passkey","place":"192.0.2.7"}'
    )
    read = read_act(value)
    assert read is not None
    assert (read.act.value, read.stage.value, read.known_by.value) == ("rotate", "paused", "passkey")
    assert act_record(read).value == value
    assert "rotate" not in list(ActKind)
    assert read_act(value.replace(b'"rotate"', b'""')) is None
