"""The class-data archive: made once, and never given to a JVM that it would end or that would refuse it.

The Java here is a script that does what the test wants of it; the archive of a real one starts a broker in
`tests/integration/ops/test_archive.py`.
"""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from ops.local.broker.archive import with_archive
from ops.local.broker.install import Progress
from ops.local.broker.runtime import JavaRuntime
from tests.support.ports import free_ports

# Formats nothing, serves as the one node of a cluster, and at its end writes what the file `writes` says.
_JAVA = r"""
import pathlib, re, signal, socket, struct, sys
here, arguments = pathlib.Path(sys.argv[0]).parent, sys.argv[1:]
given = dict(one.split("=", 1) for one in arguments if one.startswith("-XX:") and "=" in one)
if "random-uuid" in arguments:
    sound = pathlib.Path(given["-XX:SharedArchiveFile"]).read_bytes() == b"whole"
    sys.exit(0 if sound or "-Xshare:on" not in arguments else 1)
if (here / "fails").exists():
    sys.exit("ERROR no such class")
if "format" in arguments:
    sys.exit(0)
with (here / "started").open("a") as file:
    file.write("x")

def end(*_):
    if (here / "writes").exists():
        pathlib.Path(given["-XX:ArchiveClassesAtExit"]).write_bytes((here / "writes").read_bytes())
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
port = int(re.search(r"//127.0.0.1:(\d+)", pathlib.Path(arguments[-1]).read_text())[1])
server = socket.create_server(("127.0.0.1", port))
while True:
    asker, _ = server.accept()
    asker.recv(4096)
    answer = struct.pack(">iiii", 1, 0, 1, 1) + struct.pack(">h", 0) + struct.pack(">ih", port, -1)
    asker.sendall(struct.pack(">i", len(answer)) + answer)
    asker.close()
"""


def java(folder: Path, writes: bytes | None) -> JavaRuntime:
    """A Java of the version 17 that writes this archive at the end of a broker."""
    folder.mkdir()
    (folder / "java").write_text(f"#!{sys.executable} -S\n{_JAVA}")
    (folder / "java").chmod(0o755)
    if writes is not None:
        (folder / "writes").write_bytes(writes)
    return JavaRuntime(str(folder / "java"), "17", folder)


def started(runtime: JavaRuntime) -> int:
    """How many brokers it has started."""
    noted = runtime.jars / "started"
    return len(noted.read_text()) if noted.exists() else 0


async def asked(runtime: JavaRuntime, cache: Path, progress: Progress = lambda _step: None) -> JavaRuntime:
    """What is given to a broker, with ports of the test's own."""
    return await with_archive(runtime, cache, progress, port=free_ports(2))


async def test_it_is_made_once_whoever_asks(tmp_path: Path) -> None:
    """Two at the same time get the same one, also behind a trial that was ended half-way; nothing else is left."""
    runtime, cache, told = java(tmp_path / "java", b"whole"), tmp_path / "cache", list[str]()
    (cache / "trial" / "node-1").mkdir(parents=True)
    (cache / "trial" / "node-1" / "half").touch()
    one, other = await asyncio.gather(*(asked(runtime, cache, told.append) for _ in range(2)))
    assert one == other == await asked(runtime, cache, told.append)
    assert one.archive is not None
    assert one.archive.read_bytes() == b"whole"
    assert (started(runtime), told) == (1, ["preparing faster starts (once)"])
    assert {entry.name for entry in cache.iterdir()} == {"lock", one.archive.name}


@pytest.mark.parametrize("writes", [None, b"", b"ha"])
async def test_one_that_java_does_not_start_from_is_never_used(tmp_path: Path, writes: bytes | None) -> None:
    """A JVM refuses it or crashes, at each start anew; so it is not there, and is not tried a second time."""
    runtime, cache = java(tmp_path / "java", writes), tmp_path / "cache"
    for _ in range(2):
        assert await asked(runtime, cache) == runtime
    assert started(runtime) == 1
    assert sorted(entry.stat().st_size for entry in cache.iterdir()) == [0, 0]


async def test_a_trial_that_does_not_start_is_repeated_the_next_time(tmp_path: Path) -> None:
    """Ports that were taken for a moment are no reason for slow starts for ever."""
    runtime, cache = java(tmp_path / "java", b"whole"), tmp_path / "cache"
    (tmp_path / "java" / "fails").touch()
    assert await asked(runtime, cache) == runtime
    assert {entry.name for entry in cache.iterdir()} == {"lock"}
    (tmp_path / "java" / "fails").unlink()
    assert (await asked(runtime, cache)).archive is not None


async def test_jars_in_another_place_have_another_one(tmp_path: Path) -> None:
    """Java would refuse the old one at each start; it goes, and that of another Java stays."""
    runtime, cache = java(tmp_path / "java", b"whole"), tmp_path / "cache"
    before = (await asked(runtime, cache)).archive
    (cache / "classes-4.3.1-java-17.0.9-0123456789ab.jsa").touch()
    shutil.move(tmp_path / "java", tmp_path / "moved")
    moved = JavaRuntime(str(tmp_path / "moved" / "java"), "17", tmp_path / "moved")
    after = (await asked(moved, cache)).archive
    assert before is not None
    assert after is not None
    assert {entry.name for entry in cache.iterdir()} == {
        *("lock", after.name, "classes-4.3.1-java-17.0.9-0123456789ab.jsa")
    }
    assert (after.name == before.name, started(moved)) == (False, 2)
