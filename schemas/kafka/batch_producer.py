"""A producer of whole batches, whose requests are written in the turn of the event loop in which they are due.

aiokafka's own sender is a task that wakes when something comes or ends, starts a task for each request, waits in it for
the answer, and takes the next batches when all of these have had their turns: some nine turns and 360 us of CPU for a
request. Here a request is written by the call that finds it due, at the end of the turn in which its first record came
or when the answer of the one before it is there, and its answer settles the batches without a task. Everything that is
not the plain way is aiokafka's as before: connections and logins, metadata, the queue of batches and their sequence
numbers; and what becomes of a batch that was not written (`SendProduceReqHandler`).
"""

import asyncio
import contextlib
from asyncio import Future
from collections.abc import Awaitable, Coroutine, Iterable
from io import BytesIO
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import IllegalOperation, KafkaConnectionError, KafkaError, ProducerClosed, RequestTimedOutError
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.protocol.produce import ProduceResponse_v7

from schemas.kafka.batches import Builder
from schemas.kafka.connections import connect_beside, cut
from schemas.kafka.produce_request import API_KEY, API_VERSION, Batches, all_written, encode
from schemas.kafka.producers import fail_all
from schemas.kafka.wire.quick_layouts import read_number

# Metadata come within milliseconds, or hang with the node that was asked for them: a client that asks again waits for
# the same answer. aiokafka gives a node up after the time of a request, 40 s, and then asks the next.
_METADATA_S = 0.5


class BatchProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka ships no types
    """An idempotent producer, without transactions, of batches alone."""

    def __init__(self, **arguments: Any) -> None:
        if arguments.get("transactional_id") is not None:
            raise IllegalOperation("this producer writes outside of transactions")
        if arguments.get("linger_ms", 0) > 0:
            raise IllegalOperation("this producer writes what is due at once")  # Nothing would wake it after a while.
        super().__init__(**{**arguments, "enable_idempotence": True})
        connect_beside(self.client)
        old: Sender = self._sender
        self._sender: _PromptSender = _PromptSender(
            old.client,
            acks=old._acks,
            txn_manager=old._txn_manager,
            message_accumulator=old._message_accumulator,
            retry_backoff_ms=old._retry_backoff * 1000,
            request_timeout_ms=old._request_timeout_ms,
        )

    def offer(self, builder: Builder, topic: str, partition: int) -> "Future[object] | None":
        """Takes the batch at once, or returns None where `send_batch` would wait or raise.

        The batch is open until it is written, not before the end of this turn of the event loop. The future ends as
        that of `send_batch`, but is the batch's own: whoever has it must not cancel it, and shields it where a
        task that may be cancelled waits for it. Without a shield a call of the event loop less is made for each batch.
        """
        accumulator, place = self._message_accumulator, TopicPartition(topic, partition)
        if accumulator._closed or accumulator._exception is not None or place in accumulator._batches:
            return None
        if partition not in self.client.cluster._partitions.get(topic, ()):
            return None
        batch: MessageBatch = accumulator._append_batch(builder, place)
        self._sender.write_soon()
        written: Future[object] = batch.future
        return written

    async def send_batch(self, builder: Builder, topic: str, *, partition: int) -> "Future[object]":
        """As aiokafka's."""
        written: Future[object] = await super().send_batch(builder, topic, partition=partition)
        self._sender.write_soon()
        return written

    async def send(self, *_record: Any, **_more: Any) -> "Future[object]":
        """Refuses the record: nothing would write it.

        Raises:
            IllegalOperation: always.
        """
        raise IllegalOperation("this producer takes whole batches")


