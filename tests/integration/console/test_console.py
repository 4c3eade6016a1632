"""`dropstream console` as a program: who gets in, what it says while Kafka is away, and a configuration read again."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from schemas.settings import Settings
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, deliveries, prepared, put
from tests.support.programs import Program, eventually, program
from tests.support.raw_http import RawClient
from tests.support.waiting import PATIENCE_S

TOKEN = "a-token-that-nobody-guesses"


def configuration(settings: Settings, port: int, console: str = "") -> str:
    """A file for a console on `port`, whose other parts are away."""
    kafka = settings.kafka
    return (
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f'replication_factor = 1\npartitions = 3\n[console]\nport = {port}\ningest_admin = ["127.0.0.1:1"]\n'
        f'process_admin = ["127.0.0.1:1"]\n{console}\n{ENDPOINTS}'
    )


@asynccontextmanager
async def console(folder: Path, text: str, port: int) -> AsyncIterator[tuple[Program, aiohttp.ClientSession]]:
    """The program with this configuration, and somebody who keeps its cookies."""
    (folder / "dropstream.toml").write_text(text)
    jar = aiohttp.CookieJar(unsafe=True)  # which means: for an address without a name, too
    async with (
        program(folder, "console", admin_port=port, environ={**ENVIRON, "CONSOLE_TOKEN": TOKEN}) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=jar) as client,
    ):
        await running.said("started")
        yield running, client


async def picture_with(client: aiohttp.ClientSession, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first page_state of the live stream that is as wanted."""
    async with asyncio.timeout(PATIENCE_S), client.get("/api/live") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        async for line in stream.content:
            if line.startswith(b"data: ") and wanted(found := orjson.loads(line.removeprefix(b"data: "))):
                return dict(found)
    raise AssertionError("the stream ended")


def state_of(page_state: dict[str, Any], source: str) -> str:
    return next((one["state"] for one in page_state["sources"] if one["name"] == source), "unheard of")


async def test_a_token_that_is_missing_is_named(tmp_path: Path) -> None:
    """A token that cannot be had stops the start in one sentence, exit 2."""
    (tmp_path / "dropstream.toml").write_text('[console]\nhost = "0.0.0.0"\ntoken = "env:NOT_SET"\n[endpoints]\n')
    async with program(tmp_path, "console", admin_port=0) as refused:
        assert await refused.ended() == 2
    assert "console.token: the environment has no NOT_SET; set it" in refused.log.read_text()
    assert "Traceback" not in refused.log.read_text()


async def test_a_token_that_can_be_guessed_is_refused_where_others_reach_the_page(tmp_path: Path) -> None:
    """A short token stops the start of a console that other machines reach; on the loopback it is a warning."""
    port = free_ports(1)
    for host, code in (("::", 2), ("127.0.0.1", None)):
        text = f'[console]\nhost = "{host}"\nport = {port}\ntoken = "env:SHORT"\n[endpoints]\n'
        (tmp_path / "dropstream.toml").write_text(text)
        async with program(tmp_path, "console", admin_port=port, environ={"SHORT": "x"}) as running:
            if code is None:
                (weak,) = await running.said("secrets_weak")
                assert weak["first"] == [
                    "console.token: token env:SHORT is short enough to guess; make one with dropstream endpoints token"
                ]
            else:
                assert await running.ended() == code
                assert "console.token: env:SHORT is short enough to guess, and other" in running.log.read_text()


