"""What a step remembers of one input partition: the store, and an overlay for the running transaction.

The changes of a transaction go to the store's changelog in Kafka (`processors.runtime.changelog`), together with the
outputs and the input offset: all of them are committed, or none. The store holds only what is known to be committed. It
is memory; one that may grow beyond memory keeps a cache on disk, which the changelog makes anew where it is damaged.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

Change = tuple[bytes, bytes | None]


class LocalStoreError(Exception):
    """The cache on disk cannot be used: it is damaged or of another log (`is_damage`), or its disk fails."""

    def __init__(self, sentence: str, *, is_damage: bool) -> None:
        super().__init__(sentence)
        self.is_damage = is_damage


class StoreBusyError(LocalStoreError):
    """The disk does not keep up now. The store is right, and knows what is not yet on the disk; ask it again later."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, is_damage=False)


@dataclass(frozen=True, slots=True)
class LogExtent:
    """The changelog partition that a store is restored from: which one on which cluster, and what it has.

    `first` is the offset of its first record, `end` the one behind its last.
    """

    cluster: str
    topic: str
    partition: int
    first: int
    end: int


@dataclass(slots=True, eq=False)
class StateStore(ABC):
    """The store of one input partition. A change counts for the step at once, and for good when it is committed.

    A store stays in this process while its partition is elsewhere, so it knows by itself what it stands for:
    `changelog_offset` is where reading its changelog goes on, `input_offset` is the offset behind the last record of
    the input that it has taken in, and `rules_digest` names the rules that topic `rules` says last of its partition.
    """

    changelog_offset: int = field(default=0, init=False)
    input_offset: int = field(default=0, init=False)
    rules_digest: str = field(default="", init=False)

    async def open(self, log: LogExtent) -> int:
        """Makes the store ready to be restored from `log`; returns the offset where reading begins.

        Raises:
            LocalStoreError: the disk cannot be used now.
        """
        return max(self.changelog_offset, log.first)

    async def settle(self, patience_s: float = 1.0) -> None:  # noqa: B027 most stores are memory, and always settled
        """Returns when the store bears more changes: called before a transaction, while restoring, and after it.

        Raises:
            StoreBusyError: it does not after `patience_s`; the partition of a slow disk holds up no other.
            LocalStoreError: the disk fails, or the cache is damaged; `discard` it, and restore anew.
        """

    async def discard(self, reason: str) -> None:
        """Forgets everything that the store holds, so that it can be restored from the first record on."""
        raise NotImplementedError("memory alone is never damaged")

    def turn_to_restore(self) -> AbstractAsyncContextManager[object]:
        """Waits for its turn where stores are restored one after the other, so that the first is soon at work."""
        return nullcontext()

    def restored(self) -> None:  # noqa: B027 most stores have nothing to compare
        """The changelog is read to its end.

        Raises:
            LocalStoreError: what the store holds is not of this log; `discard` it, and restore anew.
        """

    async def close(self) -> None:  # noqa: B027 most stores hold nothing but memory
        """Lets the disk go; the partition is elsewhere from now on."""

    def reaches_back_to_ms(self, key: bytes, value: bytes | None, written_ms: int) -> int | None:
        """Before which time (ms since 1970) no record of the changelog matters any more where this one is the newest.

        None: the record does not say.
        """
        del key, value, written_ms
        return None

    @abstractmethod
    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes one changelog record, in the order of the log; taking one again changes nothing.

        Raises:
            ValueError: this kind of store does not write such a record.
            LocalStoreError: what the store holds is not of this log; `discard` it, and restore anew.
        """

    @abstractmethod
    def changes(self) -> Sequence[Change]:
        """The running transaction's changelog records; None as value is a tombstone."""

    @abstractmethod
    def commit(self) -> None:
        """Moves the overlay into the store: the running transaction is committed, and the offsets say so already."""

    @abstractmethod
    def roll_back(self) -> None:
        """Forgets the overlay: nobody knows whether the running transaction is committed, but the changelog will."""

    @property
    @abstractmethod
    def entries(self) -> int:
        """How many entries memory holds."""

    @property
    @abstractmethod
    def evicted(self) -> int:
        """How many entries were forgotten early, for want of room, since this process began."""

    @property
    def fullness(self) -> float:
        """The share of its room that the store has used; beyond 1 entries are forgotten early. 0 without a bound."""
        return 0.0


StoreT = TypeVar("StoreT", bound=StateStore)
