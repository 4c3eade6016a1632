"""`schemas.kafka.futures`: an error that nobody can ask for is not logged; every other one is."""

import asyncio
import gc
from typing import Any

from aiokafka.errors import KafkaTimeoutError

from schemas.kafka.futures import ignore_kafka_errors, retrieve_exception


async def test_a_retrieved_error_is_not_logged() -> None:
    """asyncio says nothing of a failed future that is collected, once its error is retrieved."""
    loop = asyncio.get_running_loop()
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: said.append(context))
    for retrieved in (True, False):
        future: asyncio.Future[None] = loop.create_future()
        future.set_exception(KafkaTimeoutError())
        if retrieved:
            retrieve_exception(future)
        del future
        gc.collect()
    assert len(said) == 1


async def test_futures_that_are_cancelled_or_not_done_have_no_error() -> None:
    """Neither raises."""
    loop = asyncio.get_running_loop()
    pending: asyncio.Future[None] = loop.create_future()
    retrieve_exception(pending)
    pending.cancel()
    retrieve_exception(pending)


async def test_only_errors_of_kafka_are_left_out() -> None:
    """The loop's own handler still hears of any other error."""
    loop = asyncio.get_running_loop()
    heard: list[dict[str, Any]] = []
    handler = loop.default_exception_handler
    loop.default_exception_handler = heard.append  # type: ignore[method-assign, assignment]
    try:
        ignore_kafka_errors(loop, {"message": "of a fenced producer", "exception": KafkaTimeoutError()})
        ignore_kafka_errors(loop, {"message": "a fault", "exception": ZeroDivisionError()})
        ignore_kafka_errors(loop, {"message": "no exception at all"})
    finally:
        loop.default_exception_handler = handler  # type: ignore[method-assign]
    assert [context["message"] for context in heard] == ["a fault", "no exception at all"]
