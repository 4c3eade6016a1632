"""`dropstream drain`: the command before the stop of a deployment."""

import re
from typing import Annotated

import typer

from ops import screen
from ops.addresses import reached_at
from ops.configuration import ConfigFile, load_settings
from ops.drain import wait_drained
from ops.event_loop import run

_PLACE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


def drain(
    *,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="How long to wait.")] = 60.0,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The ingress's admin port; else by the configuration.", show_default=False
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Waits until every spooled delivery is in Kafka; exit code 1 if some are left. Example: dropstream drain"""
    match = _PLACE.fullmatch(admin) if admin is not None else None
    if admin is not None and (match is None or int(match["port"]) > 65_535):
        raise typer.BadParameter(f"{admin!r} is no address such as 127.0.0.1:8081", param_hint="--admin")
    place = admin or _configured(config)
    with screen.console().status("asking the ingress") as line:
        run(wait_drained(place, timeout_s=timeout, tell=lambda spooled: line.update(str(spooled))))
    if screen.is_terminal():
        screen.say("Drained: no spooled delivery is left.", style="green")


def _configured(config: ConfigFile) -> str:
    ports = load_settings(config, signing_secrets=False).ingest
    return reached_at(ports.admin_host, ports.admin_port)
