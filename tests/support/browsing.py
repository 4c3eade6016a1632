"""The console in a real browser, on a real system: `dropstream up` and a second console beside it."""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from ops.local.broker.install import STATE_FOLDER
from tests.support.ports import free_ports
from tests.support.skipped import missing
from tests.support.waiting import PATIENCE_S

SECRET = "made-up-secret-of-acme"
LATE_SECRET = "the-secret-that-came-late"
ANNAS_TOKEN = "the-token-of-anna-for-tests"
BENS_TOKEN = "the-token-of-ben-for-tests-"
_PEOPLE = """
[console.people.anna]
token = "env:ANNA"
role = "act"

[console.people.ben]
token = "env:BEN"
"""
_AXE = "axe-core@4.10.3"

_CONFIGURATION = """
[kafka]
replication_factor = 1
partitions = 2

[ingest]
host = "127.0.0.1"
port = {port}
admin_port = {ingest_admin}
spool_bytes_max = 0

[process]
admin_port = {process_admin}
session_timeout_ms = 6000
transaction_timeout_ms = 5000

[sequence]
grace_seconds = 1

[console]
port = {console}

[endpoints.acme]
provider = "shipstream"
secrets = ["env:ACME_SECRET"]

[endpoints.late]
provider = "shipstream"
secrets = ["env:{late}"]
"""


