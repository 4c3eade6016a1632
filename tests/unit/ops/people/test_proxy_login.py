"""People whom the company's proxy has logged in: whose word is believed, and what their groups let them do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ingest.client_address import ClientAddresses
from ops.people.access import CSRF_HEADER, SESSION, Guard, Sessions
from ops.people.person import Asker
from ops.people.proxy_login import ProxyLogin
from schemas.sections.console import ProxyLoginSettings

ANNA = {"X-Forwarded-User": "anna@example.org", "X-Forwarded-Groups": "staff,on-call"}
BEN = {"X-Forwarded-User": "ben@example.org", "X-Forwarded-Groups": "staff"}
HERE, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"


@asynccontextmanager
async def guarded(
    trusted: str, logins: list[Asker], act_groups: list[str] | None = None, see_groups: list[str] | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a small application whose proxy is the client itself, where `trusted` has its address."""

    async def csrf(request: web.Request) -> web.Response:
        return web.Response(text=request[SESSION].csrf)

    proxy = ProxyLogin(
        ProxyLoginSettings(act_groups=act_groups or [], see_groups=see_groups or []), [ip_network(trusted)]
    )
    addresses = ClientAddresses([ip_network(trusted)])
    guard = Guard(Sessions(begin_alone=False), None, addresses, proxy, logins.append)
    app = web.Application(middlewares=[guard.middleware()])
    app.add_routes([web.get("/", csrf), web.get("/api/live", csrf), web.post("/api/acts/run", csrf)])
    jar = aiohttp.CookieJar(unsafe=True)  # which means: for an address without a name, too
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as client:
        yield client


async def status_of_act(client: aiohttp.ClientSession, headers: Mapping[str, str]) -> int:
    async with client.get("/", headers=headers) as answer:
        csrf = await answer.text()
    async with client.post("/api/acts/run", headers={**headers, CSRF_HEADER: csrf}) as answer:
        return answer.status


async def test_the_group_says_who_may_act() -> None:
    """A member of an acting group may act, another may see; each comes in without a token and is noted once."""
    logins: list[Asker] = []
    async with guarded(HERE, logins, act_groups=["on-call"]) as client:
        assert await status_of_act(client, {**ANNA, "X-Forwarded-For": "203.0.113.9"}) == 200
        assert await status_of_act(client, BEN) == 403
    assert [(one.person.name, one.person.role, one.place) for one in logins] == [
        ("anna@example.org", "act", "203.0.113.9"),
        ("ben@example.org", "see", "127.0.0.1"),
    ]


@pytest.mark.parametrize("headers", [ANNA, {"X-Forwarded-User": "anna@example.org"}, {"X-Forwarded-Groups": "on-call"}])
async def test_from_elsewhere_the_header_is_refused(headers: dict[str, str]) -> None:
    """A request that brings the header past the proxy is answered 403, and no session begins."""
    logins: list[Asker] = []
    async with (
        guarded(ELSEWHERE, logins, act_groups=["on-call"]) as client,
        client.get("/", headers=headers) as answer,
    ):
        assert answer.status == 403
        told = "X-Forwarded-User is believed from the addresses of console.trusted_proxies alone\n"
        assert await answer.text() == told
        assert "Set-Cookie" not in answer.headers
    assert logins == []


async def test_the_proxy_s_session_is_worth_nothing_past_the_proxy() -> None:
    """Who keeps the cookie and sends no header, or another person's, does not get the first one's session."""
    async with guarded(HERE, [], act_groups=["on-call"]) as client:
        async with client.get("/", headers=ANNA) as answer:
            csrf = await answer.text()
        async with client.post("/api/acts/run", headers={CSRF_HEADER: csrf}) as answer:
            assert answer.status == 401
        async with client.post("/api/acts/run", headers={CSRF_HEADER: csrf, **BEN}) as answer:
            assert answer.status == 401


async def test_a_page_alone_begins_a_session() -> None:
    """A page that is open while the console starts again is told to load anew, and logs nobody in each time it asks."""
    logins: list[Asker] = []
    async with guarded(HERE, logins) as client:
        for _ in range(3):
            async with client.get("/api/live", headers=ANNA) as answer:
                assert answer.status == 401
                assert "Set-Cookie" not in answer.headers
        assert logins == []


async def test_a_proxy_that_does_not_tell_of_tls_lets_people_act() -> None:
    """Where only the origin of an act says https, the session is found by the cookie that the page was given."""
    async with guarded(HERE, [], act_groups=["on-call"]) as client:
        async with client.get("/", headers=ANNA) as answer:
            csrf = await answer.text()
        own = {"Origin": "https://console.example.org", "Host": "console.example.org"}
        cookie = f"dropstream-console={answer.cookies['dropstream-console'].value}"
        headers = {**ANNA, **own, CSRF_HEADER: csrf, "Cookie": cookie}
        async with client.post("/api/acts/run", headers=headers) as answer:
            assert answer.status == 200


async def test_without_a_group_that_may_see_nobody_comes_in() -> None:
    """Where groups that may see are named, whoever is in none of them is refused by name of the setting."""
    async with guarded(HERE, [], see_groups=["shop"]) as client, client.get("/", headers=BEN) as answer:
        assert answer.status == 403
        assert "console.proxy_login.see_groups" in await answer.text()


@pytest.mark.parametrize("names", [["anna", "ben"], [""], ["x" * 201], ["an\u00a0na"]])
async def test_a_header_that_names_nobody_for_certain_is_refused(names: list[str]) -> None:
    """No name, two names, one that is too long or cannot be printed: 403."""
    async with guarded(HERE, []) as client:
        headers = [("X-Forwarded-User", name) for name in names]
        async with client.get("/", headers=headers) as answer:
            assert answer.status == 403
