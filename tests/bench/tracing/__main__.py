"""`python -m tests.bench.tracing`: what traces cost a delivery, in CPU of the process, the exporter's thread included.

Rounds of the variants are interleaved, and medians are told. The collector is another process.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

from ingest.answers import Answer, Outcome
from ops.tracing.deliveries import DeliveryTracer
from ops.tracing.exporting import exporting
from ops.tracing.steps import StepTracer
from processors.runtime.group_spec import TracedStep
from schemas.records import Position, Record
from schemas.trace import begun_traceparent, read_traceparent, sampled_traceparent
from tests.integration.tracing.collecting import collector

_ROUNDS = 9
_DELIVERIES = 2_000
_SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
_ANSWER = Answer(Outcome.STORED, "acme", "019e4b02-a578-7000-8000-000000000001", body_bytes=1_024)
_EVENT = Record(
    "orders",
    b"shipstream:acme:1",
    b'{"specversion":"1.0","id":"437bfaf1-7528-5755-942b-5c1d9fbecc38","source":"/dropstream/shipstream/acme",'
    b'"type":"dropstream.order.created","subject":"1","data":{"payload":{}}}',
    (("type", b"dropstream.order.created"),),
)
_OBSERVATION = Record("sequence", b"acme", b"{}")
_HEADERS = {
    one: (*((f"x-{number}", b"value") for number in range(15)), ("traceparent", one.encode()))
    for one in (_SAMPLED, _UNSAMPLED)
}


def _ingress_off() -> None:
    read_traceparent([_SAMPLED.encode()]) or begun_traceparent(os.urandom(24))


def _ingress(tracer: DeliveryTracer, traceparent: str) -> Callable[[], None]:
    def one() -> None:
        read_traceparent([traceparent.encode()])
        tracer.begin(endpoint="acme", delivery=_ANSWER.delivery_id, traceparent=traceparent, body_bytes=1_024).end(
            _ANSWER
        )

    return one


def _step(tracer: StepTracer, traceparent: str) -> Callable[[], None]:
    def one() -> None:
        began_ns = time.time_ns()
        if found := sampled_traceparent(_HEADERS[traceparent]):
            position = Position("dropstream.raw", 3, 1_041)
            step = TracedStep(found, position, began_ns, time.time_ns(), (_EVENT, _OBSERVATION))
            tracer.trace("deliver", [step])

    return one


async def _measure(url: str) -> Mapping[str, float]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
    os.environ |= environ
    async with exporting("bench", environ, samples_itself=True) as spans:
        assert spans is not None
        deliveries = DeliveryTracer(spans.get_tracer("bench"), "dropstream.raw")
        steps = StepTracer(spans.get_tracer("bench"), "dropstream.")
        variants = {
            "ingress, no tracing": _ingress_off,
            "ingress, not sampled": _ingress(deliveries, _UNSAMPLED),
            "ingress, sampled": _ingress(deliveries, _SAMPLED),
            "processors, not sampled": _step(steps, _UNSAMPLED),
            "processors, sampled": _step(steps, _SAMPLED),
        }
        took: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(_ROUNDS):
            for name, one in variants.items():
                began = time.process_time()
                for number in range(_DELIVERIES):
                    one()
                    if number % 100 == 0:
                        await asyncio.sleep(0.001)  # As a service: the exporter's thread gets its turn.
                spans.force_flush()
                took[name].append(1e6 * (time.process_time() - began) / _DELIVERIES)
        return {name: median(all_of_it) for name, all_of_it in took.items()}


def main() -> None:
    """Measures and prints microseconds of CPU a delivery."""
    if "--collect" in sys.argv:
        with collector() as collecting:
            print(collecting.url, flush=True)  # noqa: T201 the parent reads it
            sys.stdin.read()
        return
    command = [sys.executable, "-m", "tests.bench.tracing", "--collect"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        found = asyncio.run(_measure(other.stdout.readline().strip()))
        assert other.stdin is not None
        other.stdin.close()
    for name, cpu_us in found.items():
        print(f"{name:28}{cpu_us:8.1f} us of CPU a delivery")  # noqa: T201 a report for a person


if __name__ == "__main__":
    main()