@dataclass(frozen=True, slots=True)
class System:
    """A running system; `second` is a console that knows the right secret of `late`, and no processors."""

    base_url: str
    console: str
    second: str
    folder: Path
    second_process: "subprocess.Popen[bytes]"

    def deliver(
        self,
        body: bytes,
        *,
        endpoint: str = "acme",
        secret: str = SECRET,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Sends it as ShipStream would; it is answered 200."""
        deliver_to(self.base_url, body, endpoint=endpoint, secret=secret, headers=headers)

    @property
    def log(self) -> str:
        """What the second console logged."""
        return (self.folder / "second.log").read_text(encoding="utf-8")


def deliver_to(
    base_url: str,
    body: bytes,
    *,
    endpoint: str = "acme",
    secret: str = SECRET,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sends a signed body to an ingress; it is answered 200."""
    mac = b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    signed = {"X-Plugin-Hmac-Sha256": mac, "Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{base_url}/webhooks/{endpoint}", body, signed)  # noqa: S310 loopback
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 as above
        assert answer.status == 200


def order(order_id: str, number: int) -> bytes:
    """A ShipStream order of that id; `number` is its sequence id."""
    message = {
        "unique_id": order_id,
        "order_ref": order_id,
        "webhook_increment_id": number,
        "event_timestamp": "2026-05-21T14:00:00Z",
    }
    return json.dumps({"merchant_code": "acme", "topic": "order:created", "message": message}).encode()


@contextmanager
def system(bootstrap_servers: str, folder: Path) -> Iterator[System]:
    """Everything runs inside, and has ended afterwards."""
    port = free_ports(5)
    ports = {"port": port, "ingest_admin": port + 1, "process_admin": port + 2, "console": port + 3}
    environ = {
        **os.environ,
        "KAFKA": bootstrap_servers,
        "DROPSTREAM_KAFKA__TOPIC_PREFIX": f"test-{uuid.uuid4().hex[:12]}.",
        "ACME_SECRET": SECRET,
        "WRONG_SECRET": "not-what-late-signs-with",
        "RIGHT_SECRET": LATE_SECRET,
    }
    (folder / "dropstream.toml").write_text(_CONFIGURATION.format(**ports, late="WRONG_SECRET"))
    second = {**ports, "console": port + 4, "process_admin": 1}
    (folder / "second.toml").write_text(_CONFIGURATION.format(**second, late="RIGHT_SECRET"))
    beside = {**environ, "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers}
    with (
        _program(folder, "up", environ, "up") as up,
        _program(folder, "second", beside, "console", "--config", "second.toml") as console,
    ):
        said = folder / "up.log"
        _wait(lambda: "Ctrl-C ends everything" in said.read_text(), lambda: up.poll() is None, said)
        log = folder / "second.log"
        _wait(lambda: "started" in log.read_text(), lambda: console.poll() is None, log)
        assert f"http://127.0.0.1:{port + 3}/" in said.read_text()
        yield System(
            base_url=f"http://127.0.0.1:{port}",
            console=f"http://127.0.0.1:{port + 3}/",
            second=f"http://127.0.0.1:{port + 4}/",
            folder=folder,
            second_process=console,
        )


@contextmanager
def blind_console(running: System) -> Iterator[str]:
    """A console whose Kafka is nowhere; gives its address."""
    port = free_ports(1)
    (running.folder / "blind.toml").write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[console]\nport = {port}\n[endpoints]\n'
    )
    log = running.folder / "blind.log"
    with _program(running.folder, "blind", os.environ, "console", "--config", "blind.toml") as process:
        _wait(lambda: "started" in log.read_text(), lambda: process.poll() is None, log)
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def lonely_console(bootstrap_servers: str, folder: Path, endpoints: str, environ: Mapping[str, str]) -> Iterator[str]:
    """A console on topics that are there, without ingress and processors; gives its address."""
    port = free_ports(1)
    (folder / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{bootstrap_servers}"\n[console]\nport = {port}\n'
        f'ingest_admin = ["127.0.0.1:1"]\nprocess_admin = ["127.0.0.1:1"]\n{endpoints}'
    )
    log = folder / "console.log"
    with _program(folder, "console", {**os.environ, **environ}, "console") as process:
        _wait(lambda: "started" in log.read_text(), lambda: process.poll() is None, log)
        yield f"http://127.0.0.1:{port}/"


@dataclass(frozen=True, slots=True)
class PeopleSystem:
    """An ingress, and a console for people with tokens: anna may act, ben may see."""

    base_url: str
    console: str
    folder: Path
    environ: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """What a verb writes; it ends well."""
        command = [sys.executable, "-m", "ops", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def people_system(bootstrap_servers: str, folder: Path) -> Iterator[PeopleSystem]:
    """Both run inside; no processors do."""
    port = free_ports(4)
    ports = {"port": port, "ingest_admin": port + 1, "process_admin": port + 2, "console": port + 3}
    environ = {
        **os.environ,
        "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "DROPSTREAM_KAFKA__TOPIC_PREFIX": f"test-{uuid.uuid4().hex[:12]}.",
        "ACME_SECRET": SECRET,
        "ANNA": ANNAS_TOKEN,
        "BEN": BENS_TOKEN,
    }
    (folder / "dropstream.toml").write_text(_CONFIGURATION.format(**ports, late="ACME_SECRET") + _PEOPLE)
    system = PeopleSystem(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 3}/", folder, environ)
    system.run("topics", "apply")
    with (
        _program(folder, "ingest", environ, "ingest") as ingest,
        _program(folder, "console", environ, "console") as console,
    ):
        for name, process in (("ingest", ingest), ("console", console)):
            log = folder / f"{name}.log"
            _wait(lambda log=log: "started" in log.read_text(), lambda one=process: one.poll() is None, log)  # type: ignore[misc] # mypy does not infer lambdas with defaults
        yield system


@contextmanager
def _program(
    folder: Path, name: str, environ: Mapping[str, str], *arguments: str
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments], cwd=folder, env=environ, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(condition: Callable[[], bool], runs: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert runs(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def chromium() -> str:
    """The browser; the test is skipped where there is none. CHROMIUM=path names one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(missing("there is no Chromium here", bring="make test CHROMIUM=PATH-OF-THE-BROWSER"))
    return found


def axe() -> str:
    """The source of axe-core, fetched from npm the first time; the test is skipped where it cannot be had."""
    folder = STATE_FOLDER / "axe"
    script = folder / "package" / "axe.min.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip(missing(f"{_AXE} needs npm", bring="PATH=FOLDER-OF-NPM:$PATH make test"))
        packed = subprocess.run(
            [npm, "pack", _AXE, "--silent"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if packed.returncode:
            pytest.skip(f"{_AXE} cannot be had: npm says {packed.stderr.strip()[:200]}")
        shutil.unpack_archive(folder / packed.stdout.strip(), folder, filter="data")
    return script.read_text(encoding="utf-8")


@dataclass(slots=True)
class Reader:
    """Somebody at the browser; `complaints` is what its console said, and every error of the page."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)

    def open(
        self, url: str, *, width: int = 1440, scheme: str = "light", bypass_csp: bool = False, live: bool = True
    ) -> Page:
        """The page, once it is live where it is the one that lives."""
        page = self.browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            locale="en-GB",
            timezone_id="Europe/Madrid",
            bypass_csp=bypass_csp,
        )
        page.set_default_timeout(1_000 * PATIENCE_S)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._note(request.url, _origin(url)))
        page.goto(url)
        if live:
            expect(page.locator("#clock")).to_contain_text("live")
        return page

    def _note(self, requested: str, url: str) -> None:
        if not requested.startswith(url):
            self.complaints.append(f"another place was asked: {requested}")


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3]) + "/"


@contextmanager
def reader() -> Iterator[Reader]:
    """A browser inside."""
    path = chromium()
    expect.set_options(timeout=1_000 * PATIENCE_S)
    with sync_playwright() as playwright:
        try:
            # Without the sandbox, for it wants rights that root in a container has not.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"{path} does not start: {error.message.splitlines()[0]}")
        try:
            yield Reader(browser)
        finally:
            browser.close()
