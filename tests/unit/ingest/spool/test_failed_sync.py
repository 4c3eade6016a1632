"""A disk that says once that it could not sync: what the file holds is not believed to be on the disk any more.

After a failed fsync Linux takes the pages for clean, and the next fsync says yes although they were never written
("Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.spool.file import SpoolFile
from ingest.spool.queue import Spool
from tests.support.checkout import ROOT as CHECKOUT
from tests.support.skipped import missing
from tests.support.waiting import PATIENCE_S
from tests.unit.ingest.spool.test_file import ROOM, pending
from tests.unit.ingest.spool.test_queue import put

# Fails once for each time that the file named by FAIL_SYNC is there, and takes it away.
_SHIM = """
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int sync_by(long call, int fd) {
    const char *control = getenv("FAIL_SYNC");
    if (control && unlink(control) == 0) { errno = EIO; return -1; }
    return syscall(call, fd);
}
int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }
"""


async def spool_through_a_failed_sync(folder: Path, fail_sync: Callable[[], None]) -> dict[str, object]:
    """Three records, the second one while the disk cannot sync; what became of them and of the file."""
    spool = Spool(SpoolFile(folder / "spool-0.sqlite", bytes_max=ROOM))
    with capture_logs() as told:
        written = [await put(spool, pending(1))]
        fail_sync()
        written += [await put(spool, pending(2)), await put(spool, pending(3))]
    found = await spool.oldest(count_max=9, bytes_max=ROOM)
    await spool.close()
    return {
        "written": written,
        "found": [one.record.timestamp_ms for one in found],
        "path": spool.path.name,
        "told": [(line["event"], line.get("salvaged")) for line in told],
    }


def test_a_file_that_could_not_be_synced_is_left_for_a_fresh_one(tmp_path: Path) -> None:
    """What reads is copied and synced anew, the record that was refused is written there, and it is told."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip(missing("a C compiler is not here", bring="gcc"))
    (source := tmp_path / "shim.c").write_text("#define _GNU_SOURCE\n" + _SHIM)
    shim = tmp_path / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(shim), str(source)], check=True)
    (folder := tmp_path / "spool").mkdir()
    environ = {**os.environ, "LD_PRELOAD": str(shim), "FAIL_SYNC": str(tmp_path / "fail")}
    command = [sys.executable, "-m", "tests.unit.ingest.spool.test_failed_sync", str(folder)]
    told = subprocess.run(
        command, env=environ, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_S
    ).stdout
    assert json.loads(told) == {
        "written": [True, True, True],
        "found": [pending(number).timestamp_ms for number in (1, 2, 3)],
        "path": "spool-1.sqlite",
        "told": [["spool_damaged", 1]],
    }
    assert [path.name for path in folder.glob("*.sqlite")] == ["spool-1.sqlite"]
    assert len(list(folder.glob("spool-0.sqlite.corrupt-*Z"))) == 1


if __name__ == "__main__":
    control = Path(os.environ["FAIL_SYNC"])
    sys.stdout.write(json.dumps(asyncio.run(spool_through_a_failed_sync(Path(sys.argv[1]), control.touch))))
