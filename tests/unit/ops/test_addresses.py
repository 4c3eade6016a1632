"""What listens on an address of the settings is reached from this machine."""

import socket

import aiohttp
import pytest
from aiohttp import web

from ops.addresses import reached_at
from ops.console.command import console_url
from ops.console.watch import ingest_addresses, process_addresses
from ops.send.client import own_base_url
from schemas.sections.console import ConsoleSettings
from schemas.sections.programs import IngestSettings, ProcessSettings
from schemas.settings import Settings
from tests.support.ports import free_ports


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("10.0.0.5", "10.0.0.5:80"),
        ("hooks.example", "hooks.example:80"),
        ("2001:db8::7", "[2001:db8::7]:80"),
        ("::1", "[::1]:80"),
        ("0.0.0.0", "127.0.0.1:80"),  # noqa: S104 compared, not bound
        ("", "127.0.0.1:80"),
        ("::", "[::1]:80"),
        ("0:0:0:0:0:0:0:0", "[::1]:80"),
    ],
)
def test_every_url_of_ours_names_the_address_that_is_listened_on(host: str, place: str) -> None:
    """Ingress, admin ports and console: a given address as it is, in brackets where a URL wants them."""
    ingest = IngestSettings(host=host, port=80, admin_host=host, admin_port=80)
    process = ProcessSettings(admin_host=host, admin_port=80)
    console = ConsoleSettings(host=host, port=80, token="env:TOKEN")
    settings = Settings(ingest=ingest, process=process, console=console, endpoints={})
    assert own_base_url(ingest) == f"http://{place}"
    assert console_url(settings) == f"http://{place}/"
    assert ingest_addresses(settings) == process_addresses(settings) == [place]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "", "localhost", "::", "::1"])  # noqa: S104 a moment
async def test_a_server_is_found_where_it_is_said_to_be(host: str) -> None:
    """Whatever of this machine it listens on, `::` for IPv6 alone included."""
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_ports(1)

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="here")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        async with aiohttp.ClientSession() as session, session.get(f"http://{reached_at(host, port)}/") as response:
            assert await response.text() == "here"
    finally:
        await runner.cleanup()


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
