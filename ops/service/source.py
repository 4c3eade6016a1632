"""Where a long-running service reads its settings from: a person's file, or what the parent of workers laid down."""

import os
from dataclasses import dataclass
from pathlib import Path

from ops.configuration import read_settings, read_text
from schemas.settings import Settings

# The files that a parent writes for its workers.
_STARTED, _CURRENT, _NEXT = "started.toml", "current.toml", "next.toml"


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """The text of a configuration and its settings, as they were read at one time."""

    text: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The file that the settings are read from, again and again.

    `file` is the one that a person edits, and named in every fault. A worker reads its worker_texts from its parent's
    `folder` instead, so that all workers have the same and a broken file keeps none of them from starting.
    """

    file: Path
    signing_secrets: bool
    folder: Path | None = None

    @property
    def _text_file(self) -> Path:
        return self.file if self.folder is None else self.folder / _CURRENT

    def size_bytes(self) -> int:
        """How large the text is; 0 where nobody can tell, as `read` says better."""
        try:
            return self._text_file.stat().st_size
        except OSError:
            return 0

    def read(self) -> LoadedConfiguration:
        """The settings as they are now.

        Raises:
            ConfigurationError: names every fault at once.
        """
        text = read_text(self._text_file)
        settings = read_settings(
            text,
            source=str(self.file),
            environ=os.environ,
            signing_secrets=self.signing_secrets,
            started=None if self.folder is None else read_text(self.folder / _STARTED),
        )
        return LoadedConfiguration(text, settings)


def write_started_text(folder: Path, text: str) -> None:
    """Writes for workers the text that the parent started with."""
    (folder / _STARTED).write_text(text, encoding="utf-8")
    write_current_text(folder, text)


def write_current_text(folder: Path, text: str) -> None:
    """Writes for workers the text whose endpoints count from now on; a reader sees the old text or the new one."""
    written = folder / _NEXT
    written.write_text(text, encoding="utf-8")
    written.replace(folder / _CURRENT)


def worker_texts(folder: Path) -> tuple[Path, ...]:
    """Every file that a parent writes into `folder` for its workers."""
    return folder / _STARTED, folder / _CURRENT, folder / _NEXT
