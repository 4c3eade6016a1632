"""Whether the markers of a producer's last commit are written: what is known of it, and how it becomes known.

A commit counts when it is answered; the markers that show it to readers are written after the answer. A coordinator
that is killed between the two and started again (Kafka 4.3.1 with one node) passes over partitions of which it does not
know the leader yet. The records wait there as if their transaction went on, and share the fate of the next one: its
abort takes them along.

A coordinator takes nothing more from the producer before all markers are written, and one that was killed has lost its
connections. So the next request that it takes over the connection of the commit tells that the markers are there; over
another connection nothing is known, and `schemas.kafka.transactions.settlement` is due.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka.transactions.transaction_requests import TransactionRequests

# So long after a commit its markers are asked for, where no transaction follows.
_ASK_AFTER_S = 1.0


class MarkersInDoubtError(KafkaError):  # type: ignore[misc] # aiokafka ships no types
    """The coordinator may have lost the markers of the last commit, so nothing may be written before they are there."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction that was to be committed: the partitions that wait for its markers, and the groups.

    `connection` is the one over which alone it was asked for, None where another one was lost before the answer.
    """

    partitions: frozenset[TopicPartition]
    groups: frozenset[str]
    is_answered: bool = False
    connection: object = None


def _nothing() -> None:
    """Nobody is to be told."""


@dataclass(slots=True, eq=False)
class MarkerWatch:
    """Keeps the last `commit` until its markers are known to be written.

    `on_doubt` is called where it is found to be in doubt although nothing is written.
    """

    requests: TransactionRequests
    commit: Commit | None = None
    on_doubt: Callable[[], None] = _nothing
    _asks_at: asyncio.TimerHandle | None = None
    _asking: asyncio.Task[None] | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the markers of the last commit may be missing."""
        return self.commit is not None and self.commit.connection is None

    def note_taken(self, connection: object) -> None:
        """The coordinator took a request over this connection; None where another one was lost before.

        Raises:
            MarkersInDoubtError: it may be one that came anew since the last commit.
        """
        commit = self.commit
        if commit is not None and (connection is None or connection is not commit.connection):
            raise MarkersInDoubtError("the coordinator was away since the last commit")
        self.commit = None

    def begin(self) -> None:
        """The commit is answered: soon its markers are asked for.

        So a connection that is closed later because nothing came raises no doubt, and a doubt does not wait for work.
        """
        self._asks_at = asyncio.get_running_loop().call_later(_ASK_AFTER_S, self._begin_asking)

    async def pause(self) -> None:
        """Returns when no request for the end is under way: it would end the transaction that is to begin."""
        if self._asking is not None and not self._asking.done():
            await asyncio.wait({self._asking})
        # At last, for what was asked for may have ended with asking again.
        if self._asks_at is not None:
            self._asks_at.cancel()

    def stop(self) -> None:
        """Asks for nothing more."""
        if self._asks_at is not None:
            self._asks_at.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _begin_asking(self) -> None:
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        """Asks for the end once more: that is answered when all markers are written, or passed over."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            while (commit := self.commit) is not None:
                tried = await self.requests.try_end()
                if tried.connection is None or tried.connection is not commit.connection:
                    # Over another one it could only be said that nothing is known.
                    self.commit = replace(commit, connection=None)
                    self.on_doubt()
                    return
                if tried.is_done:
                    self.commit = None
                    return
                await asyncio.sleep(tried.pause_after(clock() - began))
        except KafkaError:
            # It is refused, which the next transaction hears, too; until there is one, it is asked again.
            self.begin()
