"""`send` against a real ingress on a real cluster: what goes out is what lies in `raw`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ops.endpoints.sequence import sequence_of
from ops.kafka.reader import open_reader
from ops.kafka.topics import apply
from ops.send.client import IngressAnswer, deliver_many, deliver_one, open_session, sign
from ops.send.command import SendTarget, choose
from ops.send.sequence import harm_of, newest_id
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.kafka.arguments import producer_arguments
from schemas.notes.sequence_observations import observation_record
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.topics import record_bytes_max
from schemas.vocabulary import TimeQuality
from tests.conftest import SettingsFactory
from tests.support import processing
from tests.support.replaying import program
from tests.support.serving import serving
from tests.support.waiting import PATIENCE_S

ENVIRON = {"SECRET": "a-made-up-secret", "TOKEN": "a token/with ?"}
TABLES = '[ingest]\nhost = "127.0.0.1"\nport = 0\nspool_bytes_max = 0\n' + "".join(
    f'[endpoints.{name}]\nprovider = "{name}"\nsecrets = ["env:SECRET"]\ntoken = "env:TOKEN"\n' for name in discover()
)


@pytest.fixture
async def ready(settings: SettingsFactory) -> Settings:
    """Settings with an endpoint for every provider, and the topics."""
    mine = settings(TABLES, environ=ENVIRON)
    await apply(mine)
    return mine


@asynccontextmanager
async def ingress_url(settings: Settings) -> AsyncIterator[str]:
    async with serving(settings) as running:
        yield f"http://127.0.0.1:{running.port}"


async def raw_records(settings: Settings, count: int) -> list[RawRecord]:
    records: list[RawRecord] = []
    async with open_reader(settings, [settings.kafka.topic_prefix + "raw"], "beginning") as reader:
        async with asyncio.timeout(PATIENCE_S):
            while len(records) < count:
                records += await reader.fetch()
    return records


def target(settings: Settings, what: str) -> SendTarget:
    return choose(what, settings, discover(), endpoint_name=None, sign_as=None)


async def test_every_sample_is_taken_and_understood(ready: Settings) -> None:
    """Each sample, signed and sent, is answered 200 with its delivery's id and becomes the events that it names."""
    providers = discover()
    rules = Rules(ready.endpoints, providers, record_bytes_max=record_bytes_max(ready))
    samples = [(provider, sample) for provider in providers.values() for sample in provider.samples]
    now = datetime.now(UTC)
    async with ingress_url(ready) as url, open_session() as session:
        for provider, sample in samples:
            endpoint = ready.endpoints[provider.name]
            outgoing = sign(sample.body(1, now), endpoint, sample, now)
            answer = await deliver_one(session, url, provider.name, endpoint, outgoing=outgoing)
            assert answer.status == 200, sample.name
            assert answer.delivery_id, sample.name
        records = await raw_records(ready, len(samples))
    types = [
        value
        for record in records
        for event in deliver(record, rules, DedupeStore(window_s=60))
        for name, value in event.headers
        if name == "type"
    ]
    assert sorted(types) == sorted(one.encode() for _, sample in samples for one in sample.event_types)


@pytest.mark.parametrize("rate", [None, 500.0])
async def test_many_deliveries_are_all_sent_once(ready: Settings, rate: float | None) -> None:
    """One after the other or at a rate, every number goes out once and is answered."""
    answers: list[IngressAnswer] = []
    chosen = target(ready, "shipstream-inventory-adjusted")
    async with ingress_url(ready) as url:
        await deliver_many(
            url,
            chosen.endpoint_name,
            chosen.endpoint,
            deliveries=chosen.deliveries(1, 30),
            rate_per_second=rate,
            on_answer=answers.append,
        )
        records = await raw_records(ready, 30)
    assert [answer.status for answer in answers] == [200] * 30
    assert len({answer.delivery_id for answer in answers}) == 30
    assert len({record.value for record in records}) == 30


async def test_a_file_arrives_byte_for_byte(ready: Settings, tmp_path: Path) -> None:
    """The exact bytes of a file are the body of its record, JSON or not."""
    file = tmp_path / "body"
    file.write_bytes(b'\xff {"a": 1}\r\n')
    chosen = choose(str(file), ready, discover(), endpoint_name="dreamship", sign_as=None)
    answers: list[IngressAnswer] = []
    async with ingress_url(ready) as url:
        await deliver_many(
            url,
            chosen.endpoint_name,
            chosen.endpoint,
            deliveries=chosen.deliveries(1, 1),
            rate_per_second=None,
            on_answer=answers.append,
        )
        (record,) = await raw_records(ready, 1)
    assert record.value == b'\xff {"a": 1}\r\n'


