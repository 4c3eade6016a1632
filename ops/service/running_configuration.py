"""Which configuration a running service uses, and why it refused a newer one; told by its admin port."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.times import rfc3339

PATH = "/configuration"


@dataclass(slots=True)
class RunningConfiguration:
    """The text in use of `file`, by its digest and when it was read; and what was wrong with a newer one."""

    file: Path
    text: str
    read_at: datetime
    refused_at: datetime | None = None
    faults: Sequence[str] = ()

    def taken(self, text: str, now: datetime) -> None:
        """A newer text is in use."""
        self.text, self.read_at, self.refused_at, self.faults = text, now, None, ()

    def refused(self, faults: Sequence[str], now: datetime) -> None:
        """A newer text has faults, and the one before stays in use."""
        self.refused_at, self.faults = now, tuple(faults)

    def facts(self) -> Mapping[str, object]:
        """What the admin port tells; names of keys and files, and no secret."""
        return {
            "file": str(self.file.absolute()),
            "sha256": digest_of(self.text),
            "read_at": rfc3339(self.read_at),
            "refused_at": None if self.refused_at is None else rfc3339(self.refused_at),
            "faults": list(self.faults),
        }


def digest_of(text: str) -> str:
    """The digest by which two texts of a configuration are compared."""
    return hashlib.sha256(text.encode()).hexdigest()


def begun(file: Path, text: str) -> RunningConfiguration:
    """The configuration of a service that starts now."""
    return RunningConfiguration(file, text, datetime.now(UTC))
