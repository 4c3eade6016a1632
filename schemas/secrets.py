"""Secrets as references: `env:NAME` or `file:PATH`, resolved once, shown never.

A `Secret` prints as its reference everywhere: log, error, repr, traceback.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FILE_BYTES_MAX = 65_536
_NO_REFERENCE = "a secret is a reference: env:NAME or file:PATH, never the secret itself"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's `reference`, and its `value` where this process may know it (empty where it may not)."""

    reference: str
    value: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.reference


def resolve(reference: str, environ: Mapping[str, str]) -> Secret:
    """The secret that `reference` names; the white space at the ends of a file's text does not count.

    Raises:
        ValueError: with a sentence that names the reference, when it is malformed, missing or empty.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        text = environ.get(name)
        if text is None:
            raise ValueError(f"the environment has no {name}; set it, or name another source")
        value = text.encode()
    elif kind == "file" and name:
        value = _read_file(Path(name))
    else:
        raise ValueError(_NO_REFERENCE)
    if not value:
        raise ValueError(f"{reference} is empty")
    return Secret(reference, value)


def unresolved(reference: str) -> Secret:
    """The secret that `reference` names, for a process that has no need of its value.

    Raises:
        ValueError: it is no reference; the sentence does not repeat it, for it may be the secret itself.
    """
    kind, _, name = reference.partition(":")
    if kind not in {"env", "file"} or not name:
        raise ValueError(_NO_REFERENCE)
    return Secret(reference, b"")


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than {_FILE_BYTES_MAX} bytes, too large for a secret")
    return content.strip()
