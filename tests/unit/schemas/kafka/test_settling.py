"""A commit whose markers may be missing: who notices, what is asked for before anything is written, and how long."""

import asyncio
import time
from collections import deque
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, KafkaError, TransactionalIdAuthorizationFailed
from aiokafka.protocol.metadata import MetadataResponse_v1

from schemas.kafka.group_member import GroupMember
from schemas.kafka.transactions import marker_watch, settlement
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.kafka.transactions.marker_watch import MarkersInDoubtError
from tests.support.waiting import PATIENCE_S, until

NODE = 1
ORDERS, STOCK = TopicPartition("orders", 0), TopicPartition("inventory", 1)
MEMBER = GroupMember("deliver", 3, "pod-0-x", "pod-0")
ADD, GROUP, POSITIONS, END = "AddPartitionsToTxn", "AddOffsetsToTxn", "MemberCommit", "EndTxn"
UNKNOWN_TOPIC, LOADING, CONCURRENT, INVALID_STATE, REFUSED_ID = 3, 14, 51, 48, 53
ADDED = f"{ADD} inventory/1 orders/0"
WHOLE = [ADDED, f"{GROUP} deliver", END]
SETTLED = [*WHOLE, END]


class Place(NamedTuple):
    """Who leads a partition, how many copies it has, and how many of them are in sync."""

    leader: int
    copies: int
    in_sync: int

    def described(self) -> tuple[int, list[int], list[int]]:
        return self.leader, list(range(self.copies)), list(range(self.in_sync))


