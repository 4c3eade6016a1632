"""Who may see the console and act: by the guard, over real HTTP on the loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ingest.client_address import ClientAddresses
from ops.people.access import (
    CSRF_HEADER,
    SESSION,
    Guard,
    Sessions,
    add_headers,
    login_address,
    loopback_names,
    page_wanted,
)
from ops.people.person import NO_LOGIN


@asynccontextmanager
async def guarded(sessions: Sessions, names: frozenset[str] | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a small application behind the guard."""

    async def csrf(request: web.Request) -> web.Response:
        return web.Response(text=request[SESSION].csrf)

    app = web.Application(middlewares=[Guard(sessions, names, ClientAddresses(())).middleware()])
    app.on_response_prepare.append(add_headers)
    app.add_routes([web.get("/", csrf), web.get("/api/x", csrf), web.post("/api/x", csrf), web.get("/readyz", _well)])
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), cookie_jar=_jar()) as client:
        yield client


async def _well(_request: web.Request) -> web.Response:
    return web.Response()


def _jar() -> aiohttp.CookieJar:
    return aiohttp.CookieJar(unsafe=True)  # which means: for an address without a name, too


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8083", 200),
        ("localhost", 200),
        ("[::1]:8083", 200),
        ("console.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8083", 421),
        ("", 421),
        ("[", 421),
    ],
)
async def test_a_name_that_is_not_ours_is_refused(host: str, status: int) -> None:
    """On the loopback address only loopback names and those that are configured are answered: no DNS rebinding."""
    names = loopback_names(["Console.example"])
    async with guarded(Sessions(begin_alone=True), names) as client, client.get("/", headers={"Host": host}) as answer:
        assert answer.status == status


async def test_an_act_needs_the_session_its_token_and_its_origin() -> None:
    """A POST passes only with the session's cookie, its CSRF token, and from the page's own origin."""
    async with guarded(Sessions(begin_alone=True), None) as client:
        async with client.post("/api/x") as answer:
            assert answer.status == 401
        async with client.get("/") as answer:
            csrf = await answer.text()
            cookie = answer.headers["Set-Cookie"]
        assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict")
        for headers, status in (
            ({}, 403),
            ({CSRF_HEADER: "wrong"}, 403),
            ({CSRF_HEADER: csrf}, 200),
            ({CSRF_HEADER: csrf, "Origin": "http://evil.example"}, 403),
            ({CSRF_HEADER: csrf, "Origin": "null"}, 403),
            ({CSRF_HEADER: csrf, "Sec-Fetch-Site": "cross-site"}, 403),
        ):
            async with client.post("/api/x", headers=headers) as answer:
                assert answer.status == status, headers


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://console.example", "console.example", 200),
        ("https://console.example", "Console.Example:443", 200),
        ("https://console.example:8443", "console.example:8443", 200),
        ("http://console.example", "console.example", 200),
        ("http://[::1]:8083", "[::1]:8083", 200),
        ("https://console.example:8443", "console.example", 403),
        ("http://console.example:443", "console.example:80", 403),
        ("https://console.example.evil", "console.example", 403),
        ("ftp://console.example", "console.example", 403),
        ("https://", "", 403),
        ("https://[", "[", 403),
    ],
)
async def test_an_act_comes_from_the_place_that_was_called(origin: str, host: str, status: int) -> None:
    """Origin and Host name the same host and port, whether or not they say the port that their scheme implies."""
    async with guarded(Sessions(begin_alone=True), None) as client:
        async with client.get("/", headers={"X-Forwarded-Proto": "https"}) as answer:
            csrf = await answer.text()
            key = answer.cookies["__Host-dropstream-console"].value
        headers = {CSRF_HEADER: csrf, "Origin": origin, "Host": host, "Cookie": f"__Host-dropstream-console={key}"}
        async with client.post("/api/x", headers=headers) as answer:
            assert answer.status == status


