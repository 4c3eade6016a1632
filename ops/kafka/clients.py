"""Opens admin clients and consumers for short requests, with deadlines; a failure becomes a sentence for a person."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from ops.addresses import is_of_this_machine
from schemas.errors import AccessRefusedError, ConfigurationError, DropstreamError
from schemas.kafka.arguments import client_arguments, reader_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.kafka.errors import ACCESS_REFUSED
from schemas.kafka.login.principal import principal_of
from schemas.kafka.login.refusals import refusal_of
from schemas.kafka.login.tls import TlsFiles
from schemas.sections.kafka import KafkaSettings
from schemas.settings import Settings

# A cluster that is not there says so at once; one on a busy machine takes seconds.
CONNECT_TIMEOUT_S = 15.0
REQUEST_TIMEOUT_MS = 15_000
CLOSE_TIMEOUT_S = 3.0


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client.

    Raises:
        DropstreamError: when the cluster cannot be reached in time, or a request of the body fails.
    """
    arguments = checked_client_arguments(settings.kafka)
    client = AIOKafkaAdminClient(**arguments, request_timeout_ms=REQUEST_TIMEOUT_MS)
    async with _started(settings.kafka, client.start, client.close):
        yield client


@asynccontextmanager
async def consumer(settings: Settings, **more: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of committed records that belongs to no group, unless the arguments in `more` say otherwise.

    Raises:
        DropstreamError: when the cluster cannot be reached in time, or a request of the body fails.
    """
    checked_client_arguments(settings.kafka)
    arguments = {**reader_arguments(settings), "request_timeout_ms": REQUEST_TIMEOUT_MS, **more}
    client = AIOKafkaConsumer(**arguments)
    async with _started(settings.kafka, client.start, client.stop):
        yield client


@asynccontextmanager
async def _started(
    kafka: KafkaSettings, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Runs a client between its start and its stop, each within its time; explains failures of both and of the body."""
    with kafka_failures_explained(kafka):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await start_explained(kafka, start)
            yield
        finally:
            # A task that aiokafka made at the last moment must have run before it is cancelled, or `stop` itself is.
            await asyncio.sleep(0)
            with cancellation_kept(asyncio.current_task()):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await stop()


async def start_explained(kafka: KafkaSettings, start: Callable[[], Awaitable[None]]) -> None:
    """Starts a client.

    Raises:
        DropstreamError: a server refuses us; says why.
        KafkaError, TimeoutError: the cluster cannot be reached.
    """
    try:
        await start()
    except KafkaConnectionError as error:
        if why := await refusal_of(kafka):
            raise DropstreamError(why) from error
        raise


def checked_client_arguments(kafka: KafkaSettings, *, source: str = "kafka") -> dict[str, Any]:
    """`client_arguments`, where a certificate or key that cannot be used is a fault of the configuration `source`.

    Raises:
        ConfigurationError: names every such file with its key.
    """
    files = {"ca_file": kafka.ca_file, "cert_file": kafka.cert_file, "key_file": kafka.key_file}
    if faults := [fault for key, path in files.items() if path and (fault := _unreadable(key, Path(path)))]:
        raise ConfigurationError(source, tuple(faults))
    try:
        if "SSL" in kafka.security_protocol:
            TlsFiles(kafka.ca_file, kafka.cert_file, kafka.key_file).load()
        return client_arguments(kafka)
    except OSError as error:
        fault = f"kafka: ca_file, cert_file or key_file holds no certificate or key: {error.strerror or error}"
        raise ConfigurationError(source, (fault,)) from error


def _unreadable(key: str, path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"kafka.{key}: cannot read {path}: {error.strerror or error}"


@contextmanager
def kafka_failures_explained(kafka: KafkaSettings) -> Iterator[None]:
    """Turns what a Kafka client raises inside into one `DropstreamError` that says where and what to do."""
    servers = kafka.bootstrap_servers
    try:
        yield
    except KafkaConnectionError as error:
        # The verb knows of this machine's broker alone.
        status = " (dropstream kafka status)" if is_of_this_machine(servers) else ""
        raise DropstreamError(
            f"cannot reach Kafka at {servers}; is it running{status}, "
            "and are kafka.bootstrap_servers and the security settings right?"
        ) from error
    except TimeoutError as error:
        raise DropstreamError(f"Kafka at {servers} does not answer in time; look at the broker's health") from error
    except ACCESS_REFUSED as error:
        raise _access_refused(kafka, error) from error
    except KafkaError as error:
        raise DropstreamError(f"Kafka at {servers} refused: {type(error).__name__} {error}".rstrip()) from error


def _access_refused(kafka: KafkaSettings, error: KafkaError) -> AccessRefusedError:
    names = tuple(sorted(_names_in(error.args)))
    kind = type(error).__name__.partition("Authorization")[0].lower()
    what = f"{kind.replace('transactionalid', 'transactional id')} {', '.join(names)}".rstrip()
    return AccessRefusedError(
        f"Kafka at {kafka.bootstrap_servers} refuses {principal_of(kafka)} a right on the {what}; "
        "dropstream topics acls shows which rights each program needs",
        kafka,
        names,
    )


def _names_in(arguments: Iterable[object]) -> Iterator[str]:
    """The names in an error of aiokafka's, which holds one, several, or a set of them."""
    for one in arguments:
        yield from map(str, one) if isinstance(one, set | frozenset | list | tuple) else (str(one),)
