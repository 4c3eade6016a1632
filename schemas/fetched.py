"""Where a record of `raw` comes from that no provider sent: a run of `dropstream reconcile` asked the provider's API.

Three headers say so. An ingress writes none of them and drops them from every request, as all names that begin with
`dropstream-`; so a sender cannot make its delivery pass for one that was fetched.
"""

from collections.abc import Mapping
from datetime import datetime

from schemas.fast_frozen import fast_frozen
from schemas.records import Headers
from schemas.times import read_utc, rfc3339

_ORIGIN = "dropstream-origin"
_RUN = "dropstream-run"
_NEWEST_KNOWN = "dropstream-newest-known"
_RECONCILE = b"reconcile"


@fast_frozen()
class FetchOrigin:
    """The run that fetched a record.

    `newest_known` is when the newest webhook about the same entity happened that was in `raw` by then, aware UTC; None
    where that is not after the state that was fetched.
    """

    run: str
    newest_known: datetime | None = None


def origin_headers(origin: FetchOrigin) -> Headers:
    """The headers that `read_origin` reads."""
    known = () if origin.newest_known is None else ((_NEWEST_KNOWN, rfc3339(origin.newest_known).encode()),)
    return ((_ORIGIN, _RECONCILE), (_RUN, origin.run.encode()), *known)


def read_origin(headers: Mapping[str, bytes | None]) -> FetchOrigin | None:
    """The origin that the last header of each name says; None for a delivery that a provider sent. Total."""
    if headers.get(_ORIGIN) != _RECONCILE:
        return None
    run = (headers.get(_RUN) or b"").decode("utf-8", "replace")
    return FetchOrigin(run, read_utc(headers.get(_NEWEST_KNOWN) or b""))
