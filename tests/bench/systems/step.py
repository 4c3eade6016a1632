"""What the other consumers need to call the same pure step as ours."""

from collections import defaultdict

from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from processors.providers import discover
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from schemas.topics import record_bytes_max


class Step:
    """`processors.deliver.step` with memory only: what was seen is never written, so never forgotten, nor restored."""

    def __init__(self, settings: Settings) -> None:
        self._rules = Rules(settings.endpoints, discover(), record_bytes_max(settings))
        process = settings.process
        self._seen: defaultdict[int, DedupeStore] = defaultdict(
            lambda: DedupeStore(window_s=process.dedupe_window_hours * 3_600)
        )

    def __call__(self, raw: RawRecord) -> tuple[Record, ...]:
        """The records that it leads to."""
        return deliver(raw, self._rules, self._seen[raw.position.partition])
