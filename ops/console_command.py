"""`dropstream console`: the operations page, until it is told to stop."""

import os

import structlog

from ops.console.app import console as serve
from ops.context import ConfigFile, configuration_file, load_settings
from ops.service import Signals, run_service
from schemas.errors import ConfigurationError
from schemas.secrets import Secret, resolve
from schemas.settings import Settings

_log = structlog.get_logger()


def console(config: ConfigFile = None) -> None:
    """Shows how the system is, and acts: redrive, a dry run of a replay, a sample. Example: dropstream console"""
    settings = load_settings(config)
    token = _token(settings, str(configuration_file(config)))

    async def main(signals: Signals) -> None:
        async with serve(settings, token) as port:
            _log.info("console_ready", url=console_url(settings, port), token=token is not None)
            await signals.stopping.wait()

    run_service(main)


def console_url(settings: Settings, port: int | None = None) -> str:
    """Where a browser on this machine finds it."""
    host = settings.console.host
    reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 compared, not bound
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port or settings.console.port}/"


def _token(settings: Settings, source: str) -> Secret | None:
    if settings.console.token is None:
        return None
    try:
        return resolve(settings.console.token, os.environ)
    except ValueError as error:
        raise ConfigurationError(source, (f"console.token: {error}",)) from error
