"""`dropstream audit` as a program, the state that it keeps, and records that somebody else writes to an output."""

from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ops.audit.state import AuditState, read_state
from ops.kafka.reader import full_name
from ops.local.processes import command_line
from schemas.kafka.arguments import producer_arguments
from schemas.records import RawRecord
from schemas.settings import Settings
from tests.support.replaying import Ended, counts, program
from tests.support.waiting import until

_WORKER = "ops.audit.workers"


async def since_last(settings: Settings, folder: Path) -> Ended:
    """`dropstream audit --since-last`, to its end."""
    return await program(settings, folder).run("audit", "--since-last")


def judged(ended: Ended) -> int:
    """How many deliveries the audit has judged."""
    return counts(ended.out)["judged again"]


def verdict(ended: Ended) -> str:
    """The last word of the audit."""
    return ended.out.rstrip("\n").rpartition("verdict\t")[2]


async def state(settings: Settings) -> AuditState:
    """What is kept of the audits."""
    return await read_state(settings)


async def write_copy(settings: Settings, topic: str, record: RawRecord) -> None:
    """Writes the record once more, behind everything that is in its partition of `topic` (short name)."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await producer.send_and_wait(
            full_name(topic, settings),
            record.value,
            key=record.key,
            partition=record.position.partition,
            headers=list(record.headers),
        )


def children(pid: int) -> Iterator[int]:
    """The processes of an audit that the process `pid` has started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _WORKER in command_line(int(entry.name)) and _parent(entry) == pid:
            yield int(entry.name)


async def first_children(pid: int, count: int) -> list[int]:
    """The processes of an audit that the process `pid` has started, once there are `count`."""
    await until(lambda: len(list(children(pid))) >= count)
    return list(children(pid))


async def all_gone(pids: list[int]) -> None:
    """Returns once none of these processes of an audit runs."""
    await until(lambda: not any(_WORKER in command_line(pid) for pid in pids))


def _parent(entry: Path) -> int | None:
    try:
        # After the name in brackets: the state, then the parent. proc_pid_stat(5)
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None
