"""Histories out of real topics, and forged copies of them under another prefix, written by an ordinary producer."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka import TopicPartition as Place

from ops.audit.verdict import AuditVerdict
from ops.kafka.offsets import read_group_offsets
from processors.groups import DELIVER_OUTPUTS
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.errors import DropstreamError
from schemas.kafka.arguments import reader_arguments
from schemas.notes.rules import RulesNote, RulesVersion, read_rules, rules_records
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from tests.forgery.history import History, Lane, Named, Written
from tests.support.waiting import PATIENCE_S, until_it_is

_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Topics:
    """All that an audit reads, as it was read; `rules` are the records of that topic."""

    settings: Settings
    history: History
    rules: Sequence[RawRecord]


async def caught_up(settings: Settings, group: str = "deliver", topic: str = "raw") -> None:
    """Returns once the group has read all of the topic."""
    await until_it_is(lambda: _has_read_all(settings, group, topic), every_s=0.2)


async def _has_read_all(settings: Settings, group: str, topic: str) -> bool:
    prefix = settings.kafka.topic_prefix
    try:
        found = await read_group_offsets(settings, prefix + group, [prefix + topic])
    except DropstreamError:
        return False  # Its coordinator is young.
    return all(one.lag == 0 for one in found)


async def read_topics(settings: Settings) -> Topics:
    """Everything that is committed."""
    short = ("raw", *DELIVER_OUTPUTS, "rules")
    found = await asyncio.to_thread(_read_all, settings, short)
    raw: dict[int, list[RawRecord]] = {}
    lanes: dict[Lane, list[Written]] = {}
    rules: list[RawRecord] = []
    for (topic, partition), records in found.items():
        if topic == "raw":
            raw[partition] = records
        elif topic == "rules":
            rules += records
        else:
            lane = topic, partition
            lanes[lane] = [Written(lane, one.key, one.value, list(one.headers), one.timestamp_ms) for one in records]
    partitions = {topic: sum(one == topic for one, _ in found) for topic in DELIVER_OUTPUTS}
    return Topics(settings, History(raw, lanes, partitions), rules)


def _read_all(settings: Settings, short: Sequence[str]) -> dict[Lane, list[RawRecord]]:
    """Every committed record of these topics, by librdkafka."""
    prefix = settings.kafka.topic_prefix
    client = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": f"{prefix}forger",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
    try:
        described = client.list_topics(timeout=PATIENCE_S).topics
        found: dict[Lane, list[RawRecord]] = {
            (topic, partition): [] for topic in short for partition in described[prefix + topic].partitions
        }
        client.assign([Place(prefix + topic, partition, 0) for topic, partition in found])
        left = set(found)
        while left:
            for one in client.consume(5_000, timeout=_POLL_S):
                record = _raw_record(one)
                lane = record.position.topic.removeprefix(prefix), record.position.partition
                if (error := one.error()) is None:
                    found[lane].append(record)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 its name in the public documentation
                    left.discard(lane)
                else:
                    raise AssertionError(error)
        return found
    finally:
        client.close()


def _raw_record(one: Any) -> RawRecord:
    position = Position(one.topic(), one.partition(), one.offset())
    return RawRecord(position, one.key(), one.value(), tuple(one.headers() or ()), one.timestamp()[1])


async def write_copy(topics: Topics, history: History, mine: Settings, *, commit: bool = True) -> None:
    """Writes `history`, forged from `topics`, under the prefix of `mine`; its topics are there and empty.

    Raw offsets stay as they are, for nothing of `raw` is left out. With `commit` group `deliver` has read all of it.
    """
    old, new = topics.settings.kafka.topic_prefix, mine.kafka.topic_prefix
    assert len(old) == len(new), "a prefix of another length is no plain replacement"
    await asyncio.to_thread(_write_all, mine, list(_copied(topics, history, mine, (old.encode(), new.encode()))))
    if commit:
        await commit_deliver(mine, {partition: len(records) for partition, records in history.raw.items()})


async def commit_deliver(mine: Settings, offsets: Mapping[int, int]) -> None:
    """Group `deliver` has read `raw` up to these offsets."""
    prefix = mine.kafka.topic_prefix
    client = AIOKafkaConsumer(**reader_arguments(mine), group_id=f"{prefix}deliver")
    await client.start()
    try:
        sources = {TopicPartition(f"{prefix}raw", partition): offset for partition, offset in offsets.items()}
        client.assign(list(sources))
        await client.commit(sources)
    finally:
        await client.stop()


def _copied(
    topics: Topics, history: History, mine: Settings, prefixes: tuple[bytes, bytes]
) -> Iterator[tuple[str, int, Written]]:
    for partition, records in history.raw.items():
        for one in records:
            yield "raw", partition, Written(("raw", partition), one.key, one.value, list(one.headers), one.timestamp_ms)
    for (topic, partition), written in history.lanes.items():
        for each in written:
            headers = [(name, value and value.replace(*prefixes)) for name, value in each.headers]
            yield topic, partition, replace(each, value=each.value and each.value.replace(*prefixes), headers=headers)
    for each in _copied_rules(topics, mine):
        yield "rules", each.lane[1], each


def _copied_rules(topics: Topics, mine: Settings) -> Iterator[Written]:
    """The same notes, of the rules of `mine`: their digests hold the prefix, too."""
    today = rules_version(topics.settings, topics.settings.endpoints, discover())
    ours = rules_version(mine, mine.endpoints, discover())
    versions: dict[str, RulesVersion] = {}
    for one in topics.rules:
        said = read_rules(one.key, one.value)
        if isinstance(said, RulesVersion):
            versions[said.digest] = replace(ours, partitions=said.partitions) if said.judging == today.judging else said
    for one in topics.rules:
        said = read_rules(one.key, one.value)
        if isinstance(said, RulesNote) and said.topic == "raw":
            for record in rules_records(versions[said.digest], "raw", said.partition, said.first):
                lane = "rules", one.position.partition
                yield Written(lane, record.key, record.value, [], one.timestamp_ms)


def _write_all(mine: Settings, records: Sequence[tuple[str, int, Written]]) -> None:
    """Writes the records in order, by librdkafka."""
    client = Producer(
        {
            "bootstrap.servers": mine.kafka.bootstrap_servers,
            "acks": "all",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
        }
    )
    failed: list[object] = []
    for topic, partition, one in records:
        client.produce(
            mine.kafka.topic_prefix + topic,
            value=one.value,
            key=one.key,
            partition=partition,
            headers=list(one.headers),
            timestamp=one.timestamp_ms,
            on_delivery=lambda error, _message: failed.append(error) if error else None,
        )
        client.poll(0)
    assert client.flush(PATIENCE_S) == 0
    assert not failed, failed


def found(verdict: AuditVerdict) -> set[tuple[str, str]]:
    """Every finding by kind and place."""
    return {(one.kind, one.position) for one in verdict.findings}


def wanted(named: Sequence[Named], history: History, mine: Settings) -> set[tuple[str, str]]:
    """How the audit of the copy under `mine` has to name these."""
    prefix = mine.kafka.topic_prefix
    places: set[tuple[str, str]] = set()
    for one in named:
        if one.raw is not None:
            places.add((one.kind, f"{prefix}raw/{one.raw[0]}/{one.raw[1]}"))
        elif one.record is not None:
            topic, partition = one.record.lane
            places.add((one.kind, f"{prefix}{topic}/{partition}/{history.index(one.record)}"))
    return places


def in_a_thread(work: partial[Any]) -> Any:
    """The result of a coroutine function in a loop of its own: a fixture of a module has none."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work()).result()
