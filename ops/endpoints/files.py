"""Plans a new endpoint and writes its secret and token into files; makes the lines for the configuration.

The files are readable for their owner alone and never replace others. The person adds the lines to the configuration.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ops.toml import toml_table
from processors.deliver.provider import Provider
from schemas.errors import DropstreamError
from schemas.sections.endpoints import ENDPOINT_NAME_PATTERN


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A value to keep in a file of its own."""

    path: Path
    value: str = field(repr=False)

    @property
    def reference(self) -> str:
        """The reference for the configuration; absolute, for a program may be started anywhere."""
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint to be made.

    `secret_reference` names the signing secret; `files` are those to make, the secret perhaps among them. `base_url` is
    the URL of the ingress from outside, without a slash at its end.
    """

    name: str
    provider: Provider
    base_url: str
    token: str = field(repr=False)
    secret_reference: str
    files: tuple[SecretFile, ...]

    @property
    def url(self) -> str:
        """The URL that the provider sends to; holds the token."""
        return f"{self.base_url}/webhooks/{self.name}/{self.token}"

    def configuration(self) -> Iterator[str]:
        """The lines of the configuration, without anything secret."""
        yield f"# POST {self.base_url}/webhooks/{self.name}/***"
        token = self.files[0].reference
        rows = {"provider": self.provider.name, "secrets": [self.secret_reference], "token": token}
        yield from toml_table("endpoints", self.name, rows=rows).splitlines()


def plan(  # everything is checked here, before anything is made
    name: str,
    provider: Provider,
    *,
    base_url: str,
    folder: Path,
    token: str,
    own_secret: str,
    given_secret: str | None,
) -> NewEndpoint:
    """The endpoint to make: with `given_secret` (a reference), else with `own_secret` in a file.

    Raises:
        ValueError: says what is wrong.
    """
    if not re.fullmatch(ENDPOINT_NAME_PATTERN.strip("^$"), name):
        raise ValueError(f"an endpoint's name must match {ENDPOINT_NAME_PATTERN}")
    if given_secret is None and provider.setup.signed_with:
        where = "name where it lies with --secret env:NAME or file:PATH"
        raise ValueError(f"{provider.name} signs with {provider.setup.signed_with}; {where}")
    folder = folder.absolute()
    if not str(folder).isprintable():
        raise ValueError("the folder of the secrets has a name that cannot be written into a configuration")
    token_file = SecretFile(folder / f"{name}.token", token)
    secret_file = SecretFile(folder / f"{name}.secret", own_secret)
    files = (token_file,) if given_secret else (token_file, secret_file)
    for file in files:
        if os.path.lexists(file.path):
            raise ValueError(f"{file.path} exists already; take another name, or remove it if nothing uses it")
    return NewEndpoint(name, provider, base_url, token, given_secret or secret_file.reference, files)


def checked_base_url(text: str) -> str:
    """`text` without a slash at its end.

    Raises:
        ValueError: `text` is no URL that a provider may send to.
    """
    parts = urlsplit(text)
    wrong = parts.query or parts.fragment or "@" in parts.netloc or not text.isprintable() or " " in text
    if parts.scheme != "https" or not parts.hostname or wrong:
        raise ValueError("is not a base URL such as https://hooks.example; it is https, for the data are personal")
    _ = parts.port  # a ValueError where it is no number
    return text.rstrip("/")


def write_files(files: Sequence[SecretFile]) -> None:
    """Makes every file, readable for its owner alone, or none.

    Raises:
        DropstreamError: a file is there already, or cannot be written.
    """
    made: list[SecretFile] = []
    for file in files:
        try:
            file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_EXCL follows no link and writes over nothing.
            descriptor = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(f"{file.value}\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            remove_files(made)
            raise DropstreamError(f"cannot make {file.path}: {error.strerror or error}; nothing was made") from error


def remove_files(files: Sequence[SecretFile]) -> None:
    """Removes the files that `write_files` made."""
    for file in files:
        with suppress(OSError):
            file.path.unlink()
