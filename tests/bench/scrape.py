"""What a scrape and a SIGHUP do to the answers: `python -m tests.bench.scrape --endpoints 10000 --workers 2`.

A real ingress without Kafka takes deliveries into its spool. A process of its own sends them at a steady rate and notes
how long each answer took; meanwhile `/metrics` is scraped, `/livez` is asked and the configuration is read again.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGHUP

from tests.support.ports import free_ports
from tests.support.programs import Program, program
from tests.support.raw_http import post

_SENDERS = 8
_PAUSE_S = 0.01
_QUIET, _QUIET_S = "quiet", 2.0
_SCRAPE_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class ScrapedIngress:
    """Where the ingress listens, and how many endpoints it has."""

    port: int
    admin_port: int
    endpoints: int


@dataclass(slots=True)
class LivezProbe:
    """Asks `/livez` again and again in a thread; `seen` are the time, the status (0: no answer) and the seconds."""

    port: int
    seen: list[tuple[float, int, float]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Asks until stopped."""
        while not self.stopped.wait(0.02):
            began = time.monotonic()
            status = _page(self.port, "/livez")[0]
            self.seen.append((began, status, time.monotonic() - began))


def configuration(place: ScrapedIngress, folder: Path, *, rate: int) -> str:
    """A configuration with that many endpoints and a Kafka that is not there; `rate` makes it differ from others."""
    endpoints = "".join(
        f'[endpoints.shop-{number}]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\nrate_per_second = {rate}\n'
        for number in range(place.endpoints)
    )
    return (
        f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[ingest]\nhost = "127.0.0.1"\nport = {place.port}\n'
        f'admin_port = {place.admin_port}\nspool_dir = "{folder / "spool"}"\n{endpoints}'
    )


def send(place: ScrapedIngress, told: Connection) -> None:
    """Sends to each endpoint once, says so, then goes on at a steady rate until it is told to stop; tells the times."""
    told.send(asyncio.run(_send(place, told)))


async def _send(place: ScrapedIngress, told: Connection) -> list[tuple[float, float]]:
    took: list[tuple[float, float]] = []

    async def deliver(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], number: int) -> None:
        began = time.monotonic()
        connection[1].write(post(f"/webhooks/shop-{number}", b"{}"))
        status = await connection[0].readuntil(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(status.decode())
        took.append((began, time.monotonic() - began))

    async def sender(first: int, *, steady: bool) -> None:
        connection = await asyncio.open_connection("127.0.0.1", place.port)
        for number in range(first, place.endpoints, _SENDERS):
            await deliver(connection, number)
        number = first
        while steady and not told.poll():
            await asyncio.sleep(_PAUSE_S)
            await deliver(connection, number)
            number = (number + _SENDERS) % place.endpoints
        connection[1].close()

    # New connections, so that each worker has most endpoints.
    for shift in range(2):
        await asyncio.gather(*(sender((first + shift) % _SENDERS, steady=False) for first in range(_SENDERS)))
    told.send("warm")
    took.clear()
    await asyncio.gather(*(sender(first, steady=True) for first in range(_SENDERS)))
    return took


def _page(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SCRAPE_WITHIN_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@dataclass(slots=True)
class Phases:
    """The times in which something was done, by its name."""

    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Notes the time of the block under this name."""
        began = time.monotonic()
        yield
        self.spans.setdefault(name, []).append((began, time.monotonic()))

    def slowest_ms(self, name: str, seen: list[tuple[float, float]]) -> list[float]:
        """The slowest answer of those that were on their way in each time of this name; in quiet, in it alone."""

        def counts(asked_at: float, answered_at: float, began: float, ended: float) -> bool:
            if name == _QUIET:
                return began <= asked_at and answered_at <= ended
            return answered_at >= began and asked_at <= ended

        return [
            1_000 * max((took for at, took in seen if counts(at, at + took, began, ended)), default=0.0)
            for began, ended in self.spans.get(name, [])
        ]


@dataclass(slots=True)
class Measured:
    """What was seen from outside."""

    phases: Phases = field(default_factory=Phases)
    scrape_s: list[float] = field(default_factory=list)
    page_bytes: list[int] = field(default_factory=list)


async def disturb(running: Program, place: ScrapedIngress, rounds: int, rewrite: Callable[[int], None]) -> Measured:
    """Scrapes, scrapes twice at once, and has the configuration read again, with quiet between."""
    measured = Measured()

    async def rest() -> None:
        with measured.phases.span(_QUIET):
            await asyncio.sleep(_QUIET_S)

    for turn in range(rounds):
        await rest()
        with measured.phases.span("scrape"):
            began = time.monotonic()
            _, page = await asyncio.to_thread(_page, place.admin_port, "/metrics")
            measured.scrape_s.append(time.monotonic() - began)
            measured.page_bytes.append(len(page))
        await rest()
        with measured.phases.span("two scrapes"):
            await asyncio.gather(*(asyncio.to_thread(_page, place.admin_port, "/metrics") for _ in range(2)))
        rewrite(turn)
        await rest()
        with measured.phases.span("SIGHUP"):
            said = len(running.lines("configuration_reloaded"))
            running.signal(SIGHUP)
            await running.said("configuration_reloaded", said + 3)
    return measured


async def measure(endpoints: int, workers: int, rounds: int, folder: Path) -> None:
    """Runs all of it and prints the figures."""
    place = ScrapedIngress(free_ports(1), free_ports(1), endpoints)
    file = folder / "dropstream.toml"
    file.write_text(configuration(place, folder, rate=1_000_000))
    async with program(
        folder, "ingest", "--workers", str(workers), admin_port=place.admin_port, environ={"SECRET": "x"}
    ) as running:
        await running.ready()
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        sender = context.Process(target=send, args=(place, there), daemon=True)
        sender.start()
        await asyncio.to_thread(here.recv)
        probe = LivezProbe(place.admin_port)
        asking = threading.Thread(target=probe.run, daemon=True)
        asking.start()
        measured = await disturb(
            running, place, rounds, lambda turn: _write(file, configuration(place, folder, rate=1_000_001 + turn))
        )
        here.send("stop")
        answers = await asyncio.to_thread(here.recv)
        probe.stopped.set()
        await asyncio.to_thread(asking.join)
    tell(measured, answers, probe)


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def tell(measured: Measured, answers: list[tuple[float, float]], probe: LivezProbe) -> None:
    """Prints the figures: of each round, and what the rounds have in the middle."""
    statuses: dict[int, int] = {}
    for _, status, _ in probe.seen:
        statuses[status] = statuses.get(status, 0) + 1
    alive = [(at, took) for at, _, took in probe.seen]
    figures = {
        "scrape_s": _told(measured.scrape_s, 3),
        "bytes": statistics.median(measured.page_bytes),
        "slowest_answer_ms": {name: _told(measured.phases.slowest_ms(name, answers)) for name in measured.phases.spans},
        "slowest_livez_ms": {name: _told(measured.phases.slowest_ms(name, alive)) for name in measured.phases.spans},
        "livez_statuses": statuses,
        "deliveries": len(answers),
        "SIGHUP_s": _told([ended - began for began, ended in measured.phases.spans["SIGHUP"]], 1),
    }
    sys.stdout.write("".join(f"{name}: {json.dumps(value)}\n" for name, value in figures.items()))


def _told(values: list[float], digits: int = 0) -> dict[str, float]:
    return {"median": round(statistics.median(values), digits), "max": round(max(values), digits)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scrape", description=__doc__)
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dropstream-scrape-") as folder:
        asyncio.run(measure(given.endpoints, given.workers, given.rounds, Path(folder)))


if __name__ == "__main__":
    main()
