"""Endpoints that deliveries name and this process does not know yet: the ingress read its configuration sooner.

The delivery waits, and what lies behind it in its partition, so that the order stays as it came. It waits at most
`patience_s` after its receipt, and a process waits as long for each endpoint, whatever the clocks say: then the
delivery is rejected, and so is every further one of this endpoint, at once. Nobody waits for an endpoint that was
taken out of the configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.late_log import LateLog
from schemas.sections.endpoints import ENDPOINT_NAME_PATTERN, EndpointSettings

_log = LateLog()

_NAME = re.compile(ENDPOINT_NAME_PATTERN)
# Anybody who may write to `raw` can name endpoints; none beyond so many is waited for.
_NAMES_MAX = 1_000


@dataclass(slots=True, eq=False)
class AwaitedEndpoints:
    """What one process knows of them, by name: since when it has waited, on the monotonic clock; None: no more."""

    patience_s: float
    _since: dict[str, float | None] = field(default_factory=dict)
    _known: Mapping[str, EndpointSettings] = field(default_factory=dict)

    def count(self, monotonic_s: float) -> int:
        """How many are waited for now."""
        return sum(since is not None and monotonic_s - since < self.patience_s for since in self._since.values())

    def learn(self, known: Mapping[str, EndpointSettings], monotonic_s: float) -> None:
        """Takes the endpoints that count now; those that were among them until now were taken out by a person."""
        if known is self._known:
            return
        for name in self._known.keys() - known.keys():
            self._note(name, None)
        for name in self._since.keys() & known.keys():
            since = self._since.pop(name)
            if since is not None:
                _log.info("endpoint_known", endpoint=name, after_s=round(monotonic_s - since, 1))
        self._known = known

    def waits(self, name: str, received_at: datetime, now: datetime, monotonic_s: float) -> bool:
        """Whether a delivery of endpoint `name`, which is not known, waits; its times are aware."""
        if name not in self._since:
            if not _NAME.fullmatch(name) or len(self._since) >= _NAMES_MAX or not self.patience_s:
                return False
            self._note(name, monotonic_s)
            _log.warning(
                "endpoint_awaited",
                endpoint=name,
                wait_s=self.patience_s,
                reason="deliveries name it, and it is not configured here; send SIGHUP to dropstream process",
            )
        since = self._since[name]
        if since is None:
            return False
        if monotonic_s - since < self.patience_s:
            return (now - received_at).total_seconds() < self.patience_s
        self._since[name] = None
        _log.warning("endpoint_not_awaited", endpoint=name, after_s=self.patience_s)
        return False

    def _note(self, name: str, since: float | None) -> None:
        if len(self._since) < _NAMES_MAX:
            self._since[name] = since
