"""Turns an address that the settings listen on into one that this machine can connect to."""

from ipaddress import ip_address

from schemas.sections.values import is_loopback


def reached_at(host: str, port: int) -> str:
    """HOST:PORT as a URL has it; for the address of all interfaces, the loopback address of the same family."""
    try:
        address = ip_address(host or "0.0.0.0")  # noqa: S104 compared, not bound
    except ValueError:
        return f"{host}:{port}"
    if address.version == 4:
        return f"{'127.0.0.1' if address.is_unspecified else address}:{port}"
    # asyncio listens on `::` for IPv6 alone.
    return f"[{'::1' if address.is_unspecified else address}]:{port}"


def is_of_this_machine(servers: str) -> bool:
    """Whether every `host:port` of the list is a loopback address."""
    return all(is_loopback(one.strip().rpartition(":")[0].strip("[]")) for one in servers.split(","))
