"""`dropstream console`: serves the operations page until a signal stops it."""

import os
from functools import partial

from prometheus_client import CollectorRegistry

from ops.addresses import reached_at
from ops.configuration import ConfigFile, configuration_file
from ops.console.app import console as serve
from ops.endpoints.secret_strength import is_weak_token
from ops.service.announcement import announce
from ops.service.reload import SettingsSource, reloading
from ops.service.run import Signals, run_service
from ops.service.running_configuration import begun
from schemas.errors import ConfigurationError
from schemas.secrets import Secret, resolve
from schemas.settings import Settings, is_loopback


def console(config: ConfigFile = None) -> None:
    """Shows how the system is, and acts: redrive, a dry run of a replay, a sample. Example: dropstream console"""
    source = SettingsSource(configuration_file(config), signing_secrets=True)
    first = source.read()
    settings = first.settings
    token = _token(settings, str(source.file))

    async def main(signals: Signals) -> None:
        async with (
            serve(settings, token) as running,
            reloading(
                source,
                settings,
                signals.reload,
                registry=CollectorRegistry(),
                prepare=lambda loaded: partial(running.apply, loaded.settings),
                running=begun(source.file, first.text),
            ),
        ):
            page = console_url(settings, running.port)
            announce("console", settings, source.file, {"page": page}, console_token=token)
            await signals.stopping.wait()

    run_service(main, settings, reloads=True)


def console_url(settings: Settings, port: int | None = None) -> str:
    """The URL of the console for a browser on this machine."""
    return f"http://{reached_at(settings.console.host, port or settings.console.port)}/"


def _token(settings: Settings, source: str) -> Secret | None:
    if settings.console.token is None:
        return None
    try:
        token = resolve(settings.console.token, os.environ)
    except ValueError as error:
        raise ConfigurationError(source, (f"console.token: {error}",)) from error
    if is_weak_token(token) and not is_loopback(settings.console.host):
        fault = (
            f"console.token: {token} is short enough to guess, and other machines reach {settings.console.host}; "
            "make one with dropstream endpoints token"
        )
        raise ConfigurationError(source, (fault,))
    return token
