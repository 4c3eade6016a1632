"""What is cancelled ends, whatever it waits for: a client of Kafka that closes swallows a cancellation."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from itertools import count
from typing import Any

import pytest

from ops.kafka.clients import admin, consumer
from ops.kafka.offsets import open_client
from ops.kafka.reader import full_name, open_reader
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.producers import close_producer, open_producer
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import prepared
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka


class CancelledAt:
    """Runs `what`, and cancels the task as it begins to wait for the `number`-th time, counted from 0."""

    def __init__(self, what: Awaitable[None], number: int) -> None:
        self._steps = what.__await__()
        self._number = number
        self._waits = 0

    async def run(self) -> int:
        """How often it waited."""
        await self
        return self._waits

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = partial(next, self._steps)
        while True:
            try:
                waited_for = step()
            except StopIteration:
                return
            if self._waits == self._number and (task := asyncio.current_task()):
                task.cancel()
            self._waits += 1
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 what was awaited gets it
                step = partial(self._steps.throw, error)
            else:
                step = partial(next, self._steps)


async def _visit(settings: Settings) -> None:
    async with admin(settings) as client:
        await client.describe_cluster()
    async with consumer(settings) as reader:
        await reader.topics()


async def _ask(settings: Settings) -> None:
    async with open_client(settings) as client:
        await client.fetch_all_metadata()


async def _read(settings: Settings) -> None:
    async with open_reader(settings, [full_name("orders", settings)], "latest") as reader:
        await reader.fetch()


async def _write(settings: Settings) -> None:
    producer = await open_producer(producer_arguments(settings), topic=full_name("orders", settings), within_s=60)
    await close_producer(producer, flush_s=60)


# aiokafka leaves a connection open that is cancelled while it is made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("what", [_visit, _ask, _read, _write])
def test_what_is_cancelled_ends(what: Callable[[Settings], Awaitable[None]], settings: SettingsFactory) -> None:
    """Visit, question, reader and producer end cancelled where they are cancelled, at whichever of their waits."""
    asyncio.run(_cancelled_at_every_wait(what, settings()))
    gc.collect()  # While the warnings of what was left open are unheard.


async def _cancelled_at_every_wait(what: Callable[[Settings], Awaitable[None]], settings: Settings) -> None:
    mine = await prepared(settings)
    for number in count():
        task = asyncio.ensure_future(CancelledAt(what(mine), number).run())
        await asyncio.wait([task], timeout=PATIENCE_S)
        assert task.done(), f"cancelled at wait {number}, it did not end"
        if not task.cancelled():
            assert task.result() <= number, f"cancelled at wait {number}, it went on"
            return
