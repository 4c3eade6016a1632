"""The configuration of `dropstream up` where a person has none yet: an endpoint per provider, with secrets made here.

Everything lies in the state folder; a second run finds it and uses it again, so URLs and secrets stay.
"""

import secrets
from collections.abc import Iterable
from pathlib import Path

from ops.broker.install import STATE_FOLDER
from processors.provider import Provider

LOGS = STATE_FOLDER / "logs"
_FILE_MODE = 0o600
_HEAD = """# Written by `dropstream up`, for this machine only.
[kafka]
replication_factor = 1
partitions = 3

[ingest]
host = "127.0.0.1"
"""


def write_local_configuration(providers: Iterable[Provider], state: Path = STATE_FOLDER) -> Path:
    """The path of the configuration, written where it was missing; secrets that exist are kept."""
    folder = (state / "local").resolve()
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    text = _HEAD + "".join(_endpoint(provider, folder / "secrets") for provider in providers)
    file = folder / "dropstream.toml"
    file.write_text(text, encoding="utf-8")
    return file


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
