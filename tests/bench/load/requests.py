"""The requests that the generator sends: their bytes, and the file that takes them to its process."""

from collections.abc import Sequence
from pathlib import Path


def request(endpoint: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A request as a platform's HTTP client writes it."""
    lines = (
        f"POST /webhooks/{endpoint} HTTP/1.1",
        "Host: hooks.example.com",
        "User-Agent: Platform-Webhooks/1.0",
        "Accept: */*",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    """Keeps the exact bytes of the requests for `Plan.requests`."""
    path.write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in requests))


def read_requests(path: Path) -> list[bytes]:
    """The requests that `write_requests` kept."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "big")
        found.append(content[at + 4 : end])
        at = end
    return found
