"""`dropstream up`, which `make run` calls: the whole system on this machine, a tour, then new events until Ctrl-C.

It assembles broker, topics, services and tour, which each stand alone. The broker and the services that it starts end
with it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer

from ops.addresses import reached_at
from ops.configuration import ConfigFile
from ops.console.command import console_url
from ops.endpoints.sequence import has_sequence
from ops.kafka import topics
from ops.local import screen as up_screen
from ops.local.broker.local import DATA_FOLDER, Broker, BrokerKind, any_broker
from ops.local.configuration import LOGS, PREFIXES, LocalConfiguration, check_ports, find_local_configuration
from ops.local.foreign import claim_prefix
from ops.local.services import Service, services_running
from ops.local.tour import follow, tour
from ops.screen import say
from ops.send.client import own_base_url
from ops.send.sequence import newest_id
from ops.service.run import Signals, run_service
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.kafka.arguments import client_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.settings import Settings
from schemas.topics import plan

_INTERRUPTED = 130


def up(
    once: Annotated[
        bool, typer.Option("--once", help="End after the tour; 1 if anything expected is missing.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Runs the whole system on this machine and shows a tour of it. Example: dropstream up --once"""
    tours: list[bool] = []

    async def main(signals: Signals) -> None:
        system = asyncio.create_task(run_system(config, once=once, on_tour=tours.append))
        stop = asyncio.create_task(signals.stopping.wait())
        await asyncio.wait({system, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not system.done():
            # Cancelling `run_system` makes it stop the processes that it started.
            system.cancel()
            await asyncio.wait({system})
        if not system.cancelled():
            system.result()

    run_service(main)
    raise typer.Exit(_INTERRUPTED if not tours else 0 if tours[0] else 1)


async def run_system(config: Path | None, *, once: bool, on_tour: Callable[[bool], None]) -> None:
    """Runs the system and the tour, and gives `on_tour` whether the tour was complete.

    Returns after the tour with `once`; without it, shows new events until cancelled.

    Raises:
        DropstreamError: the broker or a service did not start; says which and why.
    """
    configuration = find_local_configuration(config)
    check_ports(configuration.settings)
    async with AsyncExitStack() as system:
        with up_screen.spinner() as progress:
            broker = await system.enter_async_context(_broker(configuration, progress))
            configuration = configuration.over(broker)
            settings = configuration.settings
            if broker.kind is BrokerKind.GIVEN:
                await _explain(broker, claim_prefix(settings, broker, PREFIXES))
            progress("making the topics")
            await _make_topics(broker, settings)
            progress("starting the ingress, the processors and the console")
            services = services_running(_services(settings), environ=configuration.environ, logs=LOGS, report=say)
            await system.enter_async_context(services)
        up_screen.show_broker(broker)
        base_url = own_base_url(settings.ingest)
        say(f"\nOne signed delivery per sample to {base_url}, and what each became (times are UTC):")
        newest = await _newest_ids(broker, settings)
        stops = await tour(settings, discover().values(), base_url=base_url, newest=newest, on_stop=up_screen.show_stop)
        on_tour(bool(stops) and all(stop.complete for stop in stops))
        if not once:
            up_screen.show_invitation(settings, base_url, console_url(settings), configuration.exports)
            await follow(settings, up_screen.show_arrival)


@asynccontextmanager
async def _broker(configuration: LocalConfiguration, progress: up_screen.Progress) -> AsyncIterator[Broker]:
    if given := configuration.given_broker():
        yield given
        return
    async with any_broker(DATA_FOLDER, environ=os.environ, progress=progress) as broker:
        yield broker


async def _make_topics(broker: Broker, settings: Settings) -> None:
    if broker.kind is not BrokerKind.MEMORY:
        await _explain(broker, topics.apply(settings))
        return
    # The in-memory broker has no request that makes a topic; it makes one when somebody first asks for its partitions.
    with cancellation_kept(asyncio.current_task()):
        async with AIOKafkaProducer(**client_arguments(settings.kafka)) as producer:
            for topic in plan(settings):
                await producer.partitions_for(topic.name)


async def _explain(broker: Broker, work: Awaitable[object]) -> None:
    """Waits for `work`; a failure says who named the broker."""
    try:
        await work
    except DropstreamError as error:
        if not broker.named_by or broker.named_by in str(error):
            raise
        raise DropstreamError(f"{error}\n{broker.named_by} says to use this broker.") from error


async def _newest_ids(broker: Broker, settings: Settings) -> dict[str, int]:
    """The newest sequence id of each endpoint that has one; the in-memory broker begins empty."""
    if broker.kind is BrokerKind.MEMORY:
        return {}
    providers, now = discover(), datetime.now(UTC)
    numbered = [
        name
        for name, endpoint in settings.endpoints.items()
        if endpoint.enabled and has_sequence(providers[endpoint.provider], now)
    ]
    found = {name: await newest_id(settings, name) for name in numbered}
    return {name: newest for name, newest in found.items() if newest is not None}


def _services(settings: Settings) -> tuple[Service, ...]:
    ingest, process = settings.ingest, settings.process
    return (
        Service("ingest", ("ingest",), f"http://{reached_at(ingest.admin_host, ingest.admin_port)}/readyz"),
        Service("process", ("process",), f"http://{reached_at(process.admin_host, process.admin_port)}/readyz"),
        Service("console", ("console",), f"{console_url(settings)}readyz"),
    )
