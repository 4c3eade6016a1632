"""`dropstream up`: what `make run` calls."""

import asyncio
from typing import Annotated

import typer

from ops.configuration import ConfigFile
from ops.local.up import up as run_system
from ops.service.run import Signals, run_service

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
            # It ends what it started on its way out.
            system.cancel()
            await asyncio.wait({system})
        if not system.cancelled():
            system.result()

    run_service(main)
    raise typer.Exit(_INTERRUPTED if not tours else 0 if tours[0] else 1)
