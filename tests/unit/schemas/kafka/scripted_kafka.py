"""Kafka nodes in this process, which say of each produce request what the test wants, and keep the laws of a real one.

A log takes the batch of a producer whose base sequence is next; of one that it has it says where it stands, and one
that leaves a gap it refuses (KIP-98). Leaders move by `leaders`; what a node does with a request, `plans` says.
"""

import asyncio
import contextlib
import struct
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import InitProducerIdResponse_v0
from aiokafka.record import MemoryRecords

TOPIC = "raw"
_VERSIONS = [(0, 3, 7), (3, 0, 1), (18, 0, 0), (22, 0, 0)]
_HEADER = struct.Struct(">hhih")
# Where the ids of a producer stand in a batch: https://kafka.apache.org/documentation/#recordbatch
_PRODUCER = struct.Struct(">qhii")
_PRODUCER_AT = 43
OUT_OF_ORDER, NOT_LEADER = 45, 6


class Fault(Enum):
    """What happens to a request in place of an answer."""

    CUT_BEFORE = auto()  # The connection is cut, and nothing is written.
    CUT_AFTER = auto()
    HANG = auto()  # Nothing is written, and nothing is said.
    CUT_OFF = auto()  # All is written, and half of the answer is said.
    WRONG_NUMBER = auto()  # All is written, and the answer has the number of another request.
    UNSAID = auto()  # All is written, and nothing is said of the first batch.
    TWICE = auto()  # All is written, and the other batches are named twice in place of the first.


@dataclass(frozen=True, slots=True)
class Say:
    """A node says this code of the batch of `partition`, or of every batch; it writes them all the same or not."""

    code: int
    partition: int | None = None
    written: bool = False


