"""One secured Kafka for all tests of a file."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.local.broker.install import Unavailable
from ops.local.broker.runtime import Runtime
from tests.support.ports import free_ports
from tests.support.security.secured import SecuredKafka, secured_kafka
from tests.support.security.system import SecuredSystem


@pytest.fixture(scope="session")
def secured_session(
    kafka_found: Runtime | Unavailable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka | None]:
    """The worker's secured Kafka; None where no Java runs it."""
    if isinstance(kafka_found, Unavailable) or kafka_found.nodes_max == 1:
        yield None
        return
    # In a thread beside: a test whose own loop runs already may be the first to ask.
    with ThreadPoolExecutor(1) as beside, asyncio.Runner() as runner:
        opened = secured_kafka(tmp_path_factory.mktemp("secured"), kafka_found)
        kafka = beside.submit(runner.run, opened.__aenter__()).result()
        try:
            yield kafka
        finally:
            beside.submit(runner.run, opened.__aexit__(None, None, None)).result()


@pytest.fixture
def secured(kafka_runtime: Runtime, secured_session: SecuredKafka | None) -> SecuredKafka:
    """A Kafka with TLS, logins and an authorizer."""
    if secured_session is None or kafka_runtime.nodes_max == 1:
        pytest.skip("certificates and several listeners need Java with Maven, and here Kafka runs in Docker")
    return secured_session


@pytest.fixture
def system(secured: SecuredKafka, prefix: str, tmp_path: Path) -> SecuredSystem:
    """dropstream under a prefix of the test's own, nobody logged in yet."""
    made = SecuredSystem(tmp_path, secured, prefix, free_ports(4))
    made.configure()
    return made
