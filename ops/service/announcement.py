"""What a long-running program says when it has started: what it is, where it is reached, how it is stopped."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import structlog

from ops.endpoints.secret_strength import other_weaknesses, weaknesses
from schemas.secrets import Secret
from schemas.settings import Settings

# Of more names and sentences than these the log tells the number.
_LISTED_MAX = 20

_log = structlog.get_logger()


def announce(
    program: str,
    settings: Settings,
    file: Path,
    addresses: Mapping[str, str],
    *,
    workers: int = 1,
    console_tokens: Mapping[str, Secret] = MappingProxyType({}),
    **more: str,
) -> None:
    """Logs that `program` serves at `addresses`, with the rest that a person who starts it wants to know.

    Secrets that can be guessed, or that every user of the machine can read, are named in a warning.
    """
    enabled = [name for name, endpoint in settings.endpoints.items() if endpoint.enabled]
    facts: dict[str, object] = {"workers": workers} if workers > 1 else {}
    _log.info(
        "started",
        program=program,
        version=version("dropstream"),
        configuration=str(file),
        **addresses,
        **more,
        kafka=settings.kafka.bootstrap_servers,
        topic_prefix=settings.kafka.topic_prefix,
        endpoints=len(enabled),
        first_endpoints=enabled[:_LISTED_MAX],
        stop="SIGTERM or Ctrl-C; a second one ends it at once",
        reload="SIGHUP",
        **facts,
    )
    warn_of_secrets(weak_secrets(settings, console_tokens))


def weak_secrets(settings: Settings, console_tokens: Mapping[str, Secret] = MappingProxyType({})) -> list[str]:
    """A sentence for each secret of the enabled endpoints and of the programs that is weak or exposed."""
    found = [f"{key}: {sentence}" for key, sentence in other_weaknesses(settings, console_tokens)]
    for name, endpoint in settings.endpoints.items():
        if endpoint.enabled:
            found += [f"{name}: {sentence}" for sentence in weaknesses(endpoint)]
    return found


def warn_of_secrets(weak: Sequence[str]) -> None:
    """Logs one warning with the first of these sentences; nothing where there is none."""
    if weak:
        _log.warning("secrets_weak", count=len(weak), first=weak[:_LISTED_MAX])


def listening(addresses: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """Each address as a log shows it: HOST:PORT, an IPv6 address in brackets."""
    return {name: f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for name, (host, port) in addresses.items()}
