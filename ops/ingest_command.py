"""`dropstream ingest`: the HTTP ingress, until it is told to stop."""

import asyncio
from datetime import UTC, datetime

import uuid_utils
from prometheus_client import CollectorRegistry

from ingest.app import ingress
from ingest.receive import Stamps
from ops.admin import admin
from ops.context import ConfigFile, load_settings
from ops.service import run_service
from schemas.settings import Settings


def ingest(config: ConfigFile = None) -> None:
    """Takes webhooks in over HTTP and keeps each in Kafka before it answers. Example: dropstream ingest"""
    # The ingress may not know the secrets that sign deliveries; it runs where they are not.
    settings = load_settings(config, signing_secrets=False)

    async def main(stopping: asyncio.Event) -> None:
        await _serve(settings, stopping)

    run_service(main)


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    registry = CollectorRegistry()
    stamps = Stamps(new_id=uuid_utils.uuid7, now=lambda: datetime.now(UTC))
    async with ingress(settings, registry=registry, stamps=stamps) as running:
        ports = settings.ingest
        async with admin(host=ports.admin_host, port=ports.admin_port, registry=registry, health=running.health):
            await stopping.wait()
