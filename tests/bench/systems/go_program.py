"""The ingress in Go, built with this machine's Go; it is left out where there is none, or its modules cannot be had.

The folder's go.mod and go.sum are the lock: version and hash of all that it is built from.
"""

import shutil
import subprocess
from pathlib import Path

from schemas.settings import Settings
from tests.support.checkout import ROOT

_SOURCE = Path(__file__).parent / "go_ingress"
BUILT = ROOT / ".dropstream" / "bench" / "go_ingress"
_BUILD_S = 300


def build() -> str:
    """Builds the program; returns why there is none, or "". Go itself knows what is built already."""
    go = shutil.which("go")
    if go is None:
        return "there is no Go on this machine"
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    command = (go, "build", "-mod=readonly", "-trimpath", "-o", str(BUILT), ".")
    try:
        done = subprocess.run(command, cwd=_SOURCE, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    except subprocess.TimeoutExpired:
        return f"go build took longer than {_BUILD_S} s"
    if done.returncode:
        return f"go build: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return ""


def arguments(settings: Settings) -> tuple[str, ...]:
    """What the program is told of the configuration that the other systems read themselves."""
    return (
        str(settings.ingest.port),
        settings.kafka.bootstrap_servers,
        f"{settings.kafka.topic_prefix}raw",
        str(settings.ingest.body_bytes_max),
        *(f"{name}={endpoint.provider}" for name, endpoint in settings.endpoints.items()),
    )
