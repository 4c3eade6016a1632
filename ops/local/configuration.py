"""What `dropstream up` stands on: which configuration counts, where Kafka is by it, and what is laid over it.

The configuration is the person's own file, which stays as it is, or one of ours (`ops.local.setup`), which is written
anew with all that counts, so that its path alone leads another terminal to this system.
"""

import os
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops.configuration import CONFIG_VARIABLE, configuration_file, read_settings, read_text
from ops.local.broker.local import Broker, BrokerKind
from ops.local.setup import local_configuration, local_file, write_local_configuration
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.settings import Settings

_SERVERS_VARIABLE = "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"


@dataclass(frozen=True, slots=True)
class LocalConfiguration:
    """A configuration's file and text, whether it is the person's own, and what overrides it."""

    file: Path
    text: str = field(repr=False)
    is_own: bool
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """What file, environment and overrides give.

        Raises:
            ConfigurationError: names every fault at once.
        """
        return read_settings(self.text, source=str(self.file), environ={**os.environ, **self.overrides})

    @property
    def environ(self) -> dict[str, str]:
        """What a service of this system finds in its environment, over ours."""
        return {CONFIG_VARIABLE: str(self.file), **self.overrides}

    @property
    def exports(self) -> dict[str, str]:
        """The variables that lead another terminal to this system; secrets are references in them, as everywhere."""
        if not self.is_own:
            return {CONFIG_VARIABLE: str(self.file)}
        ours = {name: text for name, text in os.environ.items() if name.startswith("DROPSTREAM_") and "__" in name}
        return {**ours, **self.environ}

    def over(self, broker: Broker) -> "LocalConfiguration":
        """The same with `broker` as its Kafka; a file of ours is written with it."""
        overrides = {_SERVERS_VARIABLE: broker.bootstrap_servers}
        if broker.kind is BrokerKind.GIVEN and self.settings.kafka.bootstrap_servers == broker.bootstrap_servers:
            overrides = {}
        if broker.kind is BrokerKind.KAFKA:
            overrides["DROPSTREAM_KAFKA__REPLICATION_FACTOR"] = "1"
        if broker.kind is BrokerKind.MEMORY:
            overrides["DROPSTREAM_KAFKA__CHECK_CRCS"] = "false"
        led = replace(self, overrides=overrides)
        return led if self.is_own else replace(led, file=write_local_configuration(led.settings))

    def given_broker(self) -> Broker | None:
        """The broker that environment or the person's own file name, which runs already; None where neither does."""
        if servers := os.environ.get("KAFKA"):
            return Broker(BrokerKind.GIVEN, servers, source="$KAFKA")
        if servers := os.environ.get(_SERVERS_VARIABLE):
            return Broker(BrokerKind.GIVEN, servers, source=f"${_SERVERS_VARIABLE}")
        kafka = tomllib.loads(self.text).get("kafka", {})
        if self.is_own and "bootstrap_servers" in kafka:
            return Broker(
                BrokerKind.GIVEN, kafka["bootstrap_servers"], source=f"kafka.bootstrap_servers in {self.file}"
            )
        return None


def find_ground(config: Path | None) -> LocalConfiguration:
    """The person's own file where there is one, else ours, not yet written."""
    file = configuration_file(config)
    named = config is not None or bool(os.environ.get(CONFIG_VARIABLE))
    # A terminal that follows our invitation names our file; that does not make it the person's own.
    if (named or file.exists()) and file.resolve().parent != local_file().parent:
        return LocalConfiguration(file.resolve(), read_text(file), is_own=True)
    return LocalConfiguration(local_file(), local_configuration(discover().values()), is_own=False)


def check_ports(settings: Settings) -> None:
    """Every port that the services will want is free.

    Raises:
        DropstreamError: some are not; names all of them, and the settings that move them.
    """
    ingest, process = settings.ingest, settings.process
    wanted = (
        ("ingest.port", ingest.host, ingest.port),
        ("ingest.admin_port", ingest.admin_host, ingest.admin_port),
        ("process.admin_port", process.admin_host, process.admin_port),
        ("console.port", settings.console.host, settings.console.port),
    )
    taken = [(name, host, port, why) for name, host, port in wanted if (why := _fault_of_port(host, port))]
    if not taken:
        return
    told = "; ".join(f"port {port} of {host} cannot be had for {name}: {why}" for name, host, port, why in taken)
    others = " ".join(f"DROPSTREAM_{name.upper().replace('.', '__')}={_another(port)}" for name, _, port, _ in taken)
    raise DropstreamError(f"{told}\nEnd what uses them, or choose other ports: {others}")


def _fault_of_port(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _another(port: int) -> int:
    return port + 1000 if port + 1000 <= 65_535 else port - 1000
