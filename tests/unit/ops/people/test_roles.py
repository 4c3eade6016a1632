"""Who may see and who may act: every route of the real console is asked by a person who may only see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from ops.console.app import RunningConsole, console
from ops.people.access import is_act
from ops.people.person import Person, Role
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.notes.acts import KnownBy
from schemas.secrets import Secret
from tests.support.raw_http import RawClient

TEXT = """
[kafka]
bootstrap_servers = "127.0.0.1:1"
[console]
port = 0
ingest_admin = ["127.0.0.1:1"]
process_admin = ["127.0.0.1:1"]
[console.people.anna]
token = "env:ANNA"
role = "act"
[console.people.ben]
token = "env:BEN"
[endpoints]
"""
ANNA = Person("anna", Role.ACT, KnownBy.TOKEN)
BEN = Person("ben", Role.SEE, KnownBy.TOKEN)
TOKENS = {
    ANNA: Secret("env:ANNA", b"the-token-of-anna-for-tests"),
    BEN: Secret("env:BEN", b"the-token-of-ben-for-tests"),
}
# Every route that does something. A new one belongs here, or among those that only show.
ACTS = {
    "POST /api/acts/dry-run",
    "POST /api/acts/plan-redrive",
    "POST /api/acts/plan-reconcile",
    "POST /api/acts/plan-selection",
    "POST /api/acts/reconcile",
    "POST /api/acts/run",
    "POST /api/acts/send",
    "POST /api/deliveries/{place}/unmask",
}
SHOWS = {
    "GET /",
    "GET /acts",
    "GET /api/acts",
    "GET /api/deliveries",
    "GET /api/deliveries/{place}",
    "GET /api/acts/newest",
    "GET /api/live",
    "GET /api/rejections/{place}",
    "GET /api/session",
    "GET /api/trace",
    "GET /console.css",
    "GET /deliveries",
    "GET /deliveries/{place}",
    "GET /icon.svg",
    "GET /login",
    "GET /readyz",
    "POST /api/logout",
    "POST /login",
}


@asynccontextmanager
async def running() -> AsyncIterator[RunningConsole]:
    """The console whose Kafka is nowhere."""
    settings = read_configuration(TEXT, source="here.toml", context=Context(environ={}, providers=discover()))
    async with console(settings, TOKENS) as started:
        yield started


@asynccontextmanager
async def signed_in(started: RunningConsole, token: str) -> AsyncIterator[tuple[aiohttp.ClientSession, dict[str, str]]]:
    """Somebody with a session, and the headers that an act needs."""
    jar = aiohttp.CookieJar(unsafe=True)  # which means: for an address without a name, too
    async with aiohttp.ClientSession(f"http://127.0.0.1:{started.port}", cookie_jar=jar) as client:
        async with client.post("/login", data={"token": token}, allow_redirects=False) as answer:
            assert answer.status == 303
        async with client.get("/api/session") as answer:
            csrf = (await answer.json())["csrf"]
        yield client, {"X-CSRF-Token": csrf}


def name_of(route: web.RouteDef) -> str:
    place = "{partition:\\d{1,9}}:{offset:\\d{1,18}}"
    return f"{route.method} {route.path.replace(place, '{place}')}"


async def test_every_route_is_known_as_an_act_or_not() -> None:
    """No route of the console is in neither list: who adds one says whether it does something."""
    async with running() as started:
        names = {name_of(route) for route in started.pages.routes() if not route.path.endswith(".js")}
        assert names == ACTS | SHOWS
        acting = {name_of(route) for route in started.pages.routes() if is_act(route.method, route.path)}
        assert acting == ACTS


@pytest.mark.parametrize("route", sorted(ACTS))
async def test_who_may_see_may_not_act(route: str) -> None:
    """On each acting route the server refuses a person with the role `see`; one with `act` comes past the door."""
    path = route.split()[1].replace("{place}", "0:1")
    async with running() as started:
        async with (
            signed_in(started, "the-token-of-ben-for-tests") as (client, headers),
            client.post(path, headers=headers, data=b"[]") as answer,
        ):
            assert answer.status == 403
            assert await answer.text() == "you may see, and not act; the console's configuration says who may\n"
        if "unmask" in path:
            return  # It would wait for Kafka.
        async with (
            signed_in(started, "the-token-of-anna-for-tests") as (client, headers),
            client.post(path, headers=headers, data=b"[]") as answer,
        ):
            assert answer.status == 400  # The body is no object of texts.


async def test_who_is_signed_in_is_told_to_the_page() -> None:
    """The session says the person's name and whether they may act."""
    async with running() as started:
        for token, who, may_act in (
            ("the-token-of-anna-for-tests", "anna", True),
            ("the-token-of-ben-for-tests", "ben", False),
        ):
            async with signed_in(started, token) as (client, _), client.get("/api/session") as answer:
                session = await answer.json()
                assert (session["who"], session["may_act"], session["signs_out"]) == (who, may_act, True)


async def test_a_new_token_signs_out_whoever_had_the_old_one() -> None:
    """A token is replaced because somebody may know it: the sessions that it opened are over."""
    async with running() as started, signed_in(started, "the-token-of-ben-for-tests") as (client, _):
        started.apply(started.pages.settings, TOKENS)
        async with client.get("/api/session") as answer:
            assert answer.status == 200
        started.apply(started.pages.settings, {**TOKENS, BEN: Secret("env:BEN", b"another-token-of-ben-for-tests")})
        async with client.get("/api/session") as answer:
            assert answer.status == 401


async def test_a_person_who_is_taken_out_is_signed_out() -> None:
    """With the next reading of the configuration, whoever has no token any more has no session either."""
    async with running() as started, signed_in(started, "the-token-of-ben-for-tests") as (client, _):
        started.apply(started.pages.settings, {ANNA: TOKENS[ANNA]})
        async with client.get("/api/session") as answer:
            assert answer.status == 401
        async with client.post("/login", data={"token": "the-token-of-ben-for-tests"}) as answer:
            assert answer.status == 403


async def test_a_page_that_stays_open_is_asked_again_who_it_is() -> None:
    """The stream of the page ends by itself and tells the page to ask anew, so that its proxy judges anew."""
    async with running() as started, signed_in(started, "the-token-of-ben-for-tests") as (client, _):
        started.pages.stream_s = 0.5
        async with client.get("/api/live") as answer:
            events = (await answer.read()).split(b"\n\n")
        assert events[0].startswith(b"data: {")
        assert events[-2:] == [b"event: again\ndata: now", b""]


async def test_a_login_form_that_does_not_come_is_not_waited_for() -> None:
    """Whoever sends the head of a login and no body is answered 408, and holds no connection."""
    async with running() as started:
        started.pages.form_s = 0.2
        async with RawClient(started.port) as stranger:
            await stranger.send(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\ntok")
            assert (await stranger.answer()).status == 408
            assert await stranger.closed()