class Coordinator:
    """A coordinator that does all that it is asked, or in turn what `plan` says; a restart loses its connection.

    Each answer is a code, an error of the connection, or None for silence. Lookups go by a plan of their own.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.plan: deque[int | Exception | None] = deque()
        self.lookups: deque[Exception | None] = deque()
        self.lookup_always: Exception | None = None
        self.places: dict[TopicPartition, Place | None] = {ORDERS: Place(NODE, 1, 1), STOCK: Place(NODE, 1, 1)}
        self.bootstraps, self.metadata_asked = 0, 0
        self.has_lost_group = False
        self._conns: dict[tuple[int, ConnectionGroup], object] = {}
        self.restart()

    def restart(self) -> None:
        self._conns[NODE, ConnectionGroup.COORDINATION] = object()

    async def find(self, kind: CoordinationType, _key: str) -> int:
        if kind == CoordinationType.GROUP and self.has_lost_group:
            await asyncio.Event().wait()
        said = self.lookups.popleft() if self.lookups else self.lookup_always
        if said is not None:
            raise said
        return NODE

    async def fetch_all_metadata(self) -> Any:
        self.metadata_asked += 1
        cluster = ClusterMetadata()
        broker = (NODE, "127.0.0.1", 1, None)
        found = [(0, *one, False, [(0, number, *place.described())]) for (*one, number), place in self._there()]
        cluster.update_metadata(MetadataResponse_v1([broker], NODE, found))
        return cluster

    def _there(self) -> list[tuple[TopicPartition, "Place"]]:
        return [(one, place) for one, place in self.places.items() if place is not None]

    async def bootstrap(self) -> None:
        self.bootstraps += 1
        self.lookup_always = None

    async def send(self, _node: int, request: Any, **_: Any) -> Any:
        name = type(request).__name__.removesuffix("Request")
        said = self.plan.popleft() if self.plan else 0
        if name == ADD:
            topics = request._topics  # noqa: SLF001 aiokafka's requests have no public fields
            name += "".join(sorted(f" {topic}/{number}" for topic, numbers in topics for number in numbers))
        elif name == GROUP:
            name += f" {request._group_id}"  # noqa: SLF001 as above
        self.asked.append(name)
        if said is None:
            await asyncio.Event().wait()
        if isinstance(said, Exception):
            self.restart()
            raise said
        await asyncio.sleep(0)
        return SimpleNamespace(errors=[("orders", [(0, said)])], topics=[], error_code=said)


@pytest.fixture
async def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
async def producer(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> GroupProducer:
    """A producer of that coordinator, which is never started; a transaction of it is ready to be committed."""
    made = GroupProducer(bootstrap_servers="127.0.0.1:1", transactional_id="t", retry_backoff_ms=10)
    made._closed = True  # noqa: SLF001 nothing was opened
    made._txn_manager.set_pid_and_epoch(7, 0)  # noqa: SLF001 what its start does
    monkeypatch.setattr(made, "client", coordinator)
    monkeypatch.setattr(made._sender, "_find_coordinator", coordinator.find)  # noqa: SLF001 it is what is asked
    await add_all(made)
    coordinator.asked.clear()
    return made


async def add_all(producer: GroupProducer) -> None:
    await producer.begin_transaction([ORDERS, STOCK])
    await producer.send_positions({TopicPartition("raw", 0): 5}, MEMBER)


async def settle(producer: GroupProducer) -> list[Any]:
    """Settles in time; returns what is logged."""
    with structlog.testing.capture_logs() as logged:
        async with asyncio.timeout(PATIENCE_S):
            await producer.settle()
    return logged


async def test_over_one_connection_nothing_more_is_asked(producer: GroupProducer, coordinator: Coordinator) -> None:
    """The coordinator takes the next transaction when all markers of the one before are written."""
    await producer.commit_transaction()
    assert not producer.markers.is_in_doubt
    coordinator.plan.append(CONCURRENT)
    await add_all(producer)
    assert producer.markers.commit is None
    assert coordinator.asked == [END, ADDED, ADDED, WHOLE[1], POSITIONS]


async def test_behind_a_new_connection_nothing_is_written_before_the_markers_are(
    producer: GroupProducer, coordinator: Coordinator
) -> None:
    """Outputs and positions both wait; then markers are written for all that the commit had, and work goes on."""
    await producer.commit_transaction()
    coordinator.restart()
    with pytest.raises(MarkersInDoubtError):
        await producer.begin_transaction([ORDERS])
    with pytest.raises(MarkersInDoubtError):
        await producer.send_positions({TopicPartition("raw", 0): 6}, MEMBER)
    assert POSITIONS not in coordinator.asked
    coordinator.asked.clear()
    assert await settle(producer) == []
    assert coordinator.asked == SETTLED
    await add_all(producer)
    assert coordinator.asked[-1] == POSITIONS


async def test_a_commit_that_was_asked_for_twice_is_in_doubt(producer: GroupProducer, coordinator: Coordinator) -> None:
    """The coordinator that answered may be another one than that which committed; a restart while it is settled too."""
    coordinator.plan.append(KafkaConnectionError())
    await producer.commit_transaction()
    assert producer.markers.is_in_doubt
    coordinator.asked.clear()
    coordinator.plan.extend([0, 0, 0, KafkaConnectionError()])
    await settle(producer)
    assert coordinator.asked == [*SETTLED, *SETTLED]
    assert not producer.markers.is_in_doubt


async def test_a_commit_without_an_answer_is_asked_for_before_its_markers(
    producer: GroupProducer, coordinator: Coordinator
) -> None:
    """Only what is committed gets markers of a commit."""
    await _commit_without_answer(producer, coordinator)
    await settle(producer)
    assert coordinator.asked == [END, *SETTLED]


async def test_what_was_aborted_gets_no_markers_of_a_commit(producer: GroupProducer, coordinator: Coordinator) -> None:
    """Where Kafka has aborted it, nothing more is asked, and it is said."""
    await _commit_without_answer(producer, coordinator)
    coordinator.plan.append(INVALID_STATE)
    (line,) = await settle(producer)
    assert (line["event"], line["log_level"]) == ("commit_not_settled", "warning")
    assert coordinator.asked == [END]
    assert producer.markers.commit is None


async def _commit_without_answer(producer: GroupProducer, coordinator: Coordinator) -> None:
    coordinator.plan.append(None)
    committing = asyncio.create_task(producer.commit_transaction())
    await until(lambda: coordinator.asked == [END])
    committing.cancel()
    await asyncio.wait({committing})
    assert producer.markers.is_in_doubt
    coordinator.asked.clear()


async def test_what_is_settled_is_sent_in_one_piece(producer: GroupProducer, coordinator: Coordinator) -> None:
    """A broker that hangs in between would leave a transaction open, whose abort takes along what was to be saved."""
    await producer.commit_transaction()
    coordinator.asked.clear()
    coordinator.plan.extend([None, None, None])
    settling = asyncio.create_task(producer.settle())
    await until(lambda: bool(coordinator.asked))
    assert coordinator.asked == WHOLE
    settling.cancel()
    await asyncio.wait({settling})


async def test_a_silent_coordinator_is_asked_again_with_more_time(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another node by then, or a slow one."""
    monkeypatch.setattr(settlement, "_TRY_S", 0.02)
    monkeypatch.setattr(producer, "_request_timeout_ms", PATIENCE_S * 1000)
    await producer.commit_transaction()
    coordinator.asked.clear()
    coordinator.plan.extend([None, 0, 0] * 3)
    began = time.monotonic()
    await settle(producer)
    assert coordinator.asked == [*WHOLE * 3, *SETTLED]
    assert time.monotonic() - began >= 0.02 + 0.04 + 0.08


