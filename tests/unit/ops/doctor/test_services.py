"""What the doctor says of a service, by its answer of `/readyz`."""

import pytest

from ops.doctor.services import examine_service
from tests.unit.ops.test_http_page import answering


async def examined(status: str, body: bytes) -> tuple[str, str]:
    """Level and sentence for a service that answers so; its address stands there as URL."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with answering(head + body) as url:
        host, _, port = url.removeprefix("http://").removesuffix("/readyz").partition(":")
        told = await examine_service("ingress", "ingest", host, int(port))
        assert told.subject == "ingress"
        return told.level, told.sentence.replace(url, "URL")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        ("200 OK", b'{"ready":true,"kafka_connected":true}', ("ok", "ready, says URL")),
        (
            "200 OK",
            b'{"ready":true,"kafka_connected":false,"kafka_kafka_silent_seconds":9.6}',
            ("warning", "ready, says URL, but Kafka does not answer it for 10 s"),
        ),
        (
            "503 No",
            b'{"ready":false,"kafka_connected":false,"stopping":true}',
            ("failed", "URL answers 503, not ready: it stops; Kafka does not answer it"),
        ),
    ],
)
async def test_the_reason_stands_in_the_sentence(status: str, body: bytes, told: tuple[str, str]) -> None:
    """A service that takes deliveries although something is wrong is a warning, and one that takes none a failure."""
    assert await examined(status, body) == told


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"null", b'{"workers":[]}', b"\xff\xfe", b"[" * 2000])
async def test_what_is_no_answer_of_ours_is_judged_by_its_status(body: bytes) -> None:
    """A proxy's page, half a body and JSON of others end no doctor."""
    assert await examined("502 Bad Gateway", body) == ("failed", "URL answers 502, not ready: its log says why")
    assert await examined("200 OK", body) == ("ok", "ready, says URL")


async def test_a_service_that_does_not_run_is_a_warning_that_says_how_to_start_it() -> None:
    """The verb stands in the sentence; an address of all interfaces is asked on the loopback."""
    told = await examine_service("processors", "process", "0.0.0.0", 1)  # noqa: S104 asked, not bound
    sentence = "not answering at http://127.0.0.1:1/readyz; start it with dropstream process"
    assert (told.level, told.subject, told.sentence) == ("warning", "processors", sentence)