class _PromptSender(Sender):  # type: ignore[misc] # as above
    """aiokafka's sender, but for when and by whom a request is written."""

    def __init__(self, client: Any, **arguments: Any) -> None:
        super().__init__(client, **arguments)
        self._loop = asyncio.get_running_loop()
        self._soon = False
        self._ended = False
        self._leader_missing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._judging: set[asyncio.Task[None]] = set()  # Of these.
        self._requests: set[_Request] = set()  # On their way, without a task.
        self._all_answered = asyncio.Event()  # After the end.

    def write_soon(self) -> None:
        """Has what is due written at the end of this turn, with all that comes until then."""
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._write_due)

    def answered(self, request: "_Request", answer: Any) -> None:
        """Settles the batches of a request."""
        try:
            self._requests.discard(request)
            if self._ended and not self._requests:
                self._all_answered.set()
            written = all_written(answer, request.batches)
            if written is not None:
                self._release(request.node, request.batches)
                self._write_due()
                for batch, place in written:
                    batch.done(*place)
            else:
                self._judge(request.node, request.batches, answer)
        except Exception as fault:  # noqa: BLE001 it would end the connection's reader, and nothing else
            self._break(fault)

    async def _sender_routine(self) -> None:
        """Asks for the leaders that are not known, as long as there are such."""
        self.client.cluster.add_listener(self._metadata_came)
        try:
            while True:
                await self._leader_missing.wait()
                self._leader_missing.clear()
                await _wait_for_metadata(self.client.force_metadata_update())
                self._write_due()  # It ends a batch whose leader was not known for the time of a request, too.
                await asyncio.sleep(self._retry_backoff)
        except asyncio.CancelledError:
            self._ended = True
            await self._wind_up()
        except Exception as fault:  # noqa: BLE001 no batch must wait for it
            self._break(fault)
        finally:
            self.client.cluster.remove_listener(self._metadata_came)

    def _metadata_came(self, _cluster: Any) -> None:
        # What waited for a node may go to another now, and nothing else may come or end for a long time.
        self.write_soon()

    async def _wind_up(self) -> None:
        """Waits for what is on its way to Kafka, and fails all else; whoever closes the producer bounds the time.

        Where the batches are failed already, nothing is waited for: what connects yet would write them all the same.
        """
        accumulator = self._message_accumulator
        for task in self._judging if accumulator._exception is None else self._tasks:
            task.cancel()  # One that judges may wait for metadata that nobody asks for any more.
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
            if self._requests:
                await self._all_answered.wait()
        finally:
            # A batch that was taken while the producer flushed the others is in none of these.
            if accumulator._exception is None:
                fail_all(accumulator, ProducerClosed())
            for task in self._tasks:
                task.cancel()

    def _write_due(self) -> None:
        """Writes a request to every node that has none on its way, with a batch of each partition that waits."""
        self._soon = False
        accumulator = self._message_accumulator
        # A batch that has failed must not be written, also where this has not heard of the end yet.
        if self._ended or accumulator._exception is not None or not accumulator._batches:
            return
        try:
            nodes, leaders_missing = accumulator.drain_by_nodes(self._in_flight, self._muted_partitions)
            for node, batches in nodes.items():
                self._in_flight.add(node)
                self._muted_partitions.update(batches)
                self._write(node, batches)
            if leaders_missing:
                self._leader_missing.set()
        except Exception as fault:  # noqa: BLE001 as above
            self._break(fault)

    def _write(self, node: int, batches: Batches) -> None:
        connection = self.client._conns.get((node, ConnectionGroup.DEFAULT))
        oldest, newest = connection._versions.get(API_KEY, (0, 0)) if connection and connection.connected() else (0, 0)
        if not oldest <= API_VERSION <= newest:
            self._begin(self._send_produce_req(node, batches))
            return
        number = connection._next_correlation_id()
        encoded = encode(batches, number, connection._client_id, acks=self._acks, timeout_ms=self._request_timeout_ms)
        request = _Request(self, node, batches, connection, within_s=self._request_timeout_ms / 1000)
        self._requests.add(request)
        try:
            connection._writer.write(encoded)
        except (OSError, RuntimeError) as error:
            self._loop.call_soon(connection.close, CloseReason.CONNECTION_BROKEN)
            request.set_exception(KafkaConnectionError(f"the connection to node {node} is broken: {error}"))
        else:
            connection._requests.append((number, request, request))

    async def _send_produce_req(self, node: int, batches: Batches) -> None:
        answer: Any
        try:
            answer = await self.client.send(node, SendProduceReqHandler(self, batches).create_request())
        except KafkaError as error:
            answer = error
        self._judge(node, batches, answer)

    def _judge(self, node: int, batches: Batches, answer: Any) -> None:
        """Settles what an answer or error settles; only what is to be written again holds up what is behind it.

        A node that could not be asked is left alone as long as its batches are.
        """
        again = self._settle(batches, answer)
        if self._ended:
            for batch in again.values():
                batch.failure(answer if isinstance(answer, KafkaError) else ProducerClosed())
            return
        broken = isinstance(answer, KafkaError)
        self._release(None if again and broken else node, batches.keys() - again.keys())
        if again:
            self._judging.add(self._begin(self._write_again(node if broken else None, again)))
        self._write_due()

    def _settle(self, batches: Batches, answer: Any) -> Batches:
        """Settles the batches as aiokafka does, and returns those that are to be written again."""
        handler = SendProduceReqHandler(self, batches)
        if not isinstance(answer, KafkaError):
            handler.handle_response(answer)
            again = {batch.tp: batch for batch in handler._to_reenqueue}
            unsaid = KafkaError("Kafka's answer does not name the batch")
        else:
            if getattr(answer, "invalid_metadata", False):
                self.client.force_metadata_update()
            again = {place: batch for place, batch in batches.items() if handler._can_retry(answer, batch)}
            unsaid = answer
        for place, batch in batches.items():
            if place not in again:
                batch.failure(unsaid)  # Does nothing to one that is settled.
        return {place: batch for place, batch in again.items() if not batch.future.done()}

    async def _write_again(self, node: int | None, batches: Batches) -> None:
        """Puts the batches back into the queue after a while, and lets them go when the metadata are there.

        Where these do not come, the batches go to the leader that is known: one that does not lead any more refuses
        them, and they are tried again.
        """
        await asyncio.sleep(self._retry_backoff)
        for batch in batches.values():
            if not batch.future.done():  # It is, where all were failed meanwhile.
                self._message_accumulator.reenqueue(batch)
        await _wait_for_metadata(self.client._maybe_wait_metadata())
        self._release(node, batches)
        self._write_due()

    def _release(self, node: int | None, places: Iterable[TopicPartition]) -> None:
        self._in_flight.discard(node)
        self._muted_partitions.difference_update(places)

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._judging.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._break(fault)

    def _break(self, fault: BaseException) -> None:
        """Ends with a fault of this program: every batch fails of it, and none is taken any more."""
        if not self._ended:
            self._ended = True
            fail_all(self._message_accumulator, KafkaError(f"the sender ended: {fault!r}"))