async def test_a_lookup_that_fails_in_any_way_is_done_again(producer: GroupProducer, coordinator: Coordinator) -> None:
    """aiokafka makes a plain KafkaError of a lost connection; also in a transaction. A missing right is said."""
    coordinator.lookups.extend([KafkaError("KafkaConnectionError()"), KafkaConnectionError()])
    await producer.commit_transaction()
    assert producer.markers.is_in_doubt
    coordinator.lookups.extend([KafkaError("KafkaConnectionError()"), KafkaConnectionError()])
    coordinator.asked.clear()
    await settle(producer)
    assert coordinator.asked == SETTLED
    coordinator.lookups.append(TransactionalIdAuthorizationFailed("t"))
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await producer.begin_transaction([ORDERS])


async def test_a_cluster_with_new_addresses_is_found_by_its_bootstrap_servers(
    producer: GroupProducer, coordinator: Coordinator
) -> None:
    """aiokafka asks for the nodes where they were, for ever."""
    await producer.commit_transaction()
    coordinator.lookup_always = KafkaConnectionError()
    await settle(producer)
    assert coordinator.bootstraps == 1
    assert coordinator.asked == [END, *SETTLED]


@pytest.mark.parametrize("troubled", [Place(-1, 1, 1), Place(NODE, 3, 1), None])
async def test_markers_wait_for_partitions_that_can_take_them(
    producer: GroupProducer, coordinator: Coordinator, troubled: Place | None
) -> None:
    """Kafka passes over one without a leader, waits without bound for copies in sync, and takes none that is gone."""
    await producer.commit_transaction()
    coordinator.asked.clear()
    coordinator.places[STOCK] = troubled
    settling = asyncio.create_task(settle(producer))
    await until(lambda: coordinator.metadata_asked > 2)
    assert coordinator.asked == []
    coordinator.places[STOCK] = Place(NODE, 3, 2)
    assert await settling == []
    assert coordinator.asked == SETTLED


@pytest.mark.parametrize(
    ("troubled", "told"), [(Place(-1, 1, 1), ["error"]), (Place(NODE, 3, 1), ["error"]), (None, [])]
)
async def test_a_partition_that_stays_away_keeps_nothing_from_the_others(
    producer: GroupProducer,
    coordinator: Coordinator,
    monkeypatch: pytest.MonkeyPatch,
    troubled: Place | None,
    told: list[str],
) -> None:
    """The others have their markers; a person is told which one has none, but for a topic that was deleted."""
    monkeypatch.setattr(settlement, "_PARTITIONS_MAX_S", 0.05)
    await producer.commit_transaction()
    coordinator.asked.clear()
    coordinator.places[STOCK] = troubled
    logged = await settle(producer)
    assert coordinator.asked == [f"{ADD} orders/0", *SETTLED[1:]]
    assert [line["log_level"] for line in logged] == told
    assert all(line["partitions"] == ["inventory/1"] for line in logged)


