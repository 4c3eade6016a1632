"""Remembers which deliveries in the spool the Kafka client still has, too, since their deadline.

Such a delivery is sent again only when the client has given the first try up. This is known while the process lives;
the next process sends what it finds, and the processors drop a copy as a retry.
"""

from ingest.kafka.batches import Fate
from schemas.delivery import PendingRecord, delivery_id


class Doubts:
    """The fates of spooled deliveries, by delivery id; a delivery without an id is never in doubt."""

    def __init__(self) -> None:
        self._fates: dict[bytes, Fate] = {}

    def note(self, record: PendingRecord, fate: Fate) -> None:
        """Remembers that the client still has the record."""
        if id_ := delivery_id(record):
            self._fates[id_] = fate

    def fate_of(self, record: PendingRecord) -> Fate | None:
        """Returns the fate of the record's last try; None where no try is in doubt."""
        return self._fates.get(delivery_id(record))

    def forget(self, record: PendingRecord) -> None:
        """Forgets the record, which left the spool, never came there, or is sent again."""
        self._fates.pop(delivery_id(record), None)
