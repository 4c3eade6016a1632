"""What tests of every level share: a real Apache Kafka, one for each worker, and settings that point at it.

KAFKA=host:port names a broker to use instead; then none is started. Where there is no real Kafka, the tests that need
it are skipped by name, or fail with REQUIRE_KAFKA=1.
"""

import asyncio
import os
import pkgutil
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import hypothesis
import pytest

import processors.providers
from ops.local.broker.cluster import BrokerCluster, open_cluster
from ops.local.broker.install import Unavailable
from ops.local.broker.local import prepare_kafka
from ops.local.broker.runtime import Runtime
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings
from tests.light_debug import lighten_debug_mode
from tests.support.ports import free_ports
from tests.support.skipped import missing, skipped_lines

# A machine that others use too is slow at times; what an example costs is no law, nor is what it costs to make one.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")
lighten_debug_mode()

_KAFKA_FIXTURES = {"kafka", "cluster", "kafka_runtime"}


@dataclass(frozen=True, slots=True)
class KafkaUnderTest:
    """A real Apache Kafka of one node, shared by the session: topics of a test carry its own prefix."""

    bootstrap_servers: str


class SettingsFactory(Protocol):
    def __call__(
        self,
        tables: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        bootstrap_servers: str | None = None,
        replication_factor: int = 1,
        partitions: int = 3,
    ) -> Settings:
        """Settings of the TOML `tables` (endpoints, and what else a test sets) against the shared broker or another.

        `environ` is the whole environment that secrets are read from. The topic prefix is the test's own.
        """


class ClusterFactory(Protocol):
    def __call__(self, *, nodes: int = 1, data: Path | None = None) -> Awaitable[BrokerCluster]:
        """A started broker of the test's own, to stop, kill, freeze and restart; it has ended after the test."""


def pytest_configure(config: pytest.Config) -> None:
    """Programs under test hear Ctrl-C, also where the tests themselves were started in the background.

    A shell gives what it starts with `&` deaf ears for SIGINT and SIGQUIT, `nohup` for SIGHUP, and every child of ours
    would inherit them. The parent of the workers (pytest-xdist) starts no program under test, and stays as it is.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        hear_signals()


def hear_signals() -> None:
    """What an ended terminal or Ctrl-C sends has its usual effect again, on this process and on what it starts."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each command that brings what was skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    for line in skipped_lines(str(report.longrepr[2]) for report in reports):
        terminalreporter.write_line(line, yellow=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses a real Kafka, so that `-m 'not kafka'` leaves all of them out."""
    for item in items:
        if _KAFKA_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def _silent(_step: str) -> None:
    return


def _no_kafka(found: Unavailable) -> NoReturn:
    _skip(f"there is no real Kafka here ({found.reason})", bring="make test KAFKA=HOST:PORT")


# A broker looks for old records half a minute after its start, then every five minutes; what a test writes may have a
# time of last year, and would be gone now and then in the middle of it.
NOTHING_EXPIRES = {"log.initial.task.delay.ms": "86400000", "log.retention.check.interval.ms": "86400000"}


def _skip(what: str, *, bring: str) -> NoReturn:
    if os.environ.get("REQUIRE_KAFKA") == "1":
        pytest.fail(f"REQUIRE_KAFKA=1, but {what}", pytrace=False)
    pytest.skip(missing(what, bring=bring))


@pytest.fixture(scope="session")
def kafka_found() -> Runtime | Unavailable:
    """What runs Apache Kafka here, fetched the first time; looked for once a session."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, prepare_kafka(environ=os.environ, progress=_silent)).result()


@pytest.fixture(scope="session")
def kafka_session(
    kafka_found: Runtime | Unavailable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaUnderTest | Unavailable]:
    """The session's Kafka, or why there is none."""
    if isinstance(kafka_found, Unavailable):
        yield kafka_found
        return
    # In a thread beside: a test whose own loop runs already may be the first to ask.
    with ThreadPoolExecutor(1) as beside:
        runner = asyncio.Runner()
        opening = open_cluster(
            tmp_path_factory.mktemp("kafka"),
            nodes=1,
            port=free_ports(2),
            runtime=kafka_found,
            progress=_silent,
            more=NOTHING_EXPIRES,
        )
        broker = beside.submit(runner.run, opening).result()
        try:
            yield KafkaUnderTest(broker.bootstrap_servers)
        finally:
            beside.submit(runner.run, broker.kill()).result()  # its records go with the session
            beside.submit(runner.close).result()


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> KafkaUnderTest:
    """A real Apache Kafka, the one of KAFKA=host:port or the session's own."""
    given = os.environ.get("KAFKA")
    if given:
        return KafkaUnderTest(given)
    broker: KafkaUnderTest | Unavailable = request.getfixturevalue("kafka_session")
    if isinstance(broker, Unavailable):
        _no_kafka(broker)
    return broker


@pytest.fixture(autouse=True)
def _marked_kafka(request: pytest.FixtureRequest) -> None:
    """A test that is marked `kafka` without naming a fixture has one too."""
    if request.node.get_closest_marker("kafka") and not _KAFKA_FIXTURES & set(request.fixturenames):
        request.getfixturevalue("kafka")


@pytest.fixture
def kafka_runtime(request: pytest.FixtureRequest) -> Runtime:
    """What runs a broker of the test's own."""
    if os.environ.get("KAFKA"):
        _skip("KAFKA names a broker, and the test needs one of its own", bring="env --unset=KAFKA make test")
    found: Runtime | Unavailable = request.getfixturevalue("kafka_found")
    if isinstance(found, Unavailable):
        _no_kafka(found)
    return found


@pytest.fixture
async def cluster(kafka_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterFactory]:
    """Starts brokers of the test's own, for faults: `broker = await cluster(nodes=3)`."""
    async with AsyncExitStack() as started:

        async def start(*, nodes: int = 1, data: Path | None = None) -> BrokerCluster:
            if nodes > kafka_runtime.nodes_max:
                what = f"{nodes} nodes need Java with Maven, and here Kafka runs in Docker"
                _skip(what, bring="PATH=FOLDER-OF-JAVA-AND-MAVEN:$PATH make test")
            broker = await open_cluster(
                data or tmp_path_factory.mktemp("cluster"),
                nodes=nodes,
                port=free_ports(2 * nodes),
                runtime=kafka_runtime,
                progress=_silent,
                more=NOTHING_EXPIRES,
            )
            started.push_async_callback(broker.kill)
            return broker

        yield start


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def settings(prefix: str, request: pytest.FixtureRequest) -> SettingsFactory:
    """Makes settings that point at the shared Kafka, or at `bootstrap_servers`."""
    providers = {module.name for module in pkgutil.iter_modules(processors.providers.__path__)}

    def make(
        tables: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        bootstrap_servers: str | None = None,
        replication_factor: int = 1,
        partitions: int = 3,
    ) -> Settings:
        servers = bootstrap_servers or request.getfixturevalue("kafka").bootstrap_servers
        text = f"""
            [kafka]
            bootstrap_servers = "{servers}"
            topic_prefix = "{prefix}"
            replication_factor = {replication_factor}
            partitions = {partitions}
            {"" if "[endpoints" in tables else "[endpoints]"}
        """
        context = Context(environ=environ or {}, providers=providers)
        return read_configuration(text + tables, source="test", context=context)

    return make
