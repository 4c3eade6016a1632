"""The services of `dropstream up`, by themselves: what a person is told of one that ended."""

import os
import re
import signal
from pathlib import Path

import pytest

from ops.local.services import Service, log_file, services_running
from tests.support.ports import free_ports
from tests.support.programs import eventually


def pid_of(configuration: Path) -> int:
    """The process that was started with this configuration."""
    wanted = f"DROPSTREAM_CONFIG={configuration}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError("it does not run")


def file_named_in(sentence: str) -> Path:
    """The file that a person is told to see."""
    named = re.search(r"\(see (.+)\)", sentence)
    assert named is not None
    return Path(named[1])


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for a process in /proc")
async def test_what_an_ended_service_said_can_still_be_read(tmp_path: Path) -> None:
    """The file that is named when a service ended holds all that it said, after it was started again too."""
    port = free_ports(1)
    configuration = tmp_path / "dropstream.toml"
    configuration.write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[console]\nport = {port}\n[endpoints]\n', encoding="utf-8"
    )
    service = Service("console", ("console",), f"http://127.0.0.1:{port}/readyz")
    told: list[str] = []
    environ = {"DROPSTREAM_CONFIG": str(configuration)}
    async with services_running([service], environ=environ, logs=tmp_path, report=told.append):
        said = log_file(tmp_path, "console").read_text()
        assert '"started"' in said
        os.kill(pid_of(configuration), signal.SIGKILL)
        await eventually(lambda: bool(told))
        await eventually(lambda: '"started"' in log_file(tmp_path, "console").read_text())
    assert said in file_named_in(told[0]).read_text()
