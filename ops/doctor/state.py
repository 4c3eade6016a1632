"""Whether the processors can keep on disk what they remember of deliveries, and whose stores lie there.

What lies there is a cache, so a foreign store does no harm: the processors make theirs anew, which takes time.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ingest.spool.network_disk import network_file_system_of
from ops.doctor.check_result import CheckResult
from ops.kafka.clients import admin
from processors.deliver.keys.folder import stores_below
from schemas.errors import DropstreamError
from schemas.settings import Settings

_SUBJECT = "state"
_FREE_BYTES_MIN = 1_073_741_824
_MEBIBYTE = 1_048_576
_ELSEWHERE = "set process.state_dir to another folder"


async def examine_state(settings: Settings) -> list[CheckResult]:
    """What is to be said of `process.state_dir`; nothing where all is kept in memory."""
    if not settings.process.state_dir:
        return []
    topic = f"{settings.kafka.topic_prefix}deliver-state"
    return list(examine_state_dir(Path(settings.process.state_dir), topic, await _cluster_id(settings)))


async def _cluster_id(settings: Settings) -> str | None:
    try:
        async with admin(settings) as client:
            return str((await client.describe_cluster())["cluster_id"])
    except DropstreamError:
        return None  # Kafka's own line says why.


def examine_state_dir(state_dir: Path, topic: str, cluster: str | None) -> Iterator[CheckResult]:
    """Whether stores of changelog `topic` can be kept, and whether those that lie there are of `cluster`, if known."""
    try:
        yield _examine_room(state_dir)
        yield from _examine_stores(state_dir, topic, cluster)
    except OSError as error:
        yield CheckResult("failed", _SUBJECT, f"{state_dir} cannot be looked at ({error.strerror}); {_ELSEWHERE}")
    network = network_file_system_of(state_dir)
    if network is not None:
        sentence = f"on a network file system ({network}), where locks and order of writes are unsafe; {_ELSEWHERE}"
        yield CheckResult("warning", "state's disk", sentence)


def _examine_room(state_dir: Path) -> CheckResult:
    folder = next(one for one in (state_dir.absolute(), *state_dir.absolute().parents) if one.exists())
    if not folder.is_dir():
        return CheckResult("failed", _SUBJECT, f"{folder} is a file, so no store can be kept; {_ELSEWHERE}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        sentence = f"{folder} cannot be written by this user, nor dropstream process started; give it the right, or "
        return CheckResult("failed", _SUBJECT, sentence + _ELSEWHERE)
    free = shutil.disk_usage(folder).free
    room = f"{free // _MEBIBYTE} MiB free at {state_dir}"
    if free < _FREE_BYTES_MIN:
        sentence = f"{room}; make room, or partitions stand still where the memory of deliveries grows"
        return CheckResult("failed", _SUBJECT, sentence)
    absent = "" if folder == state_dir.absolute() else "; it is made when dropstream process starts"
    return CheckResult("ok", _SUBJECT, room + absent)


def _examine_stores(state_dir: Path, topic: str, cluster: str | None) -> Iterator[CheckResult]:
    foreign, strangers = [], []
    for store in stores_below(state_dir, topic):
        if store.path.stat().st_uid != os.getuid() and not os.access(store.path, os.R_OK | os.W_OK | os.X_OK):
            strangers.append(store.path.name)
        elif store.cluster is None or cluster not in {None, store.cluster}:
            foreign.append(store.path.name)
    if strangers:
        sentence = f"{topic}/{', '.join(strangers)} belongs to another user; start dropstream process as that user"
        yield CheckResult("failed", "state's stores", sentence)
    if foreign:
        sentence = (
            f"{topic}/{', '.join(foreign)} is of another cluster or version; the processors make it anew from Kafka, "
            "unless a live system uses it: then set process.state_dir to a folder of this one's own"
        )
        yield CheckResult("warning", "state's stores", sentence)
