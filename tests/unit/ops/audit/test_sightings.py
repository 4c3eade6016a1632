"""Where the audit's memory of retries lies: in a file that may find no room."""

import subprocess
import sys

# A file may have a megabyte; what is remembered takes more.
_FULL = """
import resource
from ops.audit.judging.sightings import SightingsFile
from schemas.errors import DropstreamError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
seen = SightingsFile()
try:
    for number in range(100_000):
        seen.put(number.to_bytes(20), bytes(400))
except DropstreamError as error:
    print(error)
"""


def test_a_folder_without_room_is_told_with_what_to_do() -> None:
    """No traceback of a database, but what is full and how to name another folder."""
    done = subprocess.run([sys.executable, "-c", _FULL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the audit's temporary file cannot be used: ")
    assert done.stdout.endswith("; make room, or name a folder that has room in TMPDIR\n")
