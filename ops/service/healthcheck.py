"""The image's health check: `python -m ops.service.healthcheck` asks whether the services here live.

It uses the standard library alone, for it runs every few seconds. One image serves every verb, so the check asks every
usual admin port; where nothing listens, no service lives.
"""

import http.client
import sys
from collections.abc import Mapping

# The ingress, the processors, the console, the watch of what is lost.
_USUAL_PORTS = {8081: "/livez", 8082: "/livez", 8083: "/readyz", 8084: "/livez"}
_ANSWER_WITHIN_S = 3.0


def lives(path_of_port: Mapping[int, str]) -> bool:
    """Whether a service listens at one of the ports at least, and every one that listens answers 200 at its path."""
    answers = [status for port, path in path_of_port.items() if (status := _ask(port, path)) is not None]
    return bool(answers) and all(status == http.client.OK for status in answers)


def _ask(port: int, path: str) -> int | None:
    """The status of the page; None where nobody listens, 0 where a service listens and does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN_S)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return None
    except OSError:
        return 0
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not lives(_USUAL_PORTS))
