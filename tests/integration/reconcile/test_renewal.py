"""`dropstream endpoints renew` at a server of Dropea: what is dead is made anew, once, and nothing else is touched."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.integration.reconcile import rest_servers as servers
from tests.integration.reconcile.rest_servers import KEY, RestServer
from tests.support.programs import bare_environ

OURS = "https://shop.example/webhooks/dropea-es/a-token"
DEAD = {"id": 2, "topic": "issue.created", "url": OURS, "active": False}
ALIVE = {"id": 1, "topic": "order.created", "url": OURS, "active": True}
ELSEWHERE = {"id": 3, "topic": "order.created", "url": "https://other.example/hook", "active": False}


async def renew(server: RestServer, folder: Path, *more: str) -> tuple[int | None, str, str]:
    """Exit code, output, error output."""
    (folder / "dropstream.toml").write_text(
        f'[endpoints.dropea-es]\nprovider = "dropea"\nsecrets = ["env:SECRET"]\n'
        f'[endpoints.dropea-es.api]\nurl = "{server.url}"\nmarket = "ES"\nkey = "env:API_KEY"\n'
    )
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "ops", "endpoints", "renew", "dropea-es", *more),
        cwd=folder,
        env=bare_environ(API_KEY=KEY),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def shown(server: RestServer) -> list[tuple[Any, ...]]:
    return [(row["id"], row["topic"], row["url"], row["active"]) for row in server.webhooks]


async def test_what_is_switched_off_is_made_anew_once(tmp_path: Path) -> None:
    """A dry run changes nothing; then a new one stands in the place of the dead one; then there is nothing to do."""
    async with servers.running(server := servers.dropea(), servers.dropea_answer(server)):
        server.webhooks = [ALIVE, DEAD, ELSEWHERE]
        before = shown(server)
        row = "issue.created\t2\tmade anew, then deleted\n"
        assert await renew(server, tmp_path, "--dry-run") == (0, row, "")
        assert shown(server) == before
        code, out, err = await renew(server, tmp_path, "--yes")
        assert (code, out.splitlines()[0] + "\n", err) == (0, row, "")
        assert shown(server) == [before[0], before[2], (4, "issue.created", OURS, True)]
        again = await renew(server, tmp_path, "--yes")
        assert again == (0, "no subscription that leads to dropea-es is switched off\n", "")
        assert "a-token" not in out + err


async def test_what_was_made_and_not_deleted_is_deleted_alone(tmp_path: Path) -> None:
    """A run that ended between the two leaves a living one; the next makes no second."""
    async with servers.running(server := servers.dropea(), servers.dropea_answer(server)):
        server.webhooks = [DEAD, {**DEAD, "id": 5, "active": True}]
        code, out, _ = await renew(server, tmp_path, "--yes")
        assert (code, out.splitlines()[0]) == (0, "issue.created\t2\tdeleted, for another does its work")
        assert shown(server) == [(5, "issue.created", OURS, True)]


async def test_what_the_api_does_not_say_is_not_taken_for_switched_on(tmp_path: Path) -> None:
    """Where a subscription has no `active`, the verb ends with 1, names its topic and changes nothing."""
    async with servers.running(server := servers.dropea(), servers.dropea_answer(server)):
        server.webhooks = [{name: value for name, value in ALIVE.items() if name != "active"}, DEAD]
        code, out, err = await renew(server, tmp_path, "--yes")
        assert (code, out) == (1, "")
        assert "does not say whether it has switched off: order.created" in err
        assert [row["id"] for row in server.webhooks] == [1, 2]


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "denies it"), (409, "refuses it (HTTP 409)"), (500, "whether it has done it is not known")],
)
async def test_a_refusal_leaves_the_dead_one_where_it_is(tmp_path: Path, status: int, said: str) -> None:
    """Nothing is deleted before the new one is there; the sentence says what is known."""
    async with servers.running(server := servers.dropea(), servers.dropea_answer(server)):
        server.webhooks = [DEAD]
        server.faults = [
            lambda: web.json_response({"data": {"webhooks": server.webhooks}}),
            lambda: web.Response(status=status),
        ]
        code, _, err = await renew(server, tmp_path, "--yes")
        assert (code, shown(server)) == (1, [(2, "issue.created", OURS, False)])
        assert said in err
