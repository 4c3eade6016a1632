"""The image without a container engine: the Dockerfile's own steps, run in folders, and what they make, run by nobody.

What only an engine shows is not shown here: the base image, its users, layers and mounts.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from ops.kafka.topics import apply
from ops.service.healthcheck import lives
from tests.conftest import SettingsFactory
from tests.support.checkout import ROOT
from tests.support.deployment import DEPLOY, quiet_environment, run
from tests.support.ports import free_ports
from tests.support.skipped import missing
from tests.support.tools import tool
from tests.support.waiting import PATIENCE_S

USER = 10_001
_FILE = DEPLOY / "Dockerfile"
_PLACE = "/opt/dropstream"
_PACKAGES = ("schemas", "ingest", "processors", "ops")

# In mounts of its own: all is read-only but two folders, as a volume and a tmpfs are in a container.
_READ_ONLY = """
mount --make-rprivate /
for place in "$0/tmp" "$0/spool"; do mount --bind "$place" "$place"; done
mount --options remount,bind,ro /
exec "$@"
"""


def can_confine() -> bool:
    """Whether we may have mounts of our own and become another user: root, on Linux, with its rights."""
    return (
        bool(shutil.which("setpriv") and shutil.which("unshare"))
        and not subprocess.run(
            ["unshare", "--mount", "mount", "--make-rprivate", "/"], check=False, capture_output=True
        ).returncode
    )


def interpreter() -> str:
    """A Python like ours that every user may run; that of a person's home is none."""
    own = Path(sys.base_prefix, "bin", "python3").resolve()
    usual = Path("/usr/bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for one in (own, usual):
        if one.exists() and all(place.stat().st_mode & 0o001 for place in (one, *one.parents)):
            return str(one)
    pytest.skip(f"no {usual.name} that every user may run")


_NO_RIGHTS = missing("no rights to mounts of our own, as root has with setpriv and unshare", bring="sudo make test")
as_root = pytest.mark.skipif(not can_confine(), reason=_NO_RIGHTS)


def steps() -> list[str]:
    """The shell lines of the stage `build`, in order."""
    text = _FILE.read_text(encoding="utf-8").partition("\nFROM ${PYTHON_IMAGE}\n")[0]
    return [found.replace("\\\n", " ") for found in re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def image() -> Path:
    """What the stage `build` leaves at /opt/dropstream, elsewhere; its packages are kept from one run to the next."""
    packages, project = steps()
    python = interpreter()
    base = ROOT / ".dropstream" / "image"
    known = sha256((packages + python + sys.version).encode())
    for lock in ("requirements.txt", "requirements-dev.txt"):
        known.update((ROOT / lock).read_bytes())
    folder = base / known.hexdigest()[:16]
    work, place, path = folder / "build", folder / "dropstream", folder / "builder" / "bin"
    shell = {"PATH": f"{path}:{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    if not (folder / "complete").exists():
        shutil.rmtree(base, ignore_errors=True)
        work.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "builder"], check=True)
        (path / "python").unlink()
        (path / "python").symlink_to(python)
        for lock in ("requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / lock, work)
        step(packages, work, place, shell)
        (folder / "complete").touch()
    for package in _PACKAGES:
        shutil.rmtree(work / package, ignore_errors=True)
        shutil.copytree(ROOT / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, work)
    for made in ("build", "dist"):
        shutil.rmtree(work / made, ignore_errors=True)
    step(project, work, place, shell)
    return place


def step(line: str, work: Path, place: Path, shell: dict[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c", line.replace(_PLACE, str(place))]
    done = subprocess.run(
        command,
        cwd=work,
        env=quiet_environment(**shell),
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]


@pytest.fixture
def nobody(image: Path) -> Iterator["Nobody"]:
    folder = image.parent / "run"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("etc", "tmp", "spool"):
        (folder / name).mkdir(parents=True)
    for name in ("tmp", "spool"):
        os.chown(folder / name, USER, USER)
    folder.chmod(0o555)
    yield Nobody(image, folder)
    folder.chmod(0o755)
    shutil.rmtree(folder)


class Nobody:
    """Runs the image's programs as its user, where nothing can be written but `tmp` and `spool` of one folder."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.config = folder / "etc" / "dropstream.toml"

    def start(self, *arguments: str, python: bool = False) -> subprocess.Popen[str]:
        variables = {"PATH": f"{self.image}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {
            "DROPSTREAM_CONFIG": str(self.config),
            "TMPDIR": str(self.folder / "tmp"),
            "SECRET": "made-up-secret-of-acme",
        }
        return subprocess.Popen(
            [
                *("unshare", "--mount", "sh", "-c", _READ_ONLY, str(self.folder)),
                *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
                *("--bounding-set=-all", str(self.image / "bin" / ("python" if python else "dropstream"))),
                *arguments,
            ],
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, python: bool = False) -> tuple[int, str]:
        process = self.start(*arguments, python=python)
        said, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said


def content(image: Path) -> dict[str, tuple[int, int]]:
    files = [file for file in image.rglob("*") if file.is_file() and not file.is_symlink()]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def test_hadolint_finds_nothing_to_say() -> None:
    """The Dockerfile follows the rules that its readers expect."""
    run(tool("hadolint"), "--failure-threshold", "style", _FILE)


def test_the_dockerfile_names_no_registry_and_no_secret() -> None:
    """Where images and packages come from is the builder's to say; the user is a number."""
    text = _FILE.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"--index|--extra-index|--trusted-host|PASSWORD|SECRET|TOKEN", text)
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11-slim-bookworm$", text, re.MULTILINE)
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["dropstream"\]$', text, re.MULTILINE)


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """.dockerignore lets in every file that the Dockerfile copies; no environment, no state, no secret."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", _FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {source for line in copied for source in line.split()} == let_in


@as_root
def test_the_image_holds_what_it_needs_and_no_tool_of_its_making(image: Path, nobody: Nobody) -> None:
    """Every verb and time zone is there; no pip, no compiler's way, no in-memory broker."""
    assert nobody.run("--help")[0] == 0
    zones = "import zoneinfo; zoneinfo.reset_tzpath(to=[]); print(zoneinfo.ZoneInfo('Europe/Madrid'))"
    assert nobody.run("-c", zones, python=True) == (0, "Europe/Madrid\n")
    for gone in ("pip", "setuptools", "confluent_kafka"):
        assert nobody.run("-c", f"import {gone}", python=True)[0] == 1
    assert {file.name for file in (image / "bin").iterdir()} >= {"dropstream", "python"}


@as_root
async def test_the_image_works_where_it_can_write_nothing(nobody: Nobody, settings: SettingsFactory) -> None:
    """As a user without rights, its content untouched, it makes topics, takes a delivery, lives and drains."""
    mine = settings()
    await apply(mine)
    port, admin_port = free_ports(1), free_ports(1)
    nobody.config.write_text(
        f'[kafka]\nbootstrap_servers = "{mine.kafka.bootstrap_servers}"\ntopic_prefix = "{mine.kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = 3\n"
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {admin_port}\nspool_dir = "{nobody.folder}/spool"\n'
        '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
    )
    before = content(nobody.image)
    applied, said = nobody.run("topics", "apply")
    assert applied == 0, said
    assert "every secret is there and valid" in nobody.run("doctor")[1]
    assert not lives({admin_port: "/livez"})
    ingest = nobody.start("ingest", "--workers", "2")
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not lives({admin_port: "/readyz"}):
            assert ingest.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)  # noqa: ASYNC251 nothing else runs here
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://127.0.0.1:{port}/webhooks/acme", data=b"{}") as answer,
        ):
            assert (answer.status, len(answer.headers["Dropstream-Delivery"])) == (200, 36)
        assert nobody.run("drain", "--admin", f"127.0.0.1:{admin_port}", "--timeout", str(PATIENCE_S)) == (0, "")
    finally:
        ingest.terminate()
        said, _ = ingest.communicate(timeout=PATIENCE_S)
    assert ingest.returncode == 0, said[-2_000:]
    assert content(nobody.image) == before
    assert nobody.run("-c", "open('/tmp/x', 'w')", python=True)[1].endswith("Read-only file system: '/tmp/x'\n")
    assert sorted(one.name for one in nobody.folder.iterdir()) == ["etc", "spool", "tmp"]


class _Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_a_health_check_is_right_about_who_lives() -> None:
    """Nobody there: no. One that says so: yes. One that says no, or hangs, beside it: no."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port, free = server.server_address[1], free_ports(1)
    try:
        assert lives({port: "/livez"})
        assert lives({free: "/livez", port: "/livez"})
        assert not lives({free: "/livez"})
        assert not lives({port: "/readyz"})
    finally:
        server.shutdown()
        server.server_close()


def test_the_locks_of_the_tools_name_no_index() -> None:
    """As those of the program: name, version and hash."""
    text = (DEPLOY / "tools" / "requirements.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|--index|--find-links", text)
    assert json.loads((DEPLOY / "helm" / "dropstream" / "values.schema.json").read_text("utf-8"))["type"] == "object"