async def test_the_token_opens_a_session_and_signing_out_ends_it(settings: SettingsFactory, tmp_path: Path) -> None:
    """Nothing is seen before the token was said; with it all is, until signed out. No log and no answer holds it."""
    port = free_ports(1)
    text = configuration(settings(bootstrap_servers="127.0.0.1:1"), port, 'token = "env:CONSOLE_TOKEN"')
    async with console(tmp_path, text, port) as (running, client):
        async with client.get("/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        async with client.post("/login", data={"token": "wrong"}) as answer:
            assert answer.status == 403
            assert ' id="wrong" role="alert"' in await answer.text()
        strange = {"Content-Type": "application/x-www-form-urlencoded; charset=none-such"}
        for body in (b"token=%FF", b"\xff=\xff", b"&".join([b"a=b"] * 1_000)):
            async with client.post("/login", data=body, headers=strange) as answer:
                assert answer.status == 403
        async with RawClient(port) as stranger:
            await stranger.send(b"GET /login HTTP/1.1\r\nbad header\r\n\r\n")
            assert (await stranger.answer()).status == 400
        async with client.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403
        async with client.get("/deliveries?q=SO-1") as answer:
            assert 'action="/login?next=%2Fdeliveries%3Fq%3DSO-1"' in await answer.text()
        async with client.post("/login?next=%2Fdeliveries%3Fq%3DSO-1", data={"token": TOKEN}) as answer:
            assert (answer.status, answer.url.path_qs) == (200, "/deliveries?q=SO-1")
        async with client.post("/login?next=//evil.example", data={"token": TOKEN}) as answer:
            assert (answer.status, answer.url.path) == (200, "/")
        async with client.get("/api/session") as answer:
            said = await answer.text()
            csrf = orjson.loads(said)["csrf"]
        for bad in (b"", b"[]", b'{"sample": 1}', b"{"):
            async with client.post("/api/acts/send", data=bad, headers={"X-CSRF-Token": csrf}) as answer:
                assert answer.status == 400
        wrong = b'{"sample": "none", "endpoint": "acme"}'
        async with client.post("/api/acts/send", data=wrong, headers={"X-CSRF-Token": csrf}) as answer:
            assert answer.status == 409
            assert orjson.loads(await answer.read())["error"].startswith("no such sample: none")
        async with client.post("/api/logout", headers={"X-CSRF-Token": csrf}) as answer:
            assert answer.status == 200
        async with client.get("/api/session") as answer:
            assert answer.status == 401
        log = running.log.read_text()
    assert TOKEN not in said + log
    assert "Traceback" not in log
    assert [line["address"] for line in running.lines("console_login_refused")] == ["127.0.0.1"] * 4
    assert [line["address"] for line in running.lines("console_login")] == ["127.0.0.1"] * 2
    assert [line["count"] for line in running.lines("requests_malformed")] == [1]


async def test_kafka_may_be_away(settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path) -> None:
    """While the broker is gone that is said, since when, and what was read stays; when it is back that is said too."""
    broker = await cluster()
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON, bootstrap_servers=broker.bootstrap_servers))
    await put(mine, deliveries(12))
    port = free_ports(1)
    async with console(tmp_path, configuration(mine, port), port) as (_running, client):
        await (await client.get("/")).read()
        well = await picture_with(client, lambda one: state_of(one, "Kafka") == "well" and one["caught_up"])
        assert state_of(well, "ingress at 127.0.0.1:1") == "away"
        assert sum(sum(one["series"]["deliveries"]) for one in well["endpoints"]) == 12
        groups = {one["name"]: (one["members"], one["waiting"]) for one in well["groups"]}
        assert groups == {"deliver": (0, 12), "sequence": (0, 0)}
        broker.nodes[0].freeze()
        gone = await picture_with(client, lambda one: state_of(one, "Kafka") == "away")
        assert sum(sum(one["series"]["deliveries"]) for one in gone["endpoints"]) == 12
        concern = next(one for one in gone["concerns"] if one["what"].startswith("Kafka: "))
        assert concern["level"] == "bad"
        assert well["now"] <= concern["since_ms"] <= gone["now"]
        # The topics' figures are told as old too, since the last answer: a consumer says nothing by itself.
        silent = await picture_with(client, lambda one: state_of(one, "Kafka topics") == "away")
        topics = next(one for one in silent["sources"] if one["name"] == "Kafka topics")
        assert topics["detail"].startswith("Kafka has not answered for ")
        assert topics["since_ms"] <= silent["now"] - 7_000
        assert silent["delivered_at"] == well["delivered_at"] > 0
        broker.nodes[0].thaw()
        await put(mine, deliveries(3, first=13))
        await picture_with(
            client,
            lambda one: (
                state_of(one, "Kafka") == "well"
                and sum(sum(row["series"]["deliveries"]) for row in one["endpoints"]) == 15
            ),
        )


@pytest.mark.kafka
async def test_endpoints_are_read_again(settings: SettingsFactory, tmp_path: Path) -> None:
    """On SIGHUP an endpoint that was added is known, so that a redrive judges by what is configured now."""
    port = free_ports(1)
    text = configuration(settings(bootstrap_servers="127.0.0.1:1"), port)
    async with console(tmp_path, text, port) as (running, client):
        await (await client.get("/")).read()
        added = '[endpoints.added]\nprovider = "dropea"\nsecrets = ["env:SECRET"]\n'
        (tmp_path / "dropstream.toml").write_text(text + added)
        running.signal(signal.SIGHUP)
        await running.said("configuration_reloaded")
        page_state = await picture_with(client, lambda _: True)
        assert "added" in [one["name"] for one in page_state["endpoints"]]
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
        await eventually(lambda: not re.search("Traceback", running.log.read_text()))
