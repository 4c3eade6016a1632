"""Sends spans by OTLP over HTTP, where the standard `OTEL_` variables say to where; else nothing is loaded or done.

The exporter never holds up a delivery: spans wait in a bounded queue (`OTEL_BSP_MAX_QUEUE_SIZE`, 2,048), one thread
sends them, and what does not fit is dropped. Its complaints are one line of the program's log a minute.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_STOP_WITHIN_S = 2.0
_COMPLAINTS_EVERY_S = 60.0

_log = structlog.get_logger()


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment says where traces go, and does not switch them off."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in _ENDPOINTS)


@asynccontextmanager
async def exporting(
    program: str, environ: Mapping[str, str], *, samples_itself: bool
) -> AsyncIterator["TracerProvider | None"]:
    """What makes the spans of `program`; None where no traces are asked for, or the extra `otel` is not installed.

    With `samples_itself` the standard variables decide which traces are recorded; else whoever makes a span has done
    so. At the end what waits is sent for up to two seconds.
    """
    provider = _provider(program, environ, samples_itself=samples_itself) if is_asked_for(environ) else None
    try:
        yield provider
    finally:
        if provider is not None:
            await _end(provider)


async def _end(provider: "TracerProvider") -> None:
    """Sends what waits, in a thread that nobody waits for longer: a collector may hang when the program ends."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        provider.shutdown()
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=end, name="last traces", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_WITHIN_S):
            await ended.wait()


def _provider(program: str, environ: Mapping[str, str], *, samples_itself: bool) -> "TracerProvider | None":
    try:
        # Not at the top: the extra may be missing, and loading it takes longer than all else that a start does.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415
    except ImportError as error:
        _log.warning("traces_not_exported", why=f"{error}; install dropstream[otel], or unset {_ENDPOINTS[1]}")
        return None
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    service = {} if named else {"service.name": f"dropstream-{program}"}
    resource = Resource.create({**service, "service.version": version("dropstream")})
    secrets = _secrets_in(environ)
    _hear_complaints(secrets)
    try:
        provider = TracerProvider(None if samples_itself else ALWAYS_ON, resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        _log.warning("traces_not_exported", why=f"a variable OTEL_… cannot be used: {_masked(str(error), secrets)}")
        return None
    _log.info("traces_exported", to=_host_of(next(environ[name] for name in _ENDPOINTS if environ.get(name))))
    return provider


def _secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the variables hold that no log may have, the longest first: headers, and of URLs user, password, query."""
    found: set[str] = set()
    for header in ",".join(environ.get(name, "") for name in _HEADERS).split(","):
        value = header.partition("=")[2].strip()
        found |= {header.strip(), value, unquote(value)}
    for url in (environ.get(name, "") for name in _ENDPOINTS):
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            found |= {parts.netloc.rpartition("@")[0], parts.query}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return text


def _host_of(url: str) -> str:
    """Where the URL leads, without user, password, path and query."""
    try:
        return f"{urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"
    except ValueError:
        return "a URL that cannot be read"


def _hear_complaints(secrets: Sequence[str]) -> None:
    """Takes what OpenTelemetry logs into the program's own log, at most one line a minute."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [_Complaints(secrets)]


class _Complaints(logging.Handler):
    """Tells the first complaint of each minute; OpenTelemetry repeats headers and URLs that it cannot use."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self.secrets = secrets
        self.told_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """Tells the record, where none was told within the last minute."""
        if time.monotonic() - self.told_at >= _COMPLAINTS_EVERY_S:
            self.told_at = time.monotonic()
            why = _masked(record.getMessage(), self.secrets)[:500]
            _log.warning("traces_not_exported", why=why, more="within a minute are not told")
