"""`dropstream up`: the whole system on this machine, a tour of it, then new events live until Ctrl-C.

Put together from parts that each stand alone: broker, topics, services, tour. What it starts ends with it.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ops import topics, up_screen
from ops.broker.local import DATA_FOLDER, Broker, BrokerKind, any_broker
from ops.context import CONFIG_VARIABLE, configuration_file
from ops.local_setup import LOGS, write_local_configuration
from ops.screen import say
from ops.services import Service, running
from ops.tour import Stop, follow, tour
from processors.provider import Provider, discover
from schemas.configuration import Context, read_configuration
from schemas.errors import DropstreamError
from schemas.kafka import client_arguments
from schemas.settings import Settings
from schemas.topics import plan


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything stands on: the configuration's file, what overrides it, and the settings that both give."""

    file: Path
    overrides: Mapping[str, str]
    settings: Settings

    @property
    def environ(self) -> dict[str, str]:
        """What a service of this system finds in its environment, over ours."""
        return {CONFIG_VARIABLE: str(self.file), **self.overrides}


async def up(config: Path | None, *, once: bool, on_tour: Callable[[bool], None]) -> None:
    """Tells `on_tour` whether the tour was complete, then ends with `once`, and without it goes on until cancelled.

    Raises:
        DropstreamError: a part did not start; says which and why.
    """
    providers = discover()
    file = _configuration(config, providers)
    _check_ports(_read(file, {}, providers))
    async with AsyncExitStack() as system:
        with up_screen.spinner() as tell:
            broker, overrides = await system.enter_async_context(_broker(tell))
            ground = Ground(file, overrides, _read(file, overrides, providers))
            tell("making the topics")
            await _make_topics(broker, ground.settings)
            tell("starting the ingress and the processors")
            services = running(_services(ground.settings), environ=ground.environ, logs=LOGS, tell=say)
            await system.enter_async_context(services)
        up_screen.show_ground(broker)
        stops = await _show(ground.settings, providers)
        on_tour(bool(stops) and all(stop.complete for stop in stops))
        if not once:
            up_screen.show_invitation(ground.settings, _base_url(ground.settings), ground.file)
            await follow(ground.settings, up_screen.show_arrival)


def _configuration(config: Path | None, providers: Mapping[str, Provider]) -> Path:
    """The person's own file where there is one, else one made for this machine."""
    file = configuration_file(config)
    if config or CONFIG_VARIABLE in os.environ or file.exists():
        return file.resolve()
    return write_local_configuration(providers.values())


def _read(file: Path, overrides: Mapping[str, str], providers: Mapping[str, Provider]) -> Settings:
    context = Context(environ={**os.environ, **overrides}, providers=providers)
    return read_configuration(file.read_text(encoding="utf-8"), source=str(file), context=context)


def _check_ports(settings: Settings) -> None:
    """Every port that the services will want is free.

    Raises:
        DropstreamError: one is not; says which setting moves it.
    """
    ingest, process = settings.ingest, settings.process
    for name, host, port in (
        ("ingest.port", ingest.host, ingest.port),
        ("ingest.admin_port", ingest.admin_host, ingest.admin_port),
        ("process.admin_port", process.admin_host, process.admin_port),
    ):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                variable = f"DROPSTREAM_{name.upper().replace('.', '__')}"
                raise DropstreamError(
                    f"port {port} of {host} cannot be had for {name}: {error.strerror}\n"
                    f"End what uses it, or choose another port: {variable}={port + 1000}"
                ) from error


@asynccontextmanager
async def _broker(tell: up_screen.Progress) -> AsyncIterator[tuple[Broker, Mapping[str, str]]]:
    """A broker, and the variables that lead to it."""
    async with any_broker(DATA_FOLDER, environ=os.environ, progress=tell) as broker:
        overrides = {"DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        if broker.kind is BrokerKind.KAFKA:
            overrides["DROPSTREAM_KAFKA__REPLICATION_FACTOR"] = "1"
        if broker.kind is BrokerKind.MEMORY:
            overrides["DROPSTREAM_KAFKA__CHECK_CRCS"] = "false"
        yield broker, overrides


async def _make_topics(broker: Broker, settings: Settings) -> None:
    if broker.kind is not BrokerKind.MEMORY:
        await topics.apply(settings)
        return
    # It has no request that makes a topic; it makes one when its name is first asked for.
    async with AIOKafkaProducer(**client_arguments(settings.kafka)) as producer:
        for topic in plan(settings):
            await producer.partitions_for(topic.name)


def _services(settings: Settings) -> tuple[Service, ...]:
    ingest, process = settings.ingest, settings.process
    return (
        Service("ingest", ("ingest",), f"http://{ingest.admin_host}:{ingest.admin_port}/readyz"),
        Service("process", ("process",), f"http://{process.admin_host}:{process.admin_port}/readyz"),
    )


async def _show(settings: Settings, providers: Mapping[str, Provider]) -> list[Stop]:
    say(f"\nOne signed delivery per sample to {_base_url(settings)}, and what each became (times are UTC):")
    return await tour(settings, providers.values(), base_url=_base_url(settings), on_stop=up_screen.show_stop)


def _base_url(settings: Settings) -> str:
    # An address that stands for all of them is reached at the loopback one.
    host = "127.0.0.1" if settings.ingest.host in {"0.0.0.0", "::"} else settings.ingest.host  # noqa: S104
    return f"http://{host}:{settings.ingest.port}"
