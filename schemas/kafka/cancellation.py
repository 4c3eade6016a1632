"""A cancellation that something else swallows is not lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Cancellable(Protocol):
    """A task of asyncio, as far as it is needed here."""

    def cancelling(self) -> int:
        """How often it was asked to end, less how often that was taken back."""

    def uncancel(self) -> int:
        """Takes one such request back."""

    def cancel(self) -> bool:
        """Asks it to end; it does at its next wait."""


@contextmanager
def cancellation_kept(task: Cancellable | None) -> Iterator[None]:
    """The running `task`, cancelled inside, ends at its next wait behind the block, whatever became of that inside.

    A client of aiokafka that closes suppresses every `CancelledError` while it waits for a task that it cancelled
    itself, ours too: `close` in https://github.com/aio-libs/aiokafka/blob/v0.14.0/aiokafka/client.py
    """
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        task.uncancel()
        task.cancel()