@pytest.mark.parametrize("refusal", [UNKNOWN_TOPIC, LOADING, CONCURRENT])
async def test_a_cluster_that_answers_has_a_minute(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """Then the group goes on as if there were no doubt, and a person is told which partitions to look at."""
    monkeypatch.setattr(settlement, "_ANSWERED_MAX_S", 0.2)
    monkeypatch.setattr(settlement, "_TOLD_AFTER_S", 0.05)
    await producer.commit_transaction()
    coordinator.plan.extend([refusal] * 1000)
    waiting, given_up = await settle(producer)
    assert (waiting["event"], waiting["log_level"]) == ("commit_being_settled", "warning")
    assert (given_up["event"], given_up["log_level"]) == ("commit_not_settled", "error")
    assert (given_up["producer"], given_up["partitions"]) == ("t", ["inventory/1", "orders/0"])
    assert "docs/guarantees.md" in given_up["help"]
    assert producer.markers.commit is None


async def test_a_group_without_coordinator_has_a_minute_too(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka looks for it without end."""
    monkeypatch.setattr(settlement, "_TRY_S", 0.02)
    monkeypatch.setattr(settlement, "_ANSWERED_MAX_S", 0.1)
    await producer.commit_transaction()
    coordinator.has_lost_group = True
    assert (await settle(producer))[-1]["log_level"] == "error"


async def test_a_cluster_that_is_away_has_all_the_time_it_needs(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is counted: a broker that is away for long is the one that forgets markers."""
    monkeypatch.setattr(settlement, "_ANSWERED_MAX_S", 0.0)
    await producer.commit_transaction()
    coordinator.asked.clear()
    coordinator.lookups.extend([KafkaConnectionError()] * 20)
    await settle(producer)
    assert coordinator.asked == SETTLED


async def test_what_is_refused_for_good_is_not_asked_for_again(
    producer: GroupProducer, coordinator: Coordinator
) -> None:
    """A right that was taken away does not keep the group from its work."""
    await producer.commit_transaction()
    coordinator.plan.append(REFUSED_ID)
    (line,) = await settle(producer)
    assert (line["event"], line["log_level"]) == ("commit_not_settled", "warning")


async def test_a_group_without_work_knows_soon_that_the_markers_are_written(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a connection that is closed because nothing came raises no doubt; and no transaction begins meanwhile."""
    monkeypatch.setattr(marker_watch, "_ASK_AFTER_S", 0.01)
    await producer.commit_transaction()
    coordinator.plan.append(CONCURRENT)
    await until(lambda: len(coordinator.asked) > 1)
    assert producer.markers.commit is not None
    await add_all(producer)
    assert coordinator.asked == [END, END, END, ADDED, WHOLE[1], POSITIONS]
    await producer.commit_transaction()
    await until(lambda: producer.markers.commit is None)
    coordinator.restart()
    await add_all(producer)
    await producer.commit_transaction()
    coordinator.restart()
    assert await _told(producer) == [True]


async def test_a_group_without_work_is_in_doubt_when_the_connection_is_lost(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for a coordinator that is away, maybe for good at this address: settling does."""
    monkeypatch.setattr(marker_watch, "_ASK_AFTER_S", 0.01)
    await producer.commit_transaction()
    coordinator.lookup_always = KafkaError("KafkaConnectionError()")
    assert await _told(producer) == [True]


async def test_what_is_refused_without_work_is_asked_again_and_never_beside_a_transaction(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the last transaction would end the one that is open."""
    monkeypatch.setattr(marker_watch, "_ASK_AFTER_S", 0.01)
    await producer.commit_transaction()
    coordinator.plan.extend([REFUSED_ID, REFUSED_ID])
    await until(lambda: len(coordinator.asked) == 4)
    assert producer.markers.commit is None
    await add_all(producer)
    await producer.commit_transaction()
    coordinator.plan.append(REFUSED_ID)
    coordinator.asked.clear()
    await until(lambda: coordinator.asked == [END])
    coordinator.plan.extend([CONCURRENT] * 8)
    await producer.begin_transaction([ORDERS])
    assert coordinator.asked == [END, *[f"{ADD} orders/0"] * 9]


async def _told(producer: GroupProducer) -> list[bool]:
    told: list[bool] = []
    producer.markers.on_doubt = lambda: told.append(producer.markers.is_in_doubt)
    await until(lambda: bool(told))
    return told


async def test_markers_that_take_long_are_asked_for_ever_more_seldom(
    producer: GroupProducer, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred questions a second, for every producer, are no help to a cluster that is slow."""
    pauses: list[float] = []
    clock = SimpleNamespace(now=0.0)
    pause = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds
        await pause(0)

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    coordinator.plan.extend([CONCURRENT] * 60)
    await producer.begin_transaction([ORDERS])
    asked = [one for one in pauses if one]
    assert asked[:5] == [0.01] * 5
    assert max(asked) == 1.0
    assert len(asked) == 60
