"""The step of group `sequence`: an observation, or time alone, makes gaps known.

A record that is no observation is passed over: another producer wrote it, and it must not stop the others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from processors.sequence import tracker
from processors.sequence.receipts import arrival_of
from processors.sequence.store import SequenceStore
from schemas.notes.dismissals import read_dismissal
from schemas.notes.sequence_observations import read_observation
from schemas.records import RawRecord, Record

# Time alone passes no receipt still on its way: what lies in `raw` is read first (`clock.upstream`), and a delivery
# may take this long from the ingress to `raw`. Ahead of it, a hole would be reported that the receipt fills in time,
# and a replay, which knows receipts only, would differ; as it does where the receipt waits in a spool for longer.
TRAIL = timedelta(seconds=5)
# The gaps of one punctuation fit in one transaction; the rest is due at the next.
_PUNCTUATE_GAPS_MAX = 10_000


def observe(record: RawRecord, store: SequenceStore) -> Sequence[Record]:
    """The gaps that one record of `sequence` makes known; none for one that is no observation and no dismissal."""
    observation = read_observation(record.value)
    if observation is None:
        return _dismiss(record, store)
    arrival, state = arrival_of(observation), store.find(observation.endpoint)
    if state is None and arrival.is_test:
        return ()
    return store.apply(tracker.observe(state, arrival, store.rules))


def _dismiss(record: RawRecord, store: SequenceStore) -> Sequence[Record]:
    """The gap that a person's dismissal makes; none for a record that is no dismissal of a sequence that is known."""
    dismissal = read_dismissal(record.value)
    state = store.find(dismissal.endpoint) if dismissal is not None else None
    if dismissal is None or state is None:
        store.skip(str(record.position))
        return ()
    return store.apply(tracker.dismiss(state, dismissal))


def punctuate(store: SequenceStore, now: datetime) -> Sequence[Record]:
    """The gaps that time alone makes known by `now` (aware), less the trail."""
    records: list[Record] = []
    for endpoint in store.endpoints():
        state = store.find(endpoint)
        if state is not None and (step := tracker.advance(state, now - TRAIL, store.rules)).state is not state:
            records += store.apply(step)
        if len(records) >= _PUNCTUATE_GAPS_MAX:
            break
    return records
