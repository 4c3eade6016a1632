"""The judge of every test of the system: what went into `raw` against what came out, counted from the logs alone."""

from collections import Counter
from dataclasses import dataclass

import orjson

from ops.reading import full_name, open_reader
from schemas.records import RawRecord
from schemas.settings import Settings
from schemas.vocabulary import Domain

OUTPUTS = (*(domain.topic for domain in Domain), "rejected", "duplicates")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Positions in `raw` that led to nothing; events or rejections written twice; events out of their entity's turn."""

    deliveries: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    disordered: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.disordered)


async def audit(settings: Settings) -> Verdict:
    """The verdict on everything in the topics of `settings`, as a reader of committed records sees it."""
    raw = {str(record.position) for record in await read_topic(settings, "raw")}
    origins: set[str] = set()
    identities: Counter[str] = Counter()
    disordered: list[str] = []
    for topic in OUTPUTS:
        last_offset: dict[tuple[bytes | None, str], int] = {}
        for record in await read_topic(settings, topic):
            origin, identity = _origin(record)
            origins.add(origin)
            identities[identity] += 1
            partition, _, offset = origin.rpartition("/")
            if last_offset.get((record.key, partition), -1) > int(offset):
                disordered.append(identity)
            last_offset[record.key, partition] = int(offset)
    doubled = tuple(identity for identity, count in identities.items() if count > 1)
    return Verdict(len(raw), tuple(sorted(raw - origins)), doubled, tuple(disordered))


async def read_topic(settings: Settings, topic: str) -> list[RawRecord]:
    """Every committed record of `topic` (short name) up to its present end, in order within a partition."""
    async with open_reader(settings, [full_name(topic, settings)], "beginning") as reader:
        records: list[RawRecord] = []
        while not await reader.is_at_end():
            records += await reader.fetch()
        return records


def _origin(record: RawRecord) -> tuple[str, str]:
    """Where in `raw` the record comes from, and what it is."""
    raw = dict(record.headers).get("dropstream-raw")
    if raw is not None:
        return raw.decode(), raw.decode()
    event = orjson.loads(record.value or b"")
    return f"{event['rawtopic']}/{event['rawpartition']}/{event['rawoffset']}", event["id"]
