"""Secrets as references: `env:NAME` or `file:PATH`, resolved once, shown never.

A `Secret` prints as its reference everywhere: log, error, repr, traceback.
"""

import codecs
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FILE_BYTES_MAX = 65_536
_NO_REFERENCE = "a secret is a reference: env:NAME or file:PATH, never the secret itself"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's `reference`, and its `value` where this process may know it (empty where it may not).

    `is_exposed`: it lies in a file that every user of this machine may read.
    """

    reference: str
    value: bytes = field(repr=False)
    is_exposed: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.reference


def resolve(reference: str, environ: Mapping[str, str]) -> Secret:
    """The secret that `reference` names; white space at the ends and a byte order mark are no part of it.

    Raises:
        ValueError: with a sentence that names the reference, when it is malformed, missing or empty.
    """
    kind, name = _parts(reference)
    if kind == "env":
        text = environ.get(name)
        if text is None:
            raise ValueError(f"the environment has no {name}; set it, or name another source")
        # What is no UTF-8 in a variable is kept as it is: os.environ holds it in surrogates.
        content, is_exposed = text.encode("utf-8", "surrogateescape"), False
    else:
        content, is_exposed = _read_file(Path(name))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{reference} is UTF-16 text; write it as UTF-8, without a byte order mark")
    value = content.removeprefix(codecs.BOM_UTF8).strip()
    if not value:
        raise ValueError(f"{reference} is empty")
    return Secret(reference, value, is_exposed)


def unresolved(reference: str) -> Secret:
    """The secret that `reference` names, for a process that has no need of its value.

    Raises:
        ValueError: it is no reference; the sentence does not repeat it, for it may be the secret itself.
    """
    _parts(reference)
    return Secret(reference, b"")


def _parts(reference: str) -> tuple[str, str]:
    kind, _, name = reference.partition(":")
    if kind not in {"env", "file"} or not name:
        raise ValueError(_NO_REFERENCE)
    return kind, name


def _read_file(path: Path) -> tuple[bytes, bool]:
    """The content of the file, and whether every user may read it."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
            is_exposed = bool(path.stat().st_mode & stat.S_IROTH)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than {_FILE_BYTES_MAX} bytes, too large for a secret")
    return content, is_exposed
