"""The configuration of `dropstream up` where a person has none yet: an endpoint per provider, with secrets made here.

Everything lies in the state folder; a second run finds it and uses it again, so URLs and secrets stay.
"""

import secrets
from collections.abc import Iterable
from pathlib import Path

import orjson

from ops.local.broker.install import STATE_FOLDER
from processors.deliver.provider import Provider
from schemas.secrets import Secret
from schemas.settings import IngestSettings, Section, Settings

LOGS = STATE_FOLDER / "logs"
_FILE_MODE = 0o600
_PORT = IngestSettings().port
_SECTIONS = ("kafka", "ingest", "process", "sequence", "console")
# Named even where they are the defaults: where a person looks for the way to this system.
_ALWAYS_NAMED = frozenset({"bootstrap_servers", "topic_prefix", "port", "admin_port"})
_BASE = """[kafka]
replication_factor = 1
partitions = 3

[ingest]
host = "127.0.0.1"
"""


def local_file(port: int = _PORT) -> Path:
    """Where the configuration of ours lies for an ingress on `port`: systems beside each other have a file each."""
    name = "dropstream.toml" if port == _PORT else f"dropstream-{port}.toml"
    return (STATE_FOLDER / "local" / name).resolve()


def local_configuration(providers: Iterable[Provider]) -> str:
    """The configuration's text before a broker is known; secrets are made where they were missing."""
    folder = local_file().parent / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    spool = local_file().parent / "spool"
    return _BASE + f"spool_dir = {_toml(str(spool))}\n" + "".join(_endpoint(provider, folder) for provider in providers)


def write_local_configuration(settings: Settings) -> Path:
    """The file of ours, written with all that counts in `settings`: what the environment set is in it too."""
    tables = [_table(name, getattr(settings, name)) for name in _SECTIONS]
    for name, endpoint in settings.endpoints.items():
        references = [str(one.value) for one in endpoint.secrets]
        tokens = [str(one) for one in endpoint.token]
        table = {"provider": endpoint.provider, "secrets": references, "token": tokens}
        tables.append(f"[endpoints.{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items()))
    head = "# Written by `dropstream up`, for this machine only; written anew each time.\n"
    file = local_file(settings.ingest.port)
    file.write_text(head + "\n".join(filter(None, tables)), encoding="utf-8")
    return file


def _table(name: str, section: Section) -> str:
    """The section's settings that somebody set, or that are always named; empty where there are none."""
    wanted = [key for key in type(section).model_fields if key in section.model_fields_set | _ALWAYS_NAMED]
    lines = [f"{key} = {_toml(value)}\n" for key in wanted if (value := getattr(section, key)) is not None]
    return f"[{name}]\n" + "".join(lines) if lines else ""


def _toml(value: object) -> str:
    """A text, number, truth, network or list as TOML writes it, as JSON does for these; a secret as its reference."""
    return orjson.dumps(str(value) if isinstance(value, Secret) else value, default=str).decode()


def _endpoint(provider: Provider, folder: Path) -> str:
    name = provider.name.replace("_", "-")
    secret = _made(folder / name)
    token = _made(folder / f"{name}.token")
    return f'\n[endpoints.{name}]\nprovider = "{provider.name}"\nsecrets = ["file:{secret}"]\ntoken = "file:{token}"\n'


def _made(file: Path) -> Path:
    if not file.exists():
        file.touch(mode=_FILE_MODE)
        file.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return file
