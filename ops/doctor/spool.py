"""Whether the spool of the ingress can be written, and has room on a disk that is safe."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ops.doctor.check_result import CheckResult

_FREE_BYTES_MIN = 1_073_741_824
_MEBIBYTE = 1_048_576


def examine_disk(spool: Path, spool_bytes_max: int) -> CheckResult:
    """Whether the spool can be written, and can grow to its bound."""
    try:
        return _examine_folder(spool, spool_bytes_max)
    except OSError as error:
        sentence = f"{spool} cannot be looked at ({error.strerror}); set ingest.spool_dir to a directory that can"
        return CheckResult("failed", "spool", sentence)


def _examine_folder(spool: Path, spool_bytes_max: int) -> CheckResult:
    folder = next(one for one in (spool.absolute(), *spool.absolute().parents) if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return CheckResult(
            "failed", "spool", f"{folder} cannot be written; set ingest.spool_dir to a directory that can"
        )
    used = sum(file.stat().st_size for file in spool.iterdir() if file.is_file()) if spool.is_dir() else 0
    free = shutil.disk_usage(folder).free
    room = f"{free // _MEBIBYTE} MiB free at {spool}"
    if free < min(_FREE_BYTES_MIN, spool_bytes_max):
        return CheckResult("failed", "spool", f"{room}; make room, or deliveries are refused when Kafka is away")
    if free < spool_bytes_max - used:
        wanted = (spool_bytes_max - used) // _MEBIBYTE
        return CheckResult(
            "warning", "spool", f"{room}, the spool may take {wanted}; make room, or lower spool_bytes_max"
        )
    return CheckResult("ok", "spool", room)


def examine_file_system(network: str | None, spool_bytes_max: int) -> Sequence[CheckResult]:
    """A warning where there is a spool, and it is on the network file system `network`."""
    if network is None or not spool_bytes_max:
        return ()
    sentence = (
        f"on a network file system ({network}), where SQLite's log is unsafe; set ingest.spool_dir to a local disk"
    )
    return (CheckResult("warning", "spool's disk", sentence),)
