"""`dropstream process`: the consumer groups, until they are told to stop."""

import asyncio
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from ops.admin import admin
from ops.context import ConfigFile, load_settings
from ops.service import run_service
from processors.groups import deliver_group
from processors.metrics import ProcessMetrics
from processors.provider import discover
from schemas.errors import ConfigurationError
from schemas.settings import Settings

GROUPS = ("deliver",)


def process(
    groups: Annotated[
        list[str] | None, typer.Argument(help="Which groups; all by default.", show_default=False)
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Turns raw deliveries into events, exactly once. Example: dropstream process deliver"""
    unknown = [name for name in groups or () if name not in GROUPS]
    if unknown:
        raise ConfigurationError("process", tuple(f"no such group: {name}; there is: deliver" for name in unknown))
    settings = load_settings(config)

    async def main(stopping: asyncio.Event) -> None:
        await _work(settings, stopping)

    run_service(main)


async def _work(settings: Settings, stopping: asyncio.Event) -> None:
    registry = CollectorRegistry()
    group = deliver_group(settings, discover(), ProcessMetrics(registry), stopping)
    ports = settings.process
    async with admin(host=ports.admin_host, port=ports.admin_port, registry=registry, health=group.health):
        await group.run()
