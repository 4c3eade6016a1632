"""The table of the providers whose API can be asked; a fifth one is a row."""

import os
from collections.abc import Mapping

from ops.reconcile.dreamship import DREAMSHIP
from ops.reconcile.dropea import DROPEA
from ops.reconcile.modern_dropship import MODERN_DROPSHIP
from ops.reconcile.shipstream import SHIPSTREAM
from ops.reconcile.source import SourceKind
from schemas.errors import ConfigurationError, UsageError
from schemas.secrets import resolve
from schemas.settings import Settings

SOURCES: Mapping[str, SourceKind] = {one.provider: one for one in (SHIPSTREAM, DROPEA, DREAMSHIP, MODERN_DROPSHIP)}


def source_of(settings: Settings, endpoint: str) -> SourceKind:
    """The kind of API that the endpoint's provider has.

    Raises:
        UsageError: nothing can be fetched from the provider, or a person has switched it off.
    """
    configured = settings.endpoints[endpoint]
    kind = SOURCES.get(configured.provider)
    if kind is None:
        raise UsageError(f"nothing can be fetched from {configured.provider}; from: {', '.join(sorted(SOURCES))}")
    if configured.reconcile == "off":
        raise UsageError(f'endpoints.{endpoint}.reconcile is "off"; set it to "offer" or "automatic"')
    return kind


def api_key(settings: Settings, endpoint: str, *, source: str) -> str:
    """The key of the endpoint's API.

    Raises:
        ConfigurationError: the endpoint has no API, or its key cannot be resolved.
    """
    api = settings.endpoints[endpoint].api
    if api is None:
        example = f'add [endpoints.{endpoint}.api] with key = "env:NAME" (docs/settings.md says what else)'
        raise ConfigurationError(source, (f"endpoints.{endpoint}.api: is missing; {example}",))
    try:
        return resolve(api.key.reference, os.environ).value.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(source, (f"endpoints.{endpoint}.api.key: {api.key} is not UTF-8 text",)) from None
    except ValueError as error:
        raise ConfigurationError(source, (f"endpoints.{endpoint}.api.key: {error}",)) from error
