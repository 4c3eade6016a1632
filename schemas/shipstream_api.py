"""Where ShipStream's management API is, from what a configuration says."""

from urllib.parse import urlsplit

# https://docs.shipstream.io/merchant-api/authentication
_API_PATH = "/api/jsonrpc"
# Without TLS to this machine alone, as to a tunnel's end.
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NO_URL = "is no URL such as https://acme.shipstream.app"


def api_url(text: str) -> str:
    """The address that calls go to: `text` is the instance's, with or without the API's path.

    Raises:
        ValueError: a sentence that does not repeat `text`, for it may hold a password.
    """
    try:
        url = urlsplit(text)
        host, _port = url.hostname, url.port
    except ValueError:
        raise ValueError(_NO_URL) from None
    if "@" in url.netloc:
        raise ValueError("holds a user or a password; they belong in username and api_key")
    if not host or url.query or url.fragment or url.path.rstrip("/") not in {"", _API_PATH}:
        raise ValueError(_NO_URL)
    if url.scheme != "https" and not (url.scheme == "http" and host in _LOOPBACK):
        raise ValueError("must begin with https://, for the API key goes there")
    return f"{url.scheme}://{url.netloc}{_API_PATH}"
