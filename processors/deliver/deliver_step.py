"""The step of group `deliver`, as one process takes it: `deliver`, and the wait for an endpoint that it lacks."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from processors.deliver.awaited_endpoints import AwaitedEndpoints
from processors.deliver.sightings import Sightings
from processors.deliver.step import Rules, deliver
from processors.runtime.group_spec import NotYetError
from schemas.delivery import read_record
from schemas.notes.rejections import Reason
from schemas.records import RawRecord, Record

_UNKNOWN = ("dropstream-reason", Reason.ENDPOINT_UNKNOWN.encode())


@dataclass(frozen=True, slots=True)
class DeliverStep:
    """`deliver` by the rules of one moment, those at which a transaction began."""

    rules: Rules
    awaited: AwaitedEndpoints

    def __call__(self, raw: RawRecord, store: Sightings) -> tuple[Record, ...]:
        """The records that the delivery leads to.

        Raises:
            NotYetError: its endpoint is not known here yet, and is waited for.
        """
        records = deliver(raw, self.rules, store)
        if records[0].topic == "rejected" and _UNKNOWN in records[0].headers and self._waits(raw):
            raise NotYetError
        return records

    def _waits(self, raw: RawRecord) -> bool:
        delivery = read_record(raw)
        if delivery.endpoint in self.rules.endpoints:
            return False  # Rejected for another reason: who writes to `raw` can have put the header there.
        return self.awaited.waits(delivery.endpoint, delivery.received_at, datetime.now(UTC), time.monotonic())
