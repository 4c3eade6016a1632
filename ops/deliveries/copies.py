"""A delivery as a person takes it elsewhere: a curl command, JSON, or the files of a fixture; pure.

All of them hold the whole request, personal data included.
"""

import shlex
from base64 import b64encode

from ops.inspect.tail import RecordView
from schemas.delivery import Delivery
from schemas.records import RawRecord
from schemas.times import rfc3339

# curl makes these itself.
_LEFT_OUT = frozenset({"host", "content-length", "accept-encoding", "expect"})


def as_curl(delivery: Delivery, url: str) -> str:
    """A command line that sends the exact request to `url` once more; the provider's signature is as it came."""
    headers = " ".join(f"--header {shlex.quote(one)}" for one in _header_lines(delivery))
    body = b64encode(delivery.body).decode()
    return f"printf %s {shlex.quote(body)} | base64 -d | curl --data-binary @- {headers} {shlex.quote(url)}"


def as_json(record: RawRecord) -> str:
    """The record of `raw` as `dropstream tail raw --json --bodies` shows it."""
    return RecordView("raw", [], with_bodies=True).json_line(record).decode()


def as_fixture(delivery: Delivery) -> str:
    """A shell script that makes the folder of a fixture: body, headers, case.toml.

    The body and its signature are the provider's own: put made-up values in their place before the folder is shared.
    """
    files = {
        "body": delivery.body,
        "headers": "".join(f"{one}\n" for one in _header_lines(delivery)).encode(),
        "case.toml": f"received_at = {rfc3339(delivery.received_at)}\nsecrets = []\n".encode(),
    }
    lines = [
        f"printf %s {shlex.quote(b64encode(content).decode())} | base64 -d > case/{name}"
        for name, content in files.items()
    ]
    return "\n".join(["mkdir -p case", *lines]) + "\n"


def _header_lines(delivery: Delivery) -> list[str]:
    return [f"{name}: {value.decode('latin-1')}" for name, value in delivery.headers if name.lower() not in _LEFT_OUT]
