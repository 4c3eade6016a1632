"""`dropstream acts` on real Kafka: what verbs do is on record before they do it, or they do not do it."""

import os
import pwd
import socket
from pathlib import Path

import orjson
import pytest

from ops.kafka.clients import admin
from ops.kafka.reader import full_name
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, put
from tests.support.replaying import program

pytestmark = pytest.mark.kafka
USER = pwd.getpwuid(os.geteuid()).pw_name


def set_offsets(group: str) -> tuple[str, ...]:
    return ("offsets", "set", "--group", group, "--topic", "raw", "--to", "latest", "--yes")


async def test_what_a_verb_does_is_on_record(settings: SettingsFactory, tmp_path: Path) -> None:
    """Offsets that were set and a replay that was made: begun and done, by whom, at which machine, with counts."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(10))
    dropstream = program(mine, tmp_path)
    assert (await dropstream.run(*set_offsets("of-acts"))).code == 0
    hers = program(mine, tmp_path, {**ENVIRON, "DROPSTREAM_ACTOR": "anna"})
    replayed = await hers.run("replay", "--endpoint", "dropea", "--into", "again", "--yes")
    assert replayed.code == 0, replayed
    assert (await dropstream.run("replay", "--in-place", "--dry-run")).code == 0
    told = await dropstream.run("acts", "--json")
    assert told.code == 0, told
    acts = [orjson.loads(line) for line in told.out.splitlines()]
    assert [(one["act"], one["stage"], one["who"], one["known_by"]) for one in acts] == [
        ("set_offsets", "begun", USER, "operating_system"),
        ("set_offsets", "done", USER, "operating_system"),
        ("replay", "begun", "anna", "variable"),
        ("replay", "done", "anna", "variable"),
    ]
    assert {one["place"] for one in acts} == {socket.gethostname()}
    assert [acts[0]["id"], acts[2]["id"]] == [acts[1]["id"], acts[3]["id"]]
    assert acts[0]["about"] == "of-acts raw to 0:3, 1:7, 2:0"
    assert acts[3]["endpoint"] == "dropea"
    assert acts[3]["about"] == "into again"
    assert acts[3]["counts"] == {"became": 4, "events": 4, "rejected": 0}
    only = await dropstream.run("acts", "--who", "ANN", "--act", "replay", "--stage", "done", "--from", "1h", "--json")
    assert [orjson.loads(line) for line in only.out.splitlines()] == [acts[3]]
    assert (await dropstream.run("acts", "--to", "1h")).out == ""


async def test_without_its_topic_nothing_is_done(settings: SettingsFactory, tmp_path: Path) -> None:
    """Where topic `acts` is missing, the verb refuses and the offsets stay; `topics apply` makes it."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(10))
    dropstream = program(mine, tmp_path)
    async with admin(mine) as client:
        await client.delete_topics([full_name("acts", mine)])
    refused = await dropstream.run(*set_offsets("shipping"))
    assert refused.code == 1
    assert refused.err.startswith("error: not done, for it cannot be put on record in topic acts: no such topic: ")
    shown = await dropstream.run("offsets", "show", "--json")
    assert "shipping" not in shown.out
    assert (await dropstream.run("topics", "apply")).code == 0
    assert (await dropstream.run(*set_offsets("shipping"))).code == 0
    acts = [orjson.loads(line) for line in (await dropstream.run("acts", "--json")).out.splitlines()]
    assert [(one["act"], one["stage"]) for one in acts] == [
        ("apply_topics", "begun"),
        ("apply_topics", "done"),
        ("set_offsets", "begun"),
        ("set_offsets", "done"),
    ]
    assert (acts[1]["about"], acts[1]["counts"]) == ("acts", {"created": 1, "altered": 0})
