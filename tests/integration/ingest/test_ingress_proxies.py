"""An ingress behind a proxy, and one whose token is being replaced: over real HTTP, with what `raw` then holds."""

import pytest

from tests.conftest import SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, read_raw, ready

pytestmark = pytest.mark.kafka

# We are the proxy here: the test's own connections come from 127.0.0.1.
_BEHIND = 'trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]'


async def remotes(running: Serving, count: int) -> list[bytes | None]:
    """The `dropstream-remote` of each record."""
    return [dict(record.headers)["dropstream-remote"] for record in await read_raw(running.settings, count)]


async def test_a_trusted_proxy_names_the_client(settings: SettingsFactory) -> None:
    """allow_from looks at the address that the proxy wrote, not at what its client wrote; and so does the record."""
    async with ready(settings, _BEHIND) as running:
        for forwarded_for, status in [
            (b"198.51.100.1, 203.0.113.7", 200),
            (b"203.0.113.7:4711, 10.1.1.1", 200),
            (b"203.0.113.7, 198.51.100.1", 403),
            (b"203.0.113.7, unknown", 403),
            (b"203.0.113.7,", 403),
            (b"203.0.113.7\xff", 403),
            (b"", 403),
        ]:
            request = post("/webhooks/far", b"body", b"X-Forwarded-For: " + forwarded_for)
            assert (forwarded_for, (await running.ask(request)).status) == (forwarded_for, status)
        split = post("/webhooks/far", b"body", b"X-Forwarded-For: 203.0.113.9", b"x-forwarded-for: 10.2.2.2")
        assert (await running.ask(split)).status == 200
        assert (await running.ask(post("/webhooks/far", b"body"))).status == 403
        assert await remotes(running, 3) == [b"203.0.113.7", b"203.0.113.7", b"203.0.113.9"]
        # The four that name nobody; the doctor tells of them.
        assert running.ingress.health().facts["addresses_unreadable"] == 4


async def test_an_unreadable_client_is_taken_where_anybody_is(settings: SettingsFactory) -> None:
    """Without allow_from a delivery is not lost for a proxy's fault; its remote is empty, not a wrong one."""
    async with ready(settings, _BEHIND) as running:
        assert (await running.ask(post("/webhooks/acme", b"body", b"X-Forwarded-For: 1.2.3.4, unknown"))).status == 200
        assert await remotes(running, 1) == [b""]


async def test_a_stranger_names_nobody(settings: SettingsFactory) -> None:
    """Where the peer is no trusted proxy, the header changes neither the answer nor the record."""
    async with ready(settings, 'trusted_proxies = ["10.0.0.0/8"]') as running:
        forged = b"X-Forwarded-For: 203.0.113.7, 10.0.0.1"
        assert (await running.ask(post("/webhooks/far", b"body", forged))).status == 403
        assert (await running.ask(post("/webhooks/near", b"body", forged))).status == 200
        assert await remotes(running, 1) == [b"127.0.0.1"]


async def test_both_tokens_are_right_while_one_replaces_the_other(settings: SettingsFactory) -> None:
    """The new and the old path are one endpoint; an older one is as unknown as any."""
    async with ready(settings) as running:
        paths = ["a-token", "an-older-token", "an-oldest-token"]
        answers = [await running.ask(post(f"/webhooks/rotating/{token}", token.encode())) for token in paths]
        assert [answer.status for answer in answers] == [200, 200, 404]
        records = await read_raw(running.settings, 2)
        assert [(record.key, record.value) for record in records] == [
            (b"rotating", b"a-token"),
            (b"rotating", b"an-older-token"),
        ]
