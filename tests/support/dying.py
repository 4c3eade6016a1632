"""`dropstream` that kills itself with -9, or freezes, at a named step of a transaction.

Run as `python -m tests.support.dying STEP VERB ...`; with `freeze:STEP` it stops itself there until it gets SIGCONT.
What it runs is the real program; only the calls at the borders of the steps are wrapped.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

import processors.runtime.opening
from ops.cli import main
from schemas.kafka.transactions.group_producer import GroupProducer

Method = Callable[..., Awaitable[Any]]

# Each step: a method of the producer or of opening, whether death comes before the call, while it waits
# or after it, and with which call of all partitions together. Late enough that some transactions are behind it.
STEPS = {
    "fenced": ("start", "after", 3),
    "offsets_known": ("stable_offsets", "after", 2),
    "restoring": ("restore_store", "during", 3),
    "restored": ("restore_store", "after", 3),
    "beginning": ("begin_transaction", "during", 5),
    "begun": ("begin_transaction", "after", 5),
    "outputs_on_their_way": ("write", "during", 5),
    "outputs_written": ("write", "after", 5),
    "positions_on_their_way": ("send_positions", "during", 5),
    "positions_sent": ("send_positions", "after", 5),
    "all_sent": ("commit_transaction", "before", 5),
    "commit_on_its_way": ("commit_transaction", "during", 5),
    "committed": ("commit_transaction", "after", 5),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stops this process; the line before tells the test."""
    os.write(1, b'{"event": "frozen_by_the_test"}\n')
    os.kill(os.getpid(), signal.SIGSTOP)


def deadly(method: Method, moment: str, turn: int, end: Callable[[], None]) -> Method:
    """`method`; in its `turn`-th call the process comes to its `end`."""
    calls = 0

    async def call(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls != turn:
            return await method(*args, **kwargs)
        if moment == "before":
            end()
            return await method(*args, **kwargs)
        if moment == "during":
            # The request is out; nobody reads the answer.
            asyncio.get_running_loop().call_later(0.001, end)
            return await method(*args, **kwargs)
        answer = await method(*args, **kwargs)
        end()
        return answer

    return call


def arm(step: str) -> None:
    """From now on the process ends, or freezes, at `step`."""
    end = freeze if step.startswith("freeze:") else die
    name, moment, turn = STEPS[step.removeprefix("freeze:")]
    # Both kinds of producer commit: that of the groups and replays, and that of `dropstream reconcile`.
    owners = [one for one in (processors.runtime.opening, GroupProducer, AIOKafkaProducer) if name in vars(one)]
    for owner in owners:
        setattr(owner, name, deadly(getattr(owner, name), moment, turn, end))


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
