"""Decides the configuration of `dropstream up`: its file, what overrides the file, and where Kafka is.

It is the person's own file, which stays as it is, or a file of ours, which is written anew with all settings, so that
its path alone leads another terminal to this system. Ours has an endpoint per provider, with secrets made here; a
second run uses the same secrets again, so URLs and secrets stay.
"""

import os
import secrets
import socket
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops.configuration import CONFIG_VARIABLE, configuration_file, read_settings, read_text
from ops.local.broker.install import STATE_FOLDER
from ops.local.broker.local import Broker, BrokerKind
from ops.toml import toml_table, toml_value
from processors.deliver.provider import Provider
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.sections.programs import IngestSettings
from schemas.sections.values import Section
from schemas.settings import Settings

LOGS = STATE_FOLDER / "logs"
# What `up` made on clusters that run without it (`ops.local.foreign`).
PREFIXES = STATE_FOLDER / "local" / "prefixes"
_FILE_MODE = 0o600
_PORT = IngestSettings().port
_SECTIONS = ("kafka", "ingest", "process", "sequence", "console")
# Written even where they are the defaults: a person looks here for the way to this system.
_ALWAYS_NAMED = frozenset({"bootstrap_servers", "topic_prefix", "port", "admin_port"})
_BASE = """[kafka]
replication_factor = 1
partitions = 3

[ingest]
host = "127.0.0.1"
"""
_SERVERS_VARIABLE = "DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"
_PREFIX_VARIABLE = "DROPSTREAM_KAFKA__TOPIC_PREFIX"


@dataclass(frozen=True, slots=True)
class LocalConfiguration:
    """A configuration file and its text, whether it is the person's own, and the variables that override it."""

    file: Path
    text: str = field(repr=False)
    is_own: bool
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings that file, environment and overrides give.

        Raises:
            ConfigurationError: names every fault at once.
        """
        return read_settings(self.text, source=str(self.file), environ={**os.environ, **self.overrides})

    @property
    def environ(self) -> dict[str, str]:
        """The variables that a service of this system gets, over those of this process."""
        return {CONFIG_VARIABLE: str(self.file), **self.overrides}

    @property
    def exports(self) -> dict[str, str]:
        """The variables that lead another terminal to this system; secrets are references in them, as everywhere."""
        if not self.is_own:
            return {CONFIG_VARIABLE: str(self.file)}
        ours = {name: text for name, text in os.environ.items() if name.startswith("DROPSTREAM_") and "__" in name}
        return {**ours, **self.environ}

    def over(self, broker: Broker) -> "LocalConfiguration":
        """This configuration with `broker` as its Kafka; a file of ours is written with it."""
        overrides = {_SERVERS_VARIABLE: broker.bootstrap_servers}
        if broker.kind is BrokerKind.GIVEN and self.settings.kafka.bootstrap_servers == broker.bootstrap_servers:
            overrides = {}
        if broker.kind is BrokerKind.GIVEN and not self.is_own and _PREFIX_VARIABLE not in os.environ:
            overrides[_PREFIX_VARIABLE] = own_prefix()
        if broker.kind is BrokerKind.KAFKA:
            overrides["DROPSTREAM_KAFKA__REPLICATION_FACTOR"] = "1"
        if broker.kind is BrokerKind.MEMORY:
            overrides["DROPSTREAM_KAFKA__CHECK_CRCS"] = "false"
        changed = replace(self, overrides=overrides)
        return changed if self.is_own else replace(changed, file=write_local_configuration(changed.settings))

    def given_broker(self) -> Broker | None:
        """The running broker that the environment or the person's own file names; None where neither names one."""
        if servers := os.environ.get("KAFKA"):
            return Broker(BrokerKind.GIVEN, servers, named_by="$KAFKA")
        if servers := os.environ.get(_SERVERS_VARIABLE):
            return Broker(BrokerKind.GIVEN, servers, named_by=f"${_SERVERS_VARIABLE}")
        kafka = tomllib.loads(self.text).get("kafka", {})
        if self.is_own and "bootstrap_servers" in kafka:
            return Broker(
                BrokerKind.GIVEN, kafka["bootstrap_servers"], named_by=f"kafka.bootstrap_servers in {self.file}"
            )
        return None


