"""AsyncAPI's own JSON Schema of 3.0.0 documents, fetched once by the name of its package."""

import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ops.local.broker.install import STATE_FOLDER
from tests.support.skipped import missing
from tests.support.waiting import PATIENCE_S

_PACKAGE = "@asyncapi/specs@6.11.1"
_ARCHIVE = "asyncapi-specs-6.11.1.tgz"
_SHA256 = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"
_MEMBER = "package/schemas/3.0.0.json"


def asyncapi_specification() -> dict[str, Any]:
    """The schema; the test that asks is skipped by name where npm, or the package, cannot be had."""
    folder = STATE_FOLDER / "npm"
    archive = folder / _ARCHIVE
    if not archive.exists():
        _fetch(folder)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        archive.unlink()
        pytest.fail(f"{_PACKAGE} is not the package that it was")
    with tarfile.open(archive) as package:
        member = package.extractfile(_MEMBER)
        assert member is not None
        specification: dict[str, Any] = json.load(member)
    return specification


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(missing("AsyncAPI's own schema needs npm", bring="PATH=FOLDER-OF-NPM:$PATH make test"))
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", _PACKAGE, "--pack-destination", str(folder)]
    if subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_S).returncode:
        pytest.skip(f"{_PACKAGE} cannot be fetched here")
