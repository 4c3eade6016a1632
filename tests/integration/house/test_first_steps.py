"""The page for a stranger's first system, run as it stands: its blocks, in their order, in one shell."""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import orjson
import pytest

from tests.support.checkout import ROOT
from tests.support.ports import free_ports
from tests.support.skipped import missing
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

_INSTALLING = ["make env", ". .venv/bin/activate", "mkdir -p ~/dropstream-first-steps && cd ~/dropstream-first-steps"]


def blocks() -> list[str]:
    """The commands of the page, a text for each block."""
    page = (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def elsewhere(script: str) -> str:
    """The same commands on ports that are free."""
    ports = {"8080": free_ports(1), "8081": free_ports(1), "8082": free_ports(1), "9092": free_ports(3)}
    for written, free in ports.items():
        script = script.replace(f"127.0.0.1:{written}", f"127.0.0.1:{free}")
    script = script.replace("dropstream kafka start", f"dropstream kafka start --port {ports['9092']}")
    settings = (
        f"[ingest]\nport = {ports['8080']}\nadmin_port = {ports['8081']}\n[process]\nadmin_port = {ports['8082']}\n"
    )
    return script.replace("cat > dropstream.toml <<'END'\n", f"cat > dropstream.toml <<'END'\n{settings}\n")


@pytest.mark.usefixtures("kafka_runtime")
async def test_a_stranger_who_pastes_the_page_sees_an_event_of_each_provider(
    tmp_path: Path,
) -> None:
    """Every command of the page ends well, and what it shows is what the page says."""
    for program in ("openssl", "curl"):
        if shutil.which(program) is None:
            pytest.skip(missing(f"{program} is not here", bring=f"PATH=FOLDER-OF-{program.upper()}:$PATH make test"))
    first, *others = blocks()
    assert [line.partition("  #")[0].strip() for line in first.splitlines()] == _INSTALLING
    script = elsewhere("\n".join(others))
    # A command that fails ends it, and a program that still runs then must not outlive it.
    stop = "kill $(jobs -p); dropstream kafka stop --data broker"
    guard = f"trap '{{ {stop}; }} >/dev/null 2>&1 || true' EXIT\n"
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environ.pop("DROPSTREAM_CONFIG", None)
    home = tmp_path / "dropstream-first-steps"
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", guard + script),
        cwd=home,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text[-1500:] + errors.decode()[-1500:]
    assert "warning" not in text.partition("started:")[0]
    assert text.count("HTTP/1.1 200 OK") == 5
    records = [orjson.loads(line) for line in text.splitlines() if line.startswith('{"topic"')]
    events = {one["value"]["subject"]: one["value"]["signature"] for one in records if "value" in one}
    assert events == {
        "9944382": "verified",
        "100000015": "verified",
        "60f000000000000000000001": "verified",
        "PT:14": "verified",
    }
    assert [one["headers"]["dropstream-reason"] for one in records if "value" not in one] == ["signature_invalid"]
    doctor = {line.split("\t")[0]: line.split("\t")[1] for line in text.splitlines() if line.count("\t") == 2}
    assert {doctor[name] for name in ("configuration", "kafka", "topics", "ingress", "processors")} == {"ok"}
