"""What group `deliver` counts of its deliveries, by endpoint."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processors.runtime.metrics import PREFIX
from processors.runtime.plain_counts import PlainCounts
from schemas.events import read_event
from schemas.notes.rejections import Reason
from schemas.records import Record
from schemas.sections.endpoints import EndpointSettings
from schemas.vocabulary import TimeQuality

_GROUP = "deliver"


class SecretGauges(Collector):
    """How long the secrets of each endpoint are good for, computed when the metrics are asked for."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._endpoints: Callable[[], Mapping[str, EndpointSettings]] = dict

    def watch(self, endpoints: Callable[[], Mapping[str, EndpointSettings]]) -> None:
        """Shows the endpoints that `endpoints` gives at that moment."""
        self._endpoints = endpoints

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One gauge for every endpoint that will be without a secret some day."""
        left = GaugeMetricFamily(
            f"{PREFIX}secrets_left_seconds",
            "Until the last secret of the endpoint expires, below 0 after it; absent where one never does.",
            labels=["endpoint"],
        )
        now = self._clock()
        for name, endpoint in self._endpoints().items():
            ends = [secret.expires for secret in endpoint.secrets]
            last = max((end for end in ends if end is not None), default=None)
            if endpoint.enabled and last is not None and None not in ends:
                left.add_metric([name], (last - now).total_seconds())
        return (left,)


class DeliverMetrics:
    """The metrics of group `deliver`, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._rejected = PlainCounts(
            f"{PREFIX}rejected",
            "Deliveries rejected; `endpoint` is empty where it is not configured.",
            ["group", "endpoint", "reason"],
            registry,
        )
        self._duplicates = PlainCounts(
            f"{PREFIX}duplicates", "A provider's retries, dropped.", ["group", "endpoint"], registry
        )
        self._differing = PlainCounts(
            f"{PREFIX}bodies_differing",
            "Deliveries with a known key and another body, processed all the same.",
            ["group", "endpoint"],
            registry,
        )
        self._provider_ahead = Gauge(
            f"{PREFIX}provider_ahead_seconds",
            "How far the provider's own time of a delivery is past our time of its receipt; below 0 as a rule.",
            ["endpoint"],
            registry=registry,
        )
        self.endpoints_awaited = Gauge(
            f"{PREFIX}endpoints_awaited",
            "Endpoints that deliveries name and this process lacks; their partitions wait for them, in bounded time.",
            registry=registry,
        )
        self.secrets = SecretGauges(clock)
        registry.register(self.secrets)

    def expect_endpoints(self, endpoints: Iterable[str]) -> None:
        """Begins every count of these endpoints at 0."""
        for endpoint in endpoints:
            self._duplicates.begin(_GROUP, endpoint)
            self._differing.begin(_GROUP, endpoint)
            for reason in set(Reason) - {Reason.ENDPOINT_UNKNOWN}:
                self._rejected.begin(_GROUP, endpoint, reason.value)
        self._rejected.begin(_GROUP, "", Reason.ENDPOINT_UNKNOWN.value)

    def count_outputs(self, outputs: Collection[Record]) -> None:
        """Counts what one committed transaction wrote; an endpoint not configured, which has any name, as ""."""
        latest: dict[bytes, Record] = {}
        for output in outputs:
            if output.topic == "rejected":
                self._count_rejected(dict(output.headers))
            elif output.topic == "duplicates":
                self._duplicates.add(_GROUP, output.key.decode())
            elif endpoint := dict(output.headers).get("endpoint"):
                latest[endpoint] = output
                if ("bodydiffers", b"true") in output.headers:
                    self._differing.add(_GROUP, endpoint.decode())
        for endpoint, event in latest.items():
            self._show_time(endpoint.decode(), event)

    def _count_rejected(self, headers: Mapping[str, bytes]) -> None:
        reason = headers["dropstream-reason"].decode()
        endpoint = b"" if reason == Reason.ENDPOINT_UNKNOWN else headers.get("dropstream-endpoint", b"")
        self._rejected.add(_GROUP, endpoint.decode(), reason)

    def _show_time(self, endpoint: str, record: Record) -> None:
        """Looks at one event of an endpoint and transaction, for one is enough to see a clock that is wrong."""
        event = read_event(record.value)
        if event is not None and event.attributes["timequality"] == TimeQuality.EXACT:
            time, recorded = (datetime.fromisoformat(event.attributes[name]) for name in ("time", "recordedtime"))
            self._provider_ahead.labels(endpoint).set((time - recorded).total_seconds())
