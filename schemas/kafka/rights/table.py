"""The smallest set of rights of each program, in one table: from it come the check at a start and the lines to grant.

Kafka's own words and what implies what: https://kafka.apache.org/43/security/authorization-and-acls/
Read and Write of a topic imply Describe; that is how it is kept short. The right to begin an idempotent producer comes
with Write of any topic (KIP-679), so no program needs a right on the cluster.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from schemas.topics import TOPICS
from schemas.vocabulary import EVENT_TOPICS


class Resource(StrEnum):
    """A kind of thing that a right is about, as kafka-acls has it in its options."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    """What may be done, as kafka-acls has it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    ALTER = "Alter"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER_CONFIGS = "AlterConfigs"


_IMPLIED_BY = {
    Operation.DESCRIBE: (Operation.READ, Operation.WRITE, Operation.ALTER),
    Operation.DESCRIBE_CONFIGS: (Operation.ALTER_CONFIGS,),
}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that a program does; `name` is the full name, or with `is_prefix` what names begin with."""

    resource: Resource
    name: str
    operation: Operation
    is_prefix: bool = False

    def __str__(self) -> str:
        """As a person reads it: `Write on topic dropstream.raw`."""
        begins = " (and all that begin so)" if self.is_prefix else ""
        return f"{self.operation} on {self.resource} {self.name}{begins}"


class Purpose(StrEnum):
    """What a user of Kafka is for: a program, or verbs that need the same rights."""

    INGEST = "ingest"
    PROCESS = "process"
    TOPICS = "topics"
    MIGRATE = "migrate"
    DOCTOR = "doctor"
    AUDIT = "audit"
    INSPECT = "inspect"
    OFFSETS = "offsets"
    DISMISS = "dismiss"
    REPLAY = "replay"
    RECONCILE = "reconcile"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class _Needs:
    """The rights of a program by short names; `sentence` says which verbs are meant."""

    sentence: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    create: tuple[str, ...] = ()
    describe: tuple[str, ...] = ()
    alter: tuple[str, ...] = ()
    describe_configs: tuple[str, ...] = ()
    alter_configs: tuple[str, ...] = ()
    # Topics whose names begin with these and a dot: what a replay makes for itself.
    copies_written: tuple[str, ...] = ()
    copies_read: tuple[str, ...] = ()
    read_groups: tuple[str, ...] = ()
    describe_groups: tuple[str, ...] = ()
    transactional: tuple[str, ...] = ()


_ALL = tuple(one.name for one in TOPICS)
_GROUPS = ("deliver", "sequence")
_REPLAYED = (*EVENT_TOPICS, "rejected", "duplicates")

# What the groups of `process` do on their own: `process deliver` and `process sequence` can run as two users.
_GROUP_NEEDS: Mapping[str, _Needs] = {
    "deliver": _Needs(
        "",
        read=("raw", "deliver-state", "layout"),
        write=(*EVENT_TOPICS, "rejected", "duplicates", "sequence", "deliver-state", "rules"),
        read_groups=("deliver",),
        transactional=("deliver-",),
    ),
    "sequence": _Needs(
        "",
        read=("sequence", "sequence-state", "layout"),
        write=("gaps", "sequence-state", "rules"),
        read_groups=("sequence",),
        # How far `deliver` has read `raw` says whether an observation may still come, and the newest time there whether
        # the clock is believed; without either, time alone makes nothing due.
        describe=("raw",),
        describe_groups=("deliver",),
        transactional=("sequence-",),
    ),
}
_NEEDS: Mapping[Purpose, _Needs] = {
    Purpose.INGEST: _Needs("`dropstream ingest`", read=("layout",), write=("raw",)),
    Purpose.PROCESS: _Needs("`dropstream process`, both groups", read=("audit-state",)),
    Purpose.TOPICS: _Needs(
        "`dropstream topics plan` and `apply`",
        read=("layout",),
        write=("layout", "acts"),
        create=_ALL,
        describe=_ALL,
        alter_configs=_ALL,
    ),
    Purpose.MIGRATE: _Needs(
        "`dropstream topics apply --migrate`, beside those of `topics`",
        read=("raw", "sequence", "deliver-state", "sequence-state"),
        write=("deliver-state", "sequence-state", "layout"),
        alter=tuple(one.name for one in TOPICS if one.grows),
        read_groups=_GROUPS,
        transactional=("layout",),
    ),
    Purpose.DOCTOR: _Needs(
        "`dropstream doctor`",
        read=("layout", "audit-state", "sequence"),
        describe=_ALL,
        describe_configs=_ALL,
        describe_groups=_GROUPS,
    ),
    Purpose.AUDIT: _Needs(
        "`dropstream audit`",
        read=(
            *("raw", *EVENT_TOPICS, "rejected", "duplicates", "sequence", "gaps"),
            *("rules", "layout", "replay-state", "audit-state", "deliver-state"),
        ),
        write=("audit-state",),
        copies_read=_REPLAYED,
        describe_groups=_GROUPS,
    ),
    Purpose.INSPECT: _Needs(
        "`dropstream tail`, `trace`, `explain`, `gaps`, `send`, `acts`",
        read=("acts", "raw", *EVENT_TOPICS, "rejected", "duplicates", "sequence", "gaps", "sequence-state"),
        describe_groups=_GROUPS,
    ),
    Purpose.DISMISS: _Needs("`dropstream gaps dismiss`, beside those of `inspect`", write=("sequence", "acts")),
    Purpose.OFFSETS: _Needs("`dropstream offsets`", read=("raw", "sequence"), write=("acts",), read_groups=_GROUPS),
    Purpose.REPLAY: _Needs(
        "`dropstream replay`, `redrive`, and these acts of the console",
        read=("raw", *EVENT_TOPICS, "rejected", "duplicates", "layout", "replay-state", "deliver-state", "rules"),
        write=(*EVENT_TOPICS, "sequence", "replay-state", "acts"),
        copies_written=_REPLAYED,
        transactional=("replay-", "redrive-"),
    ),
    Purpose.RECONCILE: _Needs(
        "`dropstream reconcile`",
        read=("raw", "gaps", "sequence", "reconcile-state", "layout"),
        write=("raw", "gaps", "reconcile-state", "acts"),
        transactional=("reconcile-",),
    ),
    Purpose.CONSOLE: _Needs(
        "`dropstream console`, what it shows, and who logs in there",
        read=("raw", *EVENT_TOPICS, "rejected", "duplicates", "sequence", "gaps", "reconcile-state", "acts"),
        write=("acts",),
        describe_groups=_GROUPS,
    ),
}


def sentence_of(purpose: Purpose) -> str:
    """Which verbs are meant."""
    return _NEEDS[purpose].sentence


def rights_of(purpose: Purpose, prefix: str) -> tuple[Right, ...]:
    """All rights that are needed where names begin with `prefix`; in the order of names."""
    parts = [_NEEDS[purpose], *(_GROUP_NEEDS.values() if purpose is Purpose.PROCESS else ())]
    return _smallest(right for part in parts for right in _rights(part, prefix))


def group_rights(group: str, prefix: str) -> tuple[Right, ...]:
    """The rights without which consumer group `group` (short name) cannot work; none for a group that has no row."""
    needs = _GROUP_NEEDS.get(group)
    return () if needs is None else _smallest(_rights(needs, prefix))


def _smallest(rights: Iterable[Right]) -> tuple[Right, ...]:
    """Each once, without those that another one implies."""
    found = set(rights)
    implied = {
        replace(right, operation=less)
        for right in found
        for less, more in _IMPLIED_BY.items()
        if right.operation in more
    }
    return tuple(sorted(found - implied))


def _rights(needs: _Needs, prefix: str) -> Iterator[Right]:
    topics = {
        Operation.READ: needs.read,
        Operation.WRITE: needs.write,
        Operation.CREATE: needs.create,
        Operation.DESCRIBE: needs.describe,
        Operation.ALTER: needs.alter,
        Operation.DESCRIBE_CONFIGS: needs.describe_configs,
        Operation.ALTER_CONFIGS: needs.alter_configs,
    }
    for operation, names in topics.items():
        for name in names:
            yield Right(Resource.TOPIC, prefix + name, operation)
    for name in needs.copies_written:
        for operation in (Operation.WRITE, Operation.CREATE, Operation.DESCRIBE_CONFIGS):
            yield Right(Resource.TOPIC, f"{prefix}{name}.", operation, is_prefix=True)
    for name in needs.copies_read:
        yield Right(Resource.TOPIC, f"{prefix}{name}.", Operation.READ, is_prefix=True)
    for operation, names in ((Operation.READ, needs.read_groups), (Operation.DESCRIBE, needs.describe_groups)):
        for name in names:
            yield Right(Resource.GROUP, prefix + name, operation)
    for name in needs.transactional:
        is_prefix = name.endswith("-")
        yield Right(Resource.TRANSACTIONAL_ID, prefix + name, Operation.WRITE, is_prefix=is_prefix)
