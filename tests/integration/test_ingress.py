"""What the ingress answers, and what is in `raw` afterwards; every request is bytes on a socket."""

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

import pytest
from structlog.testing import capture_logs

from ingest.receive import Stamps
from schemas.settings import Settings
from tests.integration.raw_http import RawClient, post
from tests.integration.serving import Serving, create_raw, read_raw, serving, serving_settings, until

pytestmark = pytest.mark.kafka

_MEGABYTE = 1_048_576
_CHUNKED = b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def here(settings: Settings) -> Settings:
    """The settings of a cluster where `raw` is ready."""
    mine = serving_settings(settings, "kafka_deadline_ms = 10_000\nbody_timeout_ms = 300")
    await create_raw(mine)
    return mine


@pytest.fixture
async def running(here: Settings) -> AsyncIterator[Serving]:
    """A running ingress whose deliveries are numbered."""
    numbers = count(1)
    async with serving(here, stamps=Stamps(lambda: f"delivery-{next(numbers)}", lambda: datetime.now(UTC))) as made:
        yield made


async def _bodies(running: Serving, here: Settings) -> list[bytes | None]:
    """What `raw` holds of the endpoint acme, after one last delivery that shows that nothing else will come."""
    assert (await running.ask(post("/webhooks/acme", b"the last"))).status == 200
    return [record.value for record in await read_raw(here, 1) if record.key == b"acme"]


async def test_a_delivery_is_in_raw_as_it_was_received(here: Settings) -> None:
    """Body, key, headers and time of the record are those of the request, without credentials and impostors."""
    received_at = datetime.now(UTC).replace(microsecond=120_456)
    body = gzip.compress(b'{"a": 1}') + b"\x00\xff\r\n"
    request = post(
        "/webhooks/guarded/a-token?any=thing",
        body,
        b"X-Signature: one",
        b"Content-Encoding: gzip",
        b"x-signature: two",
        b"X-Name: caf\xe9 \xff",
        b"Authorization: Bearer secret",
        b"Cookie: session=secret",
        b"Connection: X-Signature",
        b"Dropstream-Endpoint: somebody-else",
    )
    async with serving(here, stamps=Stamps(lambda: "0195df5b-5d2b-7000-8000-000000000001", lambda: received_at)) as made:
        answer = await made.ask(request)
        # Read while the answer is a moment old: 200 is never earlier than the record.
        (record,) = await read_raw(here, 1)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["dropstream-delivery"] == "0195df5b-5d2b-7000-8000-000000000001"
    assert (record.key, record.value) == (b"guarded", body)
    assert record.timestamp == int(received_at.timestamp() * 1000)
    assert list(record.headers) == [
        ("host", b"localhost"),
        ("content-length", str(len(body)).encode()),
        ("x-signature", b"one"),
        ("content-encoding", b"gzip"),
        ("x-signature", b"two"),
        ("x-name", b"caf\xe9 \xff"),
        ("dropstream-delivery", b"0195df5b-5d2b-7000-8000-000000000001"),
        ("dropstream-provider", b"modern_dropship"),
        ("dropstream-endpoint", b"guarded"),
        ("dropstream-received-at", received_at.strftime("%Y-%m-%dT%H:%M:%S.120456Z").encode()),
        ("dropstream-remote", b"127.0.0.1"),
    ]


async def test_a_lane_follows_from_the_body(running: Serving, here: Settings) -> None:
    """The same body meets its first try: CRC-32 of this one is 3421780262, so lane 2 of 10."""
    for _ in range(2):
        assert (await running.ask(post("/webhooks/laned", b"123456789"))).status == 200
    assert [record.key for record in await read_raw(here, 2)] == [b"laned#2", b"laned#2"]


async def test_an_empty_body_is_a_delivery(running: Serving, here: Settings) -> None:
    """It is stored like any other; whether it means something is not decided here."""
    assert (await running.ask(post("/webhooks/acme"))).status == 200
    assert await _bodies(running, here) == [b"", b"the last"]


