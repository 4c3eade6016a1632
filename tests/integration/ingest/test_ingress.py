"""What the ingress answers to whole requests, and what is in `raw` afterwards; every request is bytes on a socket."""

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from ingest.receive import Stamps
from schemas.times import timestamp_us
from schemas.trace import read_traceparent
from tests.conftest import SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, read_raw, ready

pytestmark = pytest.mark.kafka


@pytest.fixture
async def running(settings: SettingsFactory) -> AsyncIterator[Serving]:
    """A running ingress in front of an empty `raw`."""
    async with ready(settings) as made:
        yield made


async def test_a_delivery_is_in_raw_as_it_was_received(settings: SettingsFactory) -> None:
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
    stamps = Stamps(
        new_id=lambda: "0195df5b-5d2b-7000-8000-000000000001",
        now_us=lambda: timestamp_us(received_at),
        random=lambda count: b"\x01" * count,
    )
    async with ready(settings, stamps=stamps) as running:
        answer = await running.ask(request)
        # Read while the answer is a moment old: 200 is never earlier than the record.
        (record,) = await read_raw(running.settings, 1)
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
        ("traceparent", b"00-01010101010101010101010101010101-0101010101010101-01"),
        ("dropstream-delivery", b"0195df5b-5d2b-7000-8000-000000000001"),
        ("dropstream-provider", b"modern_dropship"),
        ("dropstream-endpoint", b"guarded"),
        ("dropstream-received-at", received_at.strftime("%Y-%m-%dT%H:%M:%S.120456Z").encode()),
        ("dropstream-remote", b"127.0.0.1"),
    ]


async def test_a_trace_goes_on(running: Serving) -> None:
    """A `traceparent` that is one is kept as it is; another is replaced, and refused nobody."""
    given = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    for lines in ([given], [b"nonsense"], [given, given], [b"x" * 4_000]):
        request = post("/webhooks/acme", b"{}", *(b"traceparent: " + line for line in lines))
        assert (await running.ask(request)).status == 200
    kept = await read_raw(running.settings, 4)
    found = [[value for name, value in one.headers if name == "traceparent"] for one in kept]
    assert found[0] == [given]
    begun = [value for values in found[1:] for value in values]
    assert len({given, *begun}) == 4
    assert all(read_traceparent([value]) == value.decode() for value in begun)


async def test_a_lane_follows_from_the_body(running: Serving) -> None:
    """The same body meets its first try: CRC-32 of this one is 3421780262, so lane 2 of 10."""
    for _ in range(2):
        assert (await running.ask(post("/webhooks/laned", b"123456789"))).status == 200
    assert [record.key for record in await read_raw(running.settings, 2)] == [b"laned#2", b"laned#2"]


async def test_an_empty_body_is_a_delivery(running: Serving) -> None:
    """It is stored like any other; whether it means something is not decided here."""
    assert (await running.ask(post("/webhooks/acme"))).status == 200
    assert await running.bodies() == [b"", b"the last"]


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
        ("GET /", 200, None),
    ],
)
async def test_what_is_no_post_writes_nothing(running: Serving, line: str, status: int, allow: str | None) -> None:
    """A look at a right URL is answered 200, any other method 405 with the right ones, a wrong URL 404."""
    answer = await running.ask(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    assert await running.bodies() == [b"the last"]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("path", [b"/", b"/healthz"])
async def test_a_load_balancer_is_answered(running: Serving, method: bytes, path: bytes) -> None:
    """The answer to its question names no endpoint, and is no URL that was not found."""
    answer = await running.ask(method + b" " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (answer.status, answer.body, "acme" in answer.head.decode()) == (200, b"", False)
    assert (running.requests("", "checked"), running.requests("", "not_found")) == (1, 0)
    assert (await running.ask(post(path.decode()))).status == 404


async def test_a_slash_behind_the_url_makes_no_difference(running: Serving) -> None:
    """With a token and without one, on the fast path and for a GET."""
    assert (await running.ask(post("/webhooks/acme/", b"{}"))).status == 200
    assert (await running.ask(post("/webhooks/guarded/a-token/", b"{}"))).status == 200
    assert (await running.ask(b"GET /webhooks/acme/ HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
    assert (await running.ask(post("/webhooks/acme//", b"{}"))).status == 404


async def test_all_that_is_not_found_looks_the_same(running: Serving) -> None:
    """Unknown, disabled, wrong token, no token, token too many: equal bytes but for the date."""
    paths = [
        "rotating",
        "rotating/wrong",
        "unknown",
        "off",
        "guarded",
        "guarded/wrong",
        "guarded/a-tokem",
        "acme/token",
        "",
        "acme//",
    ]
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
