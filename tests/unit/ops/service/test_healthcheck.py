"""The image's health check: a container is well where what listens in it answers, and something does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ops.service.healthcheck import lives
from tests.support.ports import free_ports
from tests.support.waiting import PATIENCE_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[bytes], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a service on a port of its own, which gives these bytes to the first that asks `/livez`."""
    with ExitStack() as stack:

        def started(answer: bytes) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            server.settimeout(PATIENCE_S)

            def answer_one() -> None:
                connection, _ = server.accept()
                with connection:
                    assert connection.recv(4096).startswith(b"GET /livez HTTP/1.1\r\n")
                    connection.sendall(answer)

            thread = threading.Thread(target=answer_one)
            thread.start()
            stack.callback(thread.join)
            port: int = server.getsockname()[1]
            return port

        yield started


def checked(*ports: int) -> bool:
    return lives(dict.fromkeys(ports, "/livez"))


def test_one_service_that_answers_is_enough(serve: Serve) -> None:
    """The image runs any verb, and no container runs all of them."""
    assert checked(free_ports(1), serve(OK))


def test_where_nothing_listens_no_service_lives() -> None:
    """A program that hangs before it listens is not taken for a healthy one."""
    assert not checked(free_ports(1))
    assert not checked()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
)
def test_one_that_is_not_well_makes_the_container_unwell(serve: Serve, answer: bytes) -> None:
    """Another that is well beside it does not cover it; what breaks off, or is no HTTP, is no answer."""
    assert not checked(serve(OK), serve(answer))
    assert not checked(serve(answer))


def test_one_that_takes_connections_and_says_nothing_is_unwell() -> None:
    """The check ends within its time, and does not hang with the service."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not checked(silent.getsockname()[1])
