"""`dropstream console`: serves the operations page until a signal stops it."""

import os
from collections.abc import Mapping
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from ops.addresses import reached_at
from ops.configuration import ConfigFile, configuration_file
from ops.console.app import console as serve
from ops.people.person import SHARED_TOKEN, Person
from ops.people.tokens import resolve_tokens
from ops.service.announcement import announce
from ops.service.reload import reloading
from ops.service.run import Signals, run_service
from ops.service.running_configuration import begun
from ops.service.source import SettingsSource
from schemas.secrets import Secret
from schemas.settings import Settings

_log = structlog.get_logger()


def console(config: ConfigFile = None) -> None:
    """Shows how the system is, and acts: redrive, a dry run of a replay, a sample. Example: dropstream console"""
    source = SettingsSource(configuration_file(config), signing_secrets=True)
    first = source.read()
    settings = first.settings
    tokens = resolve_tokens(settings.console, os.environ, str(source.file))

    def read_again(loaded: Settings) -> Mapping[Person, Secret]:
        if settings.console.needs_login:
            return resolve_tokens(loaded.console, os.environ, str(source.file))
        # No login was wanted at the start, so none is before a restart: whoever has the page open is told nothing.
        if loaded.console.needs_login:
            keys = ["console.token", "console.people"]
            _log.warning("restart_needed", file=str(source.file), keys=keys, until_then="no login is wanted")
        return {}

    async def main(signals: Signals) -> None:
        async with (
            serve(settings, tokens) as running,
            reloading(
                source,
                settings,
                signals.reload,
                registry=CollectorRegistry(),
                prepare=lambda loaded: partial(running.apply, loaded.settings, read_again(loaded.settings)),
                running=begun(source.file, first.text),
            ),
        ):
            page = console_url(settings, running.port)
            announce("console", settings, source.file, {"page": page}, console_tokens=_by_key(tokens))
            await signals.stopping.wait()

    run_service(main, settings, reloads=True)


def console_url(settings: Settings, port: int | None = None) -> str:
    """The URL of the console for a browser on this machine."""
    return f"http://{reached_at(settings.console.host, port or settings.console.port)}/"


def _by_key(tokens: Mapping[Person, Secret]) -> dict[str, Secret]:
    """Each token by the key of its setting."""
    return {
        "console.token" if person == SHARED_TOKEN else f"console.people.{person.name}.token": token
        for person, token in tokens.items()
    }