@pytest.mark.parametrize(
    ("line", "status", "allow"),
    [
        ("GET /webhooks/acme", 200, None),
        ("HEAD /webhooks/acme", 200, None),
        ("GET /webhooks/guarded/a-token", 200, None),
        ("GET /webhooks/guarded", 404, None),
        ("GET /webhooks/far", 403, None),
        ("PUT /webhooks/acme", 405, "GET, HEAD, POST"),
        ("DELETE /webhooks/acme", 405, "GET, HEAD, POST"),
        ("OPTIONS /webhooks/acme", 405, "GET, HEAD, POST"),
        ("PUT /webhooks/unknown", 404, None),
        ("GET /", 404, None),
    ],
)
async def test_what_is_no_post_writes_nothing(
    running: Serving, here: Settings, line: str, status: int, allow: str | None
) -> None:
    """A look at a right URL is answered 200, any other method 405 with the right ones, a wrong URL 404."""
    answer = await running.ask(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    assert await _bodies(running, here) == [b"the last"]


async def test_all_that_is_not_found_looks_the_same(running: Serving) -> None:
    """Unknown, disabled, wrong token, no token, token too many: equal bytes but for the date."""
    paths = ["unknown", "off", "guarded", "guarded/wrong", "guarded/a-tokem", "acme/token", "", "acme/"]
    answers = [await running.ask(post(f"/webhooks/{path}", b"body")) for path in paths]
    heads = {answer.head.replace(answer.headers["date"].encode(), b"<date>") + answer.body for answer in answers}
    assert heads == {
        b"HTTP/1.1 404 Not Found\r\nServer: dropstream\r\nContent-Length: 0\r\nDate: <date>\r\n\r\n",
    }


async def test_the_peer_counts_and_not_what_it_says_of_itself(running: Serving) -> None:
    """An address outside allow_from is refused, X-Forwarded-For or not."""
    believed = b"X-Forwarded-For: 203.0.113.7"
    assert (await running.ask(post("/webhooks/far", b"body", believed))).status == 403
    assert (await running.ask(post("/webhooks/near", b"body", b"X-Forwarded-For: 198.51.100.1"))).status == 200


async def test_a_rate_exceeded_says_when_to_come_back(running: Serving) -> None:
    """After the burst the answer is 429; at 0.05 a second the next one may come in 20 s."""
    answers = [await running.ask(post("/webhooks/slowed", b"body")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "20"


async def test_the_limit_of_a_body_is_exact(running: Serving, here: Settings) -> None:
    """1 MiB is stored; one byte more is refused by its length alone, before any of it came."""
    largest = bytes(range(256)) * 4096
    assert (await running.ask(post("/webhooks/acme", largest))).status == 200
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", bytes(_MEGABYTE + 1))[: -_MEGABYTE - 1])
        assert (await client.answer()).status == 413
        assert await client.closed()
    assert await _bodies(running, here) == [largest, b"the last"]


async def test_a_chunked_body_is_stored_whole(running: Serving, here: Settings) -> None:
    """The chunks are joined, their framing is gone."""
    assert (await running.ask(_CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")).status == 200
    assert await _bodies(running, here) == [b"abcde", b"the last"]


async def test_a_chunked_body_is_refused_where_it_exceeds(running: Serving, here: Settings) -> None:
    """It is refused although its end never comes, and the connection closed."""
    async with RawClient(running.port) as client:
        await client.send(_CHUNKED + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 16 + b"1\r\nx\r\n")
        assert (await client.answer()).status == 413
        assert await client.closed()
    assert await _bodies(running, here) == [b"the last"]


async def test_two_requests_share_a_connection(running: Serving, here: Settings) -> None:
    """Keep-alive holds, also where both requests come at once."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"first") + post("/webhooks/acme", b"second"))
        answers = [await client.answer(), await client.answer()]
        await client.send(post("/webhooks/acme", b"third"))
        answers.append(await client.answer())
    assert [answer.headers["dropstream-delivery"] for answer in answers] == ["delivery-1", "delivery-2", "delivery-3"]
    assert await _bodies(running, here) == [b"first", b"second", b"third", b"the last"]


async def test_who_waits_to_be_invited_is(running: Serving, here: Settings) -> None:
    """Expect: 100-continue is answered with 100, then the body is read."""
    head = post("/webhooks/acme", b"invited", b"Expect: 100-continue").removesuffix(b"invited")
    async with RawClient(running.port) as client:
        await client.send(head)
        assert (await client.answer()).status == 100
        await client.send(b"invited")
        assert (await client.answer()).status == 200
    assert await _bodies(running, here) == [b"invited", b"the last"]


@pytest.mark.parametrize(("path", "length", "status"), [("unknown", 4, 404), ("acme", _MEGABYTE + 1, 413)])
async def test_who_is_refused_is_not_invited(running: Serving, path: str, length: int, status: int) -> None:
    """The refusal comes instead of 100, and closes: the body that did not come must not be waited for."""
    async with RawClient(running.port) as client:
        await client.send(
            f"POST /webhooks/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")


async def test_a_slow_body_is_not_waited_for(running: Serving, here: Settings) -> None:
    """It is answered 408 after body_timeout_ms, and the connection closed."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"unfinished").removesuffix(b"finished"))
        assert (await client.answer()).status == 408
        assert await client.closed()
    assert await _bodies(running, here) == [b"the last"]


async def test_who_leaves_early_leaves_nothing(
    running: Serving, here: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A client gone before its body was whole is counted; there is no record and no traceback."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"unfinished").removesuffix(b"finished"))
        await until(lambda: running.ingress.budget.held_bytes > 0)
        client.reset()
        await until(lambda: running.requests("acme", "client_left") == 1)
    assert await _bodies(running, here) == [b"the last"]
    assert running.ingress.budget.held_bytes == 0
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("request_bytes", "endpoint"),
    [
        (b"\x16\x03\x01\x02\x00secret\r\n\r\n", ""),
        (b"secret\r\n\r\n", ""),
        (b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nno colon, secret\r\n\r\n", ""),
        (b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nX-Secret: " + b"y" * 8191 + b"\r\n\r\n", ""),
        (b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\n" + b"X-Secret: y\r\n" * 129 + b"\r\n", ""),
        (b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ""),
        (_CHUNKED + b"secret\r\n", ""),
        (post("/webhooks/acme", b"", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", ""),
    ],
)
async def test_what_is_no_http_is_counted_and_forgotten(
    running: Serving, caplog: pytest.LogCaptureFixture, request_bytes: bytes, endpoint: str
) -> None:
    """It is answered 400 with nothing of it, one line is logged without a traceback, and the connection closed."""
    with capture_logs() as lines:
        async with RawClient(running.port) as client:
            await client.send(request_bytes)
            answer = await client.answer()
            assert (answer.status, answer.body, answer.headers["server"]) == (400, b"", "dropstream")
            assert await client.closed()
    assert running.requests(endpoint, "malformed") == 1
    assert [(line["event"], line["outcome"], line["count"]) for line in lines] == [("requests_refused", "malformed", 1)]
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_body_that_breaks_is_refused_at_once(running: Serving, here: Settings) -> None:
    """Garbage between two chunks ends the wait for the body; it does not last until body_timeout_ms."""
    async with RawClient(running.port) as client:
        await client.send(_CHUNKED + b"3\r\nabc\r\n")
        await until(lambda: running.ingress.budget.held_bytes > 0)
        await client.send(b"secret\r\n")
        assert (await client.answer()).status == 400
        assert await client.closed()
    assert (running.requests("acme", "malformed"), running.requests("acme", "body_too_slow")) == (1, 0)
    assert await _bodies(running, here) == [b"the last"]


async def test_an_unread_body_is_never_a_request(running: Serving) -> None:
    """What follows a refused request on its connection is not answered, whatever it looks like."""
    inner = post("/webhooks/acme", b"smuggled")
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/unknown", inner + b"x").removesuffix(b"x"))
        assert (await client.answer()).status == 404
        assert await client.closed()
    assert running.requests("acme", "stored") == 0
