"""Which configuration `dropstream up` stands on, where Kafka is by it, and how another terminal finds both."""

import os
import re
import socket
from pathlib import Path

import pytest

from ops.local.broker.local import Broker, BrokerKind
from ops.local.configuration import check_ports, find_local_configuration, local_file
from schemas.errors import DropstreamError
from tests.support.ports import free_ports

SERVERS = "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"
OWN = '[kafka]\nbootstrap_servers = "own:9092"\n[endpoints]\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the test's own, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DROPSTREAM_") or name == "KAFKA"]:
        monkeypatch.delenv(name)
    return tmp_path


def test_the_way_to_kafka_is_looked_for_in_order(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$KAFKA counts most, then the setting's variable, then the person's own file, each named as the source."""
    (place / "dropstream.toml").write_text(OWN)
    configuration = find_local_configuration(None)
    assert configuration.given_broker() == Broker(
        BrokerKind.GIVEN, "own:9092", named_by=f"kafka.bootstrap_servers in {place}/dropstream.toml"
    )
    monkeypatch.setenv(SERVERS, "variable:9092")
    assert configuration.given_broker() == Broker(BrokerKind.GIVEN, "variable:9092", named_by=f"${SERVERS}")
    monkeypatch.setenv("KAFKA", "short:9092")
    assert configuration.given_broker() == Broker(BrokerKind.GIVEN, "short:9092", named_by="$KAFKA")


def test_a_file_that_says_nothing_of_kafka_wants_a_broker_of_ours(place: Path) -> None:
    """Without a word on where Kafka is, one is started."""
    (place / "dropstream.toml").write_text("[endpoints]\n")
    assert find_local_configuration(None).given_broker() is None


def test_our_own_file_is_not_the_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that follows the invitation and calls `up` again gets a broker of ours again."""
    monkeypatch.setenv("DROPSTREAM_CONFIG", str(local_file()))
    configuration = find_local_configuration(None)
    assert not configuration.is_own
    assert configuration.given_broker() is None
    assert configuration.exports == {"DROPSTREAM_CONFIG": str(local_file())}


def test_what_is_laid_over_the_persons_file_is_exported(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's file stays as it is; what overrides it, here and by `up`, is for the other terminal too."""
    (place / "dropstream.toml").write_text("[endpoints]\n")
    monkeypatch.setenv("DROPSTREAM_INGEST__PORT", "9080")
    configuration = find_local_configuration(None).over(Broker(BrokerKind.MEMORY, "127.0.0.1:7"))
    assert configuration.exports == {
        "DROPSTREAM_INGEST__PORT": "9080",
        "DROPSTREAM_CONFIG": f"{place}/dropstream.toml",
        "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:7",
        "DROPSTREAM_KAFKA__CHECK_CRCS": "false",
    }
    assert (configuration.settings.kafka.bootstrap_servers, configuration.settings.kafka.check_crcs) == (
        "127.0.0.1:7",
        False,
    )
    assert (place / "dropstream.toml").read_text() == "[endpoints]\n"


def test_a_kafka_of_others_gets_a_prefix_of_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a given broker our own file has a prefix that nobody else has, the same at every run; a named one counts."""
    monkeypatch.setattr("ops.local.configuration.STATE_FOLDER", place / "state")
    given = Broker(BrokerKind.GIVEN, "theirs:9092", named_by="$KAFKA")
    first, second = (find_local_configuration(None).over(given).settings.kafka.topic_prefix for _ in range(2))
    assert re.fullmatch(r"dropstream-up-[0-9a-f]{6}\.", first)
    assert second == first
    monkeypatch.setenv("DROPSTREAM_KAFKA__TOPIC_PREFIX", "named.")
    assert find_local_configuration(None).over(given).settings.kafka.topic_prefix == "named."
    monkeypatch.delenv("DROPSTREAM_KAFKA__TOPIC_PREFIX")
    ours = Broker(BrokerKind.KAFKA, "127.0.0.1:9092")
    assert find_local_configuration(None).over(ours).settings.kafka.topic_prefix == "dropstream."
    (place / "dropstream.toml").write_text(OWN)
    assert find_local_configuration(None).over(given).settings.kafka.topic_prefix == "dropstream."


def test_only_taken_ports_are_named(place: Path) -> None:
    """Of four ports the two that are taken are told in one error, each with the variable that moves it."""
    port = free_ports(4)
    (place / "dropstream.toml").write_text(
        f"[ingest]\nport = {port}\nadmin_port = {port + 1}\n[process]\nadmin_port = {port + 2}\n"
        f"[console]\nport = {port + 3}\n[endpoints]\n"
    )
    settings = find_local_configuration(None).settings
    check_ports(settings)
    taken = [socket.create_server(("127.0.0.1", number)) for number in (port, port + 2)]
    try:
        with pytest.raises(DropstreamError) as caught:
            check_ports(settings)
    finally:
        for one in taken:
            one.close()
    assert str(caught.value) == (
        f"port {port} of 0.0.0.0 cannot be had for ingest.port: Address already in use; "
        f"port {port + 2} of 127.0.0.1 cannot be had for process.admin_port: Address already in use\n"
        "End what uses them, or choose other ports: "
        f"DROPSTREAM_INGEST__PORT={port + 1000} DROPSTREAM_PROCESS__ADMIN_PORT={port + 1002}"
    )