@dataclass(slots=True)
class _Log:
    """The values of a partition, and what follows on each producer's batches."""

    values: list[bytes] = field(default_factory=list)
    next_sequence: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class ScriptedKafka:
    """So many nodes with one topic; each takes the next of `plans` for a produce request, and writes it without one."""

    def __init__(self, *, nodes: int, partitions: int) -> None:
        self.leaders = {number: number % nodes for number in range(partitions)}
        self.logs = {number: _Log() for number in range(partitions)}
        self.plans: deque[Fault | Say] = deque()
        self.requests: list[tuple[int, dict[int, int]]] = []  # Of which node, and how many records of which partition.
        self.held: set[int] = set()  # These nodes answer no produce request before they are let go.
        self.frozen: set[int] = set()  # These take a request of each connection, and answer when they are thawed.
        self.unanswered: list[int] = []  # The nodes that were frozen when a request came.
        self.ports: list[int] = []
        self.on_metadata: Callable[[], None] = lambda: None
        self.greets = asyncio.Event()  # No connection is complete before it is set, as it is at the beginning.
        self.greets.set()
        self.most_at_once = 0
        self.connections_open = 0
        self._under_way: dict[int, int] = defaultdict(int)
        self._servers = nodes
        self._let_go = asyncio.Event()
        self._thawed = asyncio.Event()

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def values(self, partition: int) -> list[bytes]:
        """What is in the log of the partition."""
        return self.logs[partition].values

    def let_go(self) -> None:
        """Answers what was held."""
        self.held.clear()
        self._let_go.set()

    def thaw(self) -> None:
        """Has the nodes that were frozen answer, and read on."""
        self.frozen.clear()
        self._thawed.set()

    async def serve(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection, one after the other."""
        self.connections_open += 1
        try:
            while (answer := await self._next_answer(node, reader)) is not None:
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.connections_open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _next_answer(self, node: int, reader: asyncio.StreamReader) -> bytes | None:
        """The answer of the next request; None where the connection is cut in its place."""
        frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        if node in self.frozen:
            self.unanswered.append(node)
            await self._thawed.wait()
        key, _, number, length = _HEADER.unpack_from(frame)
        answer = await self._answer(node, key, frame[_HEADER.size + length :], reader)
        if answer is None:
            return None
        body, added, part = answer
        return struct.pack(">ii", len(body) + 4, number + added) + body[: len(body) // part]

    async def _answer(
        self, node: int, key: int, body: bytes, reader: asyncio.StreamReader
    ) -> tuple[bytes, int, int] | None:
        """The answer, what is added to its number, and of which part of it is said; or None for a cut connection."""
        if key == ApiVersionResponse_v0.API_KEY:
            await self.greets.wait()
            return ApiVersionResponse_v0(0, _VERSIONS).encode(), 0, 1
        if key == InitProducerIdResponse_v0.API_KEY:
            return InitProducerIdResponse_v0(0, 0, 7, 0).encode(), 0, 1
        if key == MetadataResponse_v1.API_KEY:
            self.on_metadata()
            return self.metadata().encode(), 0, 1
        return await self._produce(node, ProduceRequest_v7.decode(body), reader)

    def metadata(self) -> MetadataResponse_v1:
        """What a node says of the nodes and leaders now."""
        brokers = [(node, "127.0.0.1", port, None) for node, port in enumerate(self.ports)]
        partitions = [
            (5 if leader < 0 else 0, number, leader, list(range(len(self.ports))), list(range(len(self.ports))))
            for number, leader in self.leaders.items()
        ]
        return MetadataResponse_v1(brokers, 0, [(0, TOPIC, False, partitions)])

    async def _produce(
        self, node: int, request: ProduceRequest_v7, reader: asyncio.StreamReader
    ) -> tuple[bytes, int, int] | None:
        assert (request.transactional_id, request.required_acks, len(request.topics)) == (None, -1, 1)
        ((topic, batches),) = request.topics
        assert topic == TOPIC
        self.requests.append((node, {partition: _producer(records)[3] for partition, records in batches}))
        for partition, _ in batches:
            self._under_way[partition] += 1
            self.most_at_once = max(self.most_at_once, self._under_way[partition])
        try:
            if node in self.held:
                await self._let_go.wait()
            return await self._judge(node, batches, reader)
        finally:
            for partition, _ in batches:
                self._under_way[partition] -= 1

    async def _judge(
        self, node: int, batches: list[tuple[int, bytes]], reader: asyncio.StreamReader
    ) -> tuple[bytes, int, int] | None:
        plan = self.plans.popleft() if self.plans else None
        if plan is Fault.CUT_BEFORE:
            return None
        if plan is Fault.HANG:
            await reader.read()  # Until the client has had enough.
            return None
        said = [self._write(node, partition, records, plan) for partition, records in batches]
        if plan is Fault.CUT_AFTER:
            return None
        if plan in {Fault.UNSAID, Fault.TWICE}:
            said = said[1:] * (2 if plan is Fault.TWICE else 1)
        body = ProduceResponse_v7([(TOPIC, said)], 0).encode()
        return body, int(plan is Fault.WRONG_NUMBER), 2 if plan is Fault.CUT_OFF else 1

    def _write(self, node: int, partition: int, records: bytes, plan: Any) -> tuple[int, int, int, int, int]:
        say = plan if isinstance(plan, Say) and plan.partition in {None, partition} else None
        if self.leaders[partition] != node:
            return partition, NOT_LEADER, -1, -1, 0
        log, code, offset = self.logs[partition], 0, -1
        producer, _, sequence, count = _producer(records)
        if sequence > log.next_sequence[producer]:
            code = OUT_OF_ORDER
        elif sequence == log.next_sequence[producer] and (say is None or say.written):
            offset = len(log.values)
            log.next_sequence[producer] += count
            batch = MemoryRecords(bytes(records)).next_batch()
            log.values += [record.value for record in batch]
        return partition, say.code if say else code, offset, -1, 0


def _producer(records: bytes) -> tuple[int, int, int, int]:
    """Id, epoch, base sequence and how many records."""
    found: tuple[int, int, int, int] = _PRODUCER.unpack_from(records, _PRODUCER_AT)
    return found


@contextlib.asynccontextmanager
async def scripted_kafka(*, nodes: int = 1, partitions: int = 3) -> AsyncIterator[ScriptedKafka]:
    """The nodes, on ports of the loopback, until the block ends."""
    kafka = ScriptedKafka(nodes=nodes, partitions=partitions)
    connections: set[asyncio.Task[None]] = set()
    async with contextlib.AsyncExitStack() as stack:
        for node in range(nodes):

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: int = node) -> None:
                task = asyncio.current_task()
                assert task is not None
                connections.add(task)
                await kafka.serve(node, reader, writer)

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            stack.callback(server.close)
            kafka.ports.append(server.sockets[0].getsockname()[1])
        try:
            yield kafka
        finally:
            for task in connections:
                task.cancel()
            if connections:
                await asyncio.wait(connections)
