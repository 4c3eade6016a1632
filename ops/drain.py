"""`dropstream drain`, the command before a deployment stops: waits until an ingress has no spooled delivery left.

It reads the admin port of the ingress, and changes nothing there.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import typer

from ops import screen
from ops.addresses import reached_at
from ops.configuration import ConfigFile, load_settings
from ops.event_loop import run
from ops.http_page import fetch_page
from schemas.errors import DropstreamError

_ANSWER_WITHIN_S = 3.0
_POLL_S = 0.5
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
# A worker that starts again, or a busy moment, is no reason to give up.
_SILENCES_MAX = 4


@dataclass(frozen=True, slots=True)
class SpoolCount:
    """The deliveries in the spools of all workers together; `silent` workers did not answer.

    `refused` are deliveries that Kafka will not have, `damaged` those that the disk damaged, `unread` files that cannot
    be read: waiting changes none of them.
    """

    deliveries: int
    oldest_s: float
    silent: int = 0
    refused: int = 0
    unread: int = 0
    damaged: int = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether every worker has written to Kafka all that Kafka takes."""
        return not self.deliveries and not self.silent

    def __str__(self) -> str:
        facts = [f"{self.deliveries} spooled deliveries left, the oldest is {self.oldest_s:.0f} s old"]
        facts += [f"{self.silent} worker(s) silent"] if self.silent else []
        return "; ".join([*facts, *self.stuck])

    @property
    def stuck(self) -> Sequence[str]:
        """Sentences about what stays on the disk until a person has seen to it."""
        found = [f"Kafka refuses {self.refused} spooled deliveries"] if self.refused else []
        found += [f"the disk damaged {self.damaged} spooled deliveries"] if self.damaged else []
        return [*found, f"{self.unread} spool file(s) cannot be read"] if self.unread else found


async def wait_drained(address: str, *, timeout_s: float, report: Callable[[SpoolCount], None]) -> None:
    """Returns when the ingress with its admin port at `address` (HOST:PORT) has an empty spool.

    `report` is given each count.

    Raises:
        DropstreamError: not within `timeout_s`; or only what is stuck is left; or it does not answer, or not as an
            ingress does.
    """
    deadline = time.monotonic() + timeout_s
    silences = 0
    spooled: SpoolCount | None = None
    while True:
        # The page counts whatever its status: an ingress that spools is not ready.
        page = await fetch_page(f"http://{address}/readyz", within_s=_ANSWER_WITHIN_S)
        silences = silences + 1 if page is None else 0
        if silences >= _SILENCES_MAX:
            raise DropstreamError(
                f"the ingress does not answer at {address}, so what is spooled is not known\n"
                "Start it with dropstream ingest, which drains the spool, or name its admin port with --admin."
            )
        if page is not None:
            spooled = read_spooled(page.body, address)
            report(spooled)
            if spooled.is_at_rest:
                return _expect_nothing_stuck(spooled)
        if time.monotonic() + _POLL_S > deadline:
            raise DropstreamError(
                f"not drained within {timeout_s:g} s: {spooled or 'no answer yet'}\n"
                "Keep the disk of ingest.spool_dir, see whether Kafka answers, and wait longer with --timeout."
            )
        await asyncio.sleep(_POLL_S)


def read_spooled(answer: bytes, address: str) -> SpoolCount:
    """The spool count in an answer to `/readyz`; the sum over workers where there are several.

    Raises:
        DropstreamError: the answer says nothing of a spool.
    """
    parts = _parts(answer, address)
    # A worker that does not answer its parent is shown without facts.
    speaking = [part for part in parts if part.get("live") is True or "spool_deliveries" in part]
    try:
        counts = [int(part["spool_deliveries"]) for part in speaking]
        ages = [float(part.get("spool_oldest_seconds") or 0) for part in speaking]
        refused = [int(part.get("spool_refused") or 0) for part in speaking]
        damaged = [int(part.get("spool_damaged") or 0) for part in speaking]
        unread = [int(part.get("spool_unread_files") or 0) for part in speaking]
    except (KeyError, TypeError, ValueError) as error:
        raise DropstreamError(
            f"the ingress at {address} has no fact spool_deliveries, so what is spooled is not known\n"
            "Is it an older dropstream, or the admin port of dropstream process? Name the right one with --admin."
        ) from error
    return SpoolCount(
        sum(counts),
        max(ages, default=0.0),
        silent=len(parts) - len(speaking),
        refused=sum(refused),
        damaged=sum(damaged),
        unread=max(unread, default=0),  # The folder is one and the same for all workers.
    )


def _expect_nothing_stuck(spooled: SpoolCount) -> None:
    if spooled.stuck:
        raise DropstreamError(
            f"drained but for what a person must look at: {'; '.join(spooled.stuck)}\n"
            "Keep the disk of ingest.spool_dir. "
            "Look for delivery_refused_by_kafka, spooled_records_damaged, spool_damaged and spool_file_not_read in the "
            "ingress's log."
        )


def _parts(answer: bytes, address: str) -> Sequence[dict[str, Any]]:
    try:
        body = orjson.loads(answer)
        parts = list(body["workers"].values()) if "workers" in body else [body]
        if all(isinstance(part, dict) for part in parts):
            return parts
    except (orjson.JSONDecodeError, TypeError, AttributeError):
        pass
    raise DropstreamError(
        f"what answers at {address} is not an admin port of dropstream; name the right port with --admin"
    )


def drain(
    *,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="How long to wait.")] = 60.0,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The ingress's admin port; else by the configuration.", show_default=False
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Waits until every spooled delivery is in Kafka; exit code 1 if some are left. Example: dropstream drain"""
    match = _ADDRESS.fullmatch(admin) if admin is not None else None
    if admin is not None and (match is None or int(match["port"]) > 65_535):
        raise typer.BadParameter(f"{admin!r} is not an address such as 127.0.0.1:8081", param_hint="--admin")
    if admin is None:
        ports = load_settings(config, signing_secrets=False).ingest
        admin = reached_at(ports.admin_host, ports.admin_port)
    with screen.console().status("asking the ingress") as line:
        run(wait_drained(admin, timeout_s=timeout, report=lambda spooled: line.update(str(spooled))))
    if screen.is_terminal():
        screen.say("Drained: no spooled delivery is left.", style="green")
