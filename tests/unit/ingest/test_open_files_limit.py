"""A process that may open few files takes as many connections as it can, and says so, instead of failing at accept."""

import dataclasses
import json
import resource
import subprocess
import sys

from ingest.http.limits import allowed_limits, connection_limits
from schemas.sections.programs import IngestSettings

LIMITS = connection_limits(IngestSettings(connections_max=600))
_PROGRAM = """
import json, resource
from ingest.http.limits import allowed_limits, connection_limits
from schemas.settings import IngestSettings
limits = allowed_limits(connection_limits(IngestSettings()))
print(json.dumps([limits.connections_max, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def test_the_limit_of_this_process_is_raised_as_far_as_needed() -> None:
    """600 connections and 256 files more; what the system allows beyond that stays as it was."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, before[1]))
        assert allowed_limits(LIMITS) == LIMITS
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (856, before[1])
        assert allowed_limits(dataclasses.replace(LIMITS, connections_max=10)).connections_max == 10
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (856, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_where_it_cannot_be_raised_there_are_fewer_connections() -> None:
    """Of 2,000 there are 744 where 1,000 files are the most, and a warning says so."""
    shell = f"ulimit -n 1000 && exec {sys.executable} -c '{_PROGRAM}'"
    ended = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    *warning, figures = ended.stdout.splitlines()
    assert json.loads(figures) == [744, 1000, 1000]
    assert "open_files_limited" in "".join(warning) + ended.stderr
