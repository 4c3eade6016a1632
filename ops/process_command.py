"""`dropstream process`: the consumer groups, until they are told to stop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

import structlog
import typer
from prometheus_client import CollectorRegistry

from ops.admin import admin
from ops.context import ConfigFile, load_settings
from ops.service import run_service
from processors.groups import deliver_group, sequence_group
from processors.metrics import ProcessMetrics
from processors.provider import discover
from schemas.errors import ConfigurationError, DropstreamError
from schemas.health import Health
from schemas.settings import Settings

GROUPS = ("deliver", "sequence")

_log = structlog.get_logger()


class Runner(Protocol):
    """What of a group is used here."""

    async def run(self) -> None:
        """Works until told to stop."""

    def health(self) -> Health:
        """How it stands."""


def process(
    groups: Annotated[
        list[str] | None, typer.Argument(help="deliver, sequence; both by default.", show_default=False)
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Turns raw deliveries into events, exactly once, and reports gaps. Example: dropstream process deliver"""
    unknown = [name for name in groups or () if name not in GROUPS]
    if unknown:
        there_is = ", ".join(GROUPS)
        raise ConfigurationError("process", tuple(f"no such group: {name}; there is: {there_is}" for name in unknown))
    settings = load_settings(config)

    async def main(stopping: asyncio.Event) -> None:
        await _work(settings, groups or GROUPS, stopping)

    run_service(main)


async def _work(settings: Settings, names: Sequence[str], stopping: asyncio.Event) -> None:
    registry = CollectorRegistry()
    metrics = ProcessMetrics(registry)
    groups: dict[str, Runner] = {}
    if "deliver" in names:
        groups["deliver"] = deliver_group(settings, discover(), metrics, stopping)
    if "sequence" in names:
        groups["sequence"] = sequence_group(settings, metrics, stopping)
    ports = settings.process
    async with admin(
        host=ports.admin_host, port=ports.admin_port, registry=registry, health=lambda: joint_health(groups)
    ):
        await run_together(list(groups.values()), stopping)


def joint_health(groups: Mapping[str, Runner]) -> Health:
    """Live and ready when all are; each fact carries the name of its group."""
    each = {name: group.health() for name, group in groups.items()}
    return Health(
        live=all(one.live for one in each.values()),
        ready=all(one.ready for one in each.values()),
        facts={f"{name}_{fact}": value for name, one in each.items() for fact, value in one.facts.items()},
    )


async def run_together(groups: Sequence[Runner], stopping: asyncio.Event) -> None:
    """Runs the groups until `stopping` is set; the first that fails sets it, and the others end in good order.

    Raises:
        DropstreamError: of several failures the first that is one, for it says what to do.
    """

    async def run(group: Runner) -> None:
        try:
            await group.run()
        finally:
            stopping.set()

    # No TaskGroup: it would cancel the others in the middle of their transactions.
    ended = await asyncio.gather(*map(run, groups), return_exceptions=True)
    failures = [one for one in ended if one is not None]
    told = next((one for one in failures if isinstance(one, DropstreamError)), next(iter(failures), None))
    for failure in failures:
        if failure is not told:
            _log.error("group_failed", error=repr(failure))
    if told is not None:
        raise told
