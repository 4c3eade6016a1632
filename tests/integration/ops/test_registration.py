"""The schemas in a real registry with Confluent's API: Apicurio, which compares them by rules of its own."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ops.docs.registration import planned_subjects
from tests.support.ports import free_ports
from tests.support.programs import VerbResult, verb
from tests.support.skipped import missing
from tests.support.tools import tool
from tests.support.waiting import until_it_is

ORDERS = "dropstream.orders-value"


@pytest.fixture
async def registry() -> AsyncIterator[str]:
    """The address of a registry that has nothing yet; it keeps what it is told in memory."""
    if shutil.which("java") is None:
        pytest.skip(missing("the registry needs Java 17", bring="PATH=FOLDER-OF-JAVA:$PATH make test"))
    jar = tool("apicurio/apicurio-registry-app-2.6.13.Final-runner.jar")
    port = free_ports(1)
    options = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}")
    process = await asyncio.create_subprocess_exec(
        *("java", *options, "-jar", jar), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    try:
        async with aiohttp.ClientSession() as http:

            async def is_up() -> bool:
                assert process.returncode is None
                try:
                    async with http.get(f"{url}/subjects") as answer:
                        return answer.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await until_it_is(is_up)
        yield url
    finally:
        process.kill()
        await process.wait()


async def post(url: str, body: dict[str, Any], *, method: str = "POST") -> None:
    """Tells the registry something as anybody would, not by the code under test."""
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    async with (
        aiohttp.ClientSession(headers=kind) as http,
        http.request(method, url, data=json.dumps(body)) as answer,
    ):
        assert answer.status == 200, await answer.text()


def of_yesterday() -> str:
    """The schema of orders before its newest field came."""
    schema: dict[str, Any] = json.loads(planned_subjects("dropstream.")[0].schema)
    data = schema["properties"]["data"]
    del data["properties"]["store_id"]
    data["required"].remove("store_id")
    return json.dumps(schema)


async def test_a_real_registry_takes_every_schema_and_the_next_version_of_each(registry: str, tmp_path: Path) -> None:
    """An added field is a version more under the level that we promise, and refused under a registry's usual one."""
    configuration = tmp_path / "dropstream.toml"
    configuration.write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n', encoding="utf-8")

    async def register(*arguments: str) -> VerbResult:
        command = ("schemas", "register", "--registry", registry, "--config", str(configuration), "--json")
        return await verb(*command, *arguments, environ={})

    body = {"schemaType": "JSON", "schema": of_yesterday()}
    await post(f"{registry}/subjects/{ORDERS}/versions", body)
    await post(f"{registry}/config/{ORDERS}", {"compatibility": "BACKWARD"}, method="PUT")
    for arguments in (("--dry-run",), ()):
        refused = await register(*arguments)
        assert refused.code == 1
        assert [one["outcome"] for one in refused.rows if one["subject"] == ORDERS] == ["refused"]
        assert "store_id" in refused.rows[0]["detail"] or "properties/data" in refused.rows[0]["detail"]
    promised = await register("--compatibility", "FORWARD_TRANSITIVE")
    assert (promised.code, promised.errors) == (0, "")
    others = [one.subject for one in planned_subjects("dropstream.") if one.subject != ORDERS]
    assert {one["subject"]: (one["outcome"], one["version"]) for one in promised.rows} == {
        ORDERS: ("registered", 2),
        **dict.fromkeys(others, ("unchanged", 1)),
    }
    again = await register()
    assert {(one["outcome"], one["compatibility"]) for one in again.rows} == {("unchanged", "FORWARD_TRANSITIVE")}