def find_local_configuration(config: Path | None) -> LocalConfiguration:
    """The person's own configuration where there is one, else ours, not yet written."""
    file = configuration_file(config)
    named = config is not None or bool(os.environ.get(CONFIG_VARIABLE))
    # A terminal that follows the invitation of `up` names our file; that does not make it the person's own.
    if (named or file.exists()) and file.resolve().parent != local_file().parent:
        return LocalConfiguration(file.resolve(), read_text(file), is_own=True)
    return LocalConfiguration(local_file(), local_configuration(discover().values()), is_own=False)


def check_ports(settings: Settings) -> None:
    """Returns where every port that the services need is free.

    Raises:
        DropstreamError: some are taken; names all of them, and the settings that move them.
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
    faults = "; ".join(f"port {port} of {host} cannot be had for {name}: {why}" for name, host, port, why in taken)
    others = " ".join(f"DROPSTREAM_{name.upper().replace('.', '__')}={_another(port)}" for name, _, port, _ in taken)
    raise DropstreamError(f"{faults}\nEnd what uses them, or choose other ports: {others}")


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


def local_file(port: int = _PORT) -> Path:
    """The file of our configuration for an ingress on `port`: systems beside each other have a file each."""
    name = "dropstream.toml" if port == _PORT else f"dropstream-{port}.toml"
    return (STATE_FOLDER / "local" / name).resolve()


def own_prefix() -> str:
    """The prefix of this machine's `up` on a Kafka that others use too; made once, so that a second run finds it."""
    file = local_file().parent / "prefix"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"dropstream-up-{secrets.token_hex(3)}.", encoding="ascii")
    return file.read_text(encoding="ascii")


def local_configuration(providers: Iterable[Provider]) -> str:
    """The text of our configuration before a broker is known; missing secrets are made."""
    folder = local_file().parent / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    spool = local_file().parent / "spool"
    endpoints = "".join(_endpoint(provider, folder) for provider in providers)
    state = toml_value(str(spool.parent / "state"))
    return f"{_BASE}spool_dir = {toml_value(str(spool))}\n[process]\nstate_dir = {state}\n{endpoints}"


def write_local_configuration(settings: Settings) -> Path:
    """Writes our configuration file from `settings`, those that the environment set included; returns the file."""
    tables = [f"{key} = {toml_value(getattr(settings, key))}\n" for key in ("log_level", "log_format")]
    tables += [_table(name, getattr(settings, name)) for name in _SECTIONS]
    for name, endpoint in settings.endpoints.items():
        references = [str(one.value) for one in endpoint.secrets]
        tokens = [str(one) for one in endpoint.token]
        rows = {"provider": endpoint.provider, "secrets": references, "token": tokens}
        tables.append(toml_table("endpoints", name, rows=rows))
    head = "# Written by `dropstream up`, for this machine only; written anew each time.\n"
    file = local_file(settings.ingest.port)
    file.write_text(head + "\n".join(filter(None, tables)), encoding="utf-8")
    return file


def _table(name: str, section: Section) -> str:
    """The section's settings that somebody set, or that are always named; empty where there are none."""
    wanted = [key for key in type(section).model_fields if key in section.model_fields_set | _ALWAYS_NAMED]
    rows = {key: value for key in wanted if (value := getattr(section, key)) is not None}
    return toml_table(name, rows=rows) if rows else ""


def _endpoint(provider: Provider, folder: Path) -> str:
    name = provider.name.replace("_", "-")
    secret = _secret_file(folder / name)
    token = _secret_file(folder / f"{name}.token")
    rows = {"provider": provider.name, "secrets": [f"file:{secret}"], "token": f"file:{token}"}
    return "\n" + toml_table("endpoints", name, rows=rows)


def _secret_file(file: Path) -> Path:
    if not file.exists():
        file.touch(mode=_FILE_MODE)
        file.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return file