async def test_a_refusal_is_an_answer(ready: Settings) -> None:
    """A wrong endpoint gets 404 and no delivery id, and that is no error of the sender."""
    chosen = target(ready, "dreamship-basic")
    (outgoing,) = chosen.deliveries(1, 1)
    async with ingress_url(ready) as url, open_session() as session:
        answer = await deliver_one(session, url, "nobody", chosen.endpoint, outgoing=outgoing)
    assert (answer.status, answer.delivery_id) == (404, None)


@pytest.mark.parametrize("rate", [None, 1000.0])
async def test_no_ingress_is_one_sentence(settings: SettingsFactory, rate: float | None) -> None:
    """Without an ingress the first delivery ends the run with a sentence that holds no token."""
    mine = settings(TABLES, environ=ENVIRON, bootstrap_servers="127.0.0.1:1")
    chosen = target(mine, "dreamship-basic")
    with pytest.raises(DropstreamError) as caught:
        await deliver_many(
            "http://127.0.0.1:1",
            chosen.endpoint_name,
            chosen.endpoint,
            deliveries=chosen.deliveries(1, 50),
            rate_per_second=rate,
            on_answer=lambda _: None,
        )
    assert str(caught.value) == (
        "nothing answers at http://127.0.0.1:1: Connection refused; "
        "start the ingress with dropstream ingest, or name it with --url"
    )


async def note_ids(settings: Settings, endpoint: str, *ids: int) -> None:
    """Writes observations of these ids to `sequence`, as group `deliver` does, a minute between each."""
    began_at = datetime(2026, 11, 21, 9, tzinfo=UTC)
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for minute, number in enumerate(ids):
            at = began_at + timedelta(minutes=minute)
            position = Position("raw", 0, minute)
            note = observation_record(
                endpoint=endpoint,
                sequence=number,
                time=at,
                time_quality=TimeQuality.EXACT,
                received_at=at,
                raw=position,
            )
            await producer.send_and_wait(settings.kafka.topic_prefix + note.topic, value=note.value, key=note.key)


async def test_a_sample_goes_on_where_the_sequence_stands(settings: SettingsFactory, tmp_path: Path) -> None:
    """The next id is the one after the highest, be there late retries; an id that harms the sequence is asked about."""
    ready = settings(TABLES.partition("[endpoints")[0] + processing.ENDPOINTS, environ=processing.ENVIRON)
    await apply(ready)
    assert await newest_id(ready, "shipstream") is None
    await note_ids(ready, "shipstream", 20_000, 20_001, 19_990, 20_002)
    await note_ids(ready, "other", 7)
    assert await newest_id(ready, "shipstream") == 20_002
    run = program(ready, tmp_path).run
    refused = await run("send", "shipstream-order-created", "--first", "1")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "error: the newest sequence id of shipstream is 20002; with 1, the counter may seem to have restarted: then "
        "every open hole counts as lost; to send it all the same, say --yes\n"
    )
    async with ingress_url(ready) as url:
        sent = await run("send", "shipstream-order-created", "--url", url)
        assert sent.code == 0, sent.err
        (record,) = await raw_records(ready, 1)
        assert sequence_of(discover()["shipstream"], record.value or b"", datetime.now(UTC)) == 20_003
        # It lies unread, for no processor runs: what the next id is, nobody can say.
        unknown = await run("send", "shipstream-order-created", "--url", url)
        assert unknown.code == 1
        assert "does dropstream process run?" in unknown.err
        assert (await run("send", "dropea-v2-order", "--url", url)).code == 0


@pytest.mark.parametrize(
    ("first", "harm"),
    [
        (8, ""),
        (9, "id 8 counts as missing"),
        (11, "the ids 8 to 10 count as missing"),
        (7, "the counter may seem to have restarted: then every open hole counts as lost"),
    ],
)
def test_what_an_id_does_to_a_sequence(first: int, harm: str) -> None:
    """Only the id after the newest, 7, does nothing to it."""
    assert harm_of(first, 7) == harm
