"""Other people's programs that tests use, as `make tools` fetches them.

One that is not there skips the tests that need it, by its name; with REQUIRE_TOOLS=1 it fails them.
"""

import os
import shutil

import pytest

from tests.support.checkout import ROOT
from tests.support.skipped import missing

_FETCHED = ROOT / ".dropstream" / "tools"
# Of these the machine's own will do.
_ANYBODYS = {"helm", "promtool"}


def tool(name: str) -> str:
    """Where the program is; skips or fails where it is not."""
    places = (
        _FETCHED / name,
        _FETCHED / "python" / "bin" / name,
        _FETCHED / name / "node_modules" / ".bin" / name,
    )
    found = next((str(place) for place in places if place.is_file()), None) or (
        shutil.which(name) if name in _ANYBODYS else None
    )
    if found is None:
        reason = missing(f"{name} is not here", bring="make tools")
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(f"REQUIRE_TOOLS=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    return found