async def test_with_a_token_nothing_is_seen_before_it_was_said() -> None:
    """Pages lead to the login, requests are answered 401, and no session begins by itself; readiness is open."""
    async with guarded(Sessions(begin_alone=False), None) as client:
        async with client.get("/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
            assert "Set-Cookie" not in answer.headers
        for path, status in (("/api/x", 401), ("/readyz", 200)):
            async with client.get(path) as answer:
                assert answer.status == status


def test_a_link_survives_the_login_and_leads_nowhere_else() -> None:
    """The login leads on to the page of deliveries that was asked for, and never to another site."""
    for wanted in ("/acts?who=anna", "/deliveries", "/deliveries?q=100000015&from=2h", "/deliveries/0:17"):
        assert page_wanted(wanted) == wanted
        assert login_address(wanted).startswith(("/login?next=%2Fdeliveries", "/login?next=%2Facts"))
    for other in (
        "/",
        "//evil.example",
        "https://evil.example/",
        "/deliveries/../api",
        "/deliveries?\r\nX: y",
        "",
        "/deliveries2",
    ):
        assert page_wanted(other) == "/"
        assert login_address(other) == "/login"


async def test_every_answer_keeps_the_browser_to_the_page() -> None:
    """Errors carry the same headers as pages: no inline script, no other place, no frame, no guessing of types."""
    async with guarded(Sessions(begin_alone=True), None) as client:
        for path in ("/", "/api/nothing", "/nothing"):
            async with client.get(path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["Referrer-Policy"] == "same-origin"
                assert answer.headers["Cache-Control"] == "no-store"


def test_sessions_end() -> None:
    """A session ends when it was not used for twelve hours, when it is told to, or when 200 newer ones are open."""
    now = [0.0]
    sessions = Sessions(begin_alone=True, clock=lambda: now[0])
    used, _ = sessions.open(NO_LOGIN)
    idle, _ = sessions.open(NO_LOGIN)
    now[0] = 12 * 3_600.0
    assert sessions.find(used) is not None
    now[0] += 1
    assert sessions.find(idle) is None
    assert sessions.find(used) is not None
    sessions.close(used)
    assert sessions.find(used) is None
    first, _ = sessions.open(NO_LOGIN)
    others = [sessions.open(NO_LOGIN)[0] for _ in range(200)]
    assert sessions.find(first) is None
    assert sessions.find(others[0]) is not None
    assert sessions.find(None) is None


def test_a_session_that_is_always_used_ends_after_a_week() -> None:
    """However often its page asks: whoever took a cookie has it for no longer than that."""
    now = [0.0]
    sessions = Sessions(begin_alone=False, clock=lambda: now[0])
    key, _ = sessions.open(NO_LOGIN)
    for hour in range(1, 7 * 24 + 1):
        now[0] = hour * 3_600.0
        assert sessions.find(key) is not None
    now[0] += 1
    assert sessions.find(key) is None


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://console.example"}])
async def test_behind_tls_the_cookie_goes_over_tls_alone(headers: dict[str, str]) -> None:
    """Where the browser speaks TLS, the cookie is Secure and of this host alone, and no other cookie is believed."""
    sessions = Sessions(begin_alone=True)
    async with guarded(sessions, None) as client:
        async with client.get("/", headers=headers) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-dropstream-console=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        key, _ = sessions.open(NO_LOGIN)
        for name, status in (("__Host-dropstream-console", 200), ("dropstream-console", 401)):
            async with client.get("/api/x", headers={**headers, "Cookie": f"{name}={key}"}) as answer:
                assert answer.status == status


async def test_a_header_that_is_no_text_is_refused() -> None:
    """Bytes that are no UTF-8 in the token of an act are a wrong token, and no fault of the program."""
    async with guarded(Sessions(begin_alone=True), None) as client:
        await (await client.get("/")).read()
        async with client.post("/api/x", headers={CSRF_HEADER: "\udcff"}) as answer:
            assert answer.status == 403