async def _wait_for_metadata(known: Awaitable[object]) -> None:
    """Returns when they are there, or do not come in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_METADATA_S):
            await known


class _Request:
    """A request on its way, which stands among those of its connection, as request and as future of the answer."""

    __slots__ = ("_connection", "_deadline", "_done", "_sender", "batches", "correlation_id", "node")

    def __init__(self, sender: _PromptSender, node: int, batches: Batches, connection: Any, *, within_s: float) -> None:
        self._sender = sender
        self.node = node
        self.batches = batches
        self._connection = connection
        self._done = False
        self._deadline = asyncio.get_running_loop().call_later(within_s, self._give_up)

    RESPONSE_TYPE = ProduceResponse_v7

    def parse_response_header(self, buffer: BytesIO) -> "_Request":
        """Reads the number of the request that is answered."""
        self.correlation_id = read_number(buffer)
        return self

    def done(self) -> bool:
        """Returns whether the answer or an error is there."""
        return self._done

    def set_result(self, answer: Any) -> None:
        """The answer is there."""
        if not self._done:
            self._done = True
            self._deadline.cancel()
            self._sender.answered(self, answer)

    set_exception = set_result

    def _give_up(self) -> None:
        # The batches first: when the connection ends, they have their error, and it is that of their time.
        self.set_exception(RequestTimedOutError())
        cut(self._connection, CloseReason.CONNECTION_TIMEOUT)
