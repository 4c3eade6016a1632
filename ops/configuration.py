"""Reads the configuration of a verb from its file and the environment.

It decides where the file is; `schemas.configuration` decides what the keys mean.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ops.kafka.clients import checked_client_arguments
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.errors import ConfigurationError
from schemas.settings import Settings

CONFIG_VARIABLE = "DROPSTREAM_CONFIG"
_DEFAULT_FILE = Path("dropstream.toml")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"The configuration; else ${CONFIG_VARIABLE}, else ./{_DEFAULT_FILE}.",
        show_default=False,
    ),
]


def configuration_file(given: Path | None) -> Path:
    """The configuration file: `given`, else the one that the environment names, else the one in this directory."""
    return given or Path(os.environ.get(CONFIG_VARIABLE) or _DEFAULT_FILE)


def load_settings(given: Path | None, *, signing_secrets: bool = True, endpoints_required: bool = True) -> Settings:
    """The settings of this run; `signing_secrets` False for a process that may not know them.

    `endpoints_required` False for a verb that may be the first to make one.

    Raises:
        ConfigurationError: names every fault at once.
    """
    file = configuration_file(given)
    text = read_text(file)
    return read_settings(
        text,
        source=str(file),
        environ=os.environ,
        signing_secrets=signing_secrets,
        endpoints_required=endpoints_required,
    )


def read_text(file: Path) -> str:
    """The text of a configuration.

    Raises:
        ConfigurationError: the file cannot be read; says how to name another.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        fault = f"cannot be read: {reason}; name the configuration with --config FILE or ${CONFIG_VARIABLE}"
        raise ConfigurationError(str(file), (fault,)) from error


def read_settings(
    text: str,
    *,
    source: str,
    environ: Mapping[str, str],
    signing_secrets: bool = True,
    endpoints_required: bool = True,
    started: str | None = None,
) -> Settings:
    """The settings that `text` and `environ` give, their certificate files checked.

    With `started`, an older text, only the endpoints are those of `text`.

    Raises:
        ConfigurationError: names every fault at once.
    """
    context = Context(
        environ=environ,
        providers=discover(),
        signing_secrets=signing_secrets,
        endpoints_required=endpoints_required,
    )
    settings = read_configuration(text, source=source, context=context, started=started)
    checked_client_arguments(settings.kafka, source=source)
    return settings
