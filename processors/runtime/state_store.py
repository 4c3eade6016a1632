"""What a step remembers of one input partition: memory, and an overlay for the running transaction.

The changes of a transaction go to the store's changelog in Kafka (`processors.runtime.changelog`), together with the
outputs and the input offset: all of them are committed, or none. Memory holds only what is known to be committed.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Change = tuple[bytes, bytes | None]


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

    @abstractmethod
    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes one changelog record, in the order of the log; taking one again changes nothing.

        Raises:
            ValueError: this kind of store does not write such a record.
        """

    @abstractmethod
    def changes(self) -> Sequence[Change]:
        """The running transaction's changelog records; None as value is a tombstone."""

    @abstractmethod
    def commit(self) -> None:
        """Moves the overlay into memory: the running transaction is committed."""

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


StoreT = TypeVar("StoreT", bound=StateStore)
