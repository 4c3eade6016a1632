"""`dropstream` that kills itself with -9 at a named step of a transaction.

Run as `python -m tests.support.dying STEP VERB ...`. What it runs is the real program; only the calls at the
borders of the steps are wrapped.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

import processors.runtime.partition
from ops.cli import main
from processors.runtime.transaction_writer import TransactionWriter

Method = Callable[..., Awaitable[Any]]

# Each step: a method of the producer or of the transaction writer, whether death comes before the call, while it waits
# or after it, and with which call of all partitions together. Late enough that some transactions are behind it.
STEPS = {
    "fenced": ("start", "after", 3),
    "restored": ("restore_store", "after", 3),
    "begun": ("begin_transaction", "after", 5),
    "outputs_on_their_way": ("send_batch", "during", 30),
    "some_outputs_sent": ("send_batch", "after", 30),
    "offsets_on_their_way": ("send_offsets_to_transaction", "during", 5),
    "offsets_sent": ("send_offsets_to_transaction", "after", 5),
    "all_sent": ("written", "before", 5),
    "written": ("written", "after", 5),
    "commit_on_its_way": ("commit_transaction", "during", 5),
    "committed": ("commit_transaction", "after", 5),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(method: Method, moment: str, turn: int) -> Method:
    """`method`; its `turn`-th call is the process's last."""
    calls = 0

    async def call(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls != turn:
            return await method(*args, **kwargs)
        if moment == "before":
            die()
        if moment == "during":
            # The request is out; nobody reads the answer.
            asyncio.get_running_loop().call_later(0.001, die)
        answer = await method(*args, **kwargs)
        die()
        return answer

    return call


def arm(step: str) -> None:
    """From now on the process ends at `step`."""
    name, moment, turn = STEPS[step]
    owners: dict[str, object] = {"restore_store": processors.runtime.partition, "written": TransactionWriter}
    owner = owners.get(name, AIOKafkaProducer)
    setattr(owner, name, deadly(getattr(owner, name), moment, turn))


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
