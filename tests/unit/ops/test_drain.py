"""`dropstream drain` as a person and a deployment meet it, in front of a server that answers as an admin port does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from ops.drain import SpoolCount, read_spooled
from schemas.errors import DropstreamError
from tests.support.waiting import PATIENCE_S


@contextmanager
def answering(*answers: object) -> Iterator[str]:
    """HOST:PORT of a server that gives these answers to `/readyz` in turn, the last one for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(503 if self.path == "/readyz" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def drain(place: str, *options: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the program."""
    command = [sys.executable, "-m", "ops", "drain", "--admin", place, *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def spool(deliveries: int, oldest_s: float | None = 7.4, *, live: bool = True) -> dict[str, object]:
    return {"live": live, "ready": False, "spool_deliveries": deliveries, "spool_oldest_seconds": oldest_s}


def test_it_ends_when_the_last_spooled_delivery_is_gone() -> None:
    """Exit 0 and not a word in a pipe, once the sum over the workers is 0 and every worker has said so."""
    silent = {"live": False, "ready": False}
    with answering(
        {"live": True, "ready": False, "workers": {"0": spool(0, 0), "1": spool(2)}},
        {"live": False, "ready": False, "workers": {"0": spool(0, 0), "1": silent}},
        {"live": True, "ready": True, "workers": {"0": spool(0, 0), "1": spool(0, None)}},
    ) as place:
        assert drain(place) == (0, "", "")


def test_it_gives_up_and_says_what_is_left() -> None:
    """Exit 1 at the time-out, with what is left and what to do."""
    with answering(spool(3)) as place:
        code, output, errors = drain(place, "--timeout", "0.2")
    assert (code, output) == (1, "")
    assert errors == (
        "error: not drained within 0.2 s: 3 spooled deliveries left, the oldest is 7 s old\n"
        "Keep the disk of ingest.spool_dir, see whether Kafka answers, and wait longer with --timeout.\n"
    )


def test_what_cannot_be_read_or_is_refused_is_not_drained() -> None:
    """Exit 1 as soon as all else is in Kafka, however many workers tell of the same file."""
    stuck = {"spool_unread_files": 1, "spool_refused": 2, "spool_damaged": 3}
    workers = {"0": spool(0, 0) | stuck, "1": spool(0, 0) | stuck}
    with answering(spool(3) | stuck, {"live": True, "ready": True, "workers": workers}) as place:
        code, output, errors = drain(place)
    assert (code, output) == (1, "")
    assert errors == (
        "error: drained but for what a person must look at: Kafka refuses 4 spooled deliveries; "
        "the disk damaged 6 spooled deliveries; 1 spool file(s) cannot be read\n"
        "Keep the disk of ingest.spool_dir. "
        "Look for delivery_refused_by_kafka, spooled_records_damaged, spool_damaged and spool_file_not_read in the "
        "ingress's log.\n"
    )


def test_an_ingress_that_does_not_answer_is_not_drained() -> None:
    """Nothing listens on port 1: exit 1, for nobody knows what is spooled."""
    code, output, errors = drain("127.0.0.1:1")
    assert (code, output) == (1, "")
    assert errors == (
        "error: the ingress does not answer at 127.0.0.1:1, so what is spooled is not known\n"
        "Start it with dropstream ingest, which drains the spool, or name its admin port with --admin.\n"
    )


@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "127.0.0.1:65536", ""])
def test_a_place_that_is_none_is_a_wrong_call(place: str) -> None:
    """Exit 2, and an example of a right one."""
    code, _, errors = drain(place)
    assert code == 2
    assert "is not an address such as 127.0.0.1:8081" in errors


def test_workers_are_taken_together() -> None:
    """Deliveries are summed, the oldest is the oldest of all, and a worker without facts is counted as silent."""
    workers = {"0": spool(2, 1.5), "1": spool(3, 9.5, live=False), "2": {"live": False, "ready": False}}
    read = read_spooled(json.dumps({"live": False, "ready": False, "workers": workers}).encode(), "here:1")
    assert read == SpoolCount(5, 9.5, silent=1)
    assert not read.is_at_rest


@pytest.mark.parametrize(
    "answer",
    [
        {"live": True, "ready": True},
        spool(0) | {"spool_deliveries": None},
        {"live": True, "workers": {"0": {"live": True}}},
    ],
)
def test_an_ingress_without_the_fact_is_an_error(answer: object) -> None:
    """What is not said is not taken for nothing left."""
    with pytest.raises(DropstreamError, match="the ingress at here:1 has no fact spool_deliveries"):
        read_spooled(json.dumps(answer).encode(), "here:1")


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"3", b"null", b'{"workers": 3}', b'{"workers": {"0": 1}}'])
def test_another_server_is_told_apart(answer: bytes) -> None:
    """An answer that no admin port gives is told as such."""
    with pytest.raises(DropstreamError, match="what answers at here:1 is not an admin port of dropstream"):
        read_spooled(answer, "here:1")
