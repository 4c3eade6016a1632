"""`python -m tests.soak`: the whole system under a steady load for an hour, followed to its end by an audit.

An ingress, both consumer groups and a real Kafka of their own; signed deliveries of every provider at one rate, each
hundredth one a retry; the numbers that a slice of the load leaves over are gaps. Memory, open files and disk are
sampled all the time. It ends with 0 where every delivery was answered 200, the audit is clean, and memory and open
files are flat.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path

from ops.audit.run import audit
from ops.audit.verdict import AuditVerdict
from processors.providers import discover
from schemas.errors import DropstreamError
from tests.bench.ingress import ingress
from tests.bench.load.plan import Plan, generate
from tests.bench.load.requests import request, write_requests
from tests.bench.machine import describe
from tests.bench.outputs import count_raw
from tests.bench.place import SECRET, Place, Program, place, running
from tests.soak.report import BROKER, is_flat, picture, text
from tests.soak.samples import SoakSample, disk_mib, now_s, sample_program
from tests.support.checkout import ROOT
from tests.support.processing import is_processed

OUTPUT = ROOT / ".dropstream" / "soak"
# A slice of the load has requests of its own, signed while the slice before is sent.
_SLICE_S = 60.0
_RETRY_EACH = 100
_CATCH_UP_S = 900.0
_POLL_S = 1.0
_SAMPLES = 120


def signed_requests() -> Iterator[bytes]:
    """Signed deliveries without end: the providers take turns, each with its own numbers in a row, some sent again."""
    samples = {provider.name: cycle(provider.samples) for provider in discover().values()}
    numbers = {name: count(1) for name in samples}
    for turn, name in enumerate(cycle(samples), start=1):
        sample, at = next(samples[name]), datetime.now(UTC)
        body = sample.body(next(numbers[name]), at)
        headers = [(key, value) for key, value in sample.sign(body, SECRET.encode(), at).items()]
        made = request(name.replace("_", "-"), body, [one for one in headers if one[0].lower() != "content-type"])
        yield made
        if turn % _RETRY_EACH == 0:
            yield made


@dataclass(slots=True)
class Soak:
    """A soak at `rate` deliveries a second for `seconds`, and what it has found so far."""

    rate: float
    seconds: float
    samples: list[SoakSample] = field(default_factory=list)
    answered: int = 0
    failed: int = 0
    _requests: Iterator[bytes] = field(default_factory=signed_requests)

    async def run(self, found: Place, tell: Callable[[str], None]) -> AuditVerdict:
        """Runs the whole of it; the verdict of the audit at the end.

        Raises:
            RuntimeError, TimeoutError: a program ended, or the processors do not catch up.
        """
        config = found.config("soak")
        every = found.cores.server | found.cores.rest
        async with AsyncExitStack() as stack:
            front = await stack.enter_async_context(ingress(found, config, cores=every))
            back = await stack.enter_async_context(
                running(found, config, "ops", "process", "--config", str(config), topics=False, cores=every)
            )
            await back.said("partition_opened", times=2 * front.settings.kafka.partitions)
            following = asyncio.create_task(self._follow(found, front, back, tell))
            try:
                await self._load(found, front, following)
            finally:
                following.cancel()
                await asyncio.wait((following,))
            tell(f"{self.answered:,} answered 200; waiting for the processors")
            written = await asyncio.to_thread(count_raw, front.settings)
            async with asyncio.timeout(_CATCH_UP_S):
                while not await is_processed(front.settings, written):
                    _still_there(front, back)
                    await asyncio.sleep(_POLL_S)
            tell("auditing")
            return await audit(front.settings)

    async def _load(self, found: Place, front: Program, following: "asyncio.Task[None]") -> None:
        left = self.seconds
        path = await asyncio.to_thread(self._write, found, 0, min(left, _SLICE_S))
        for number in count(1):
            slice_s = min(left, _SLICE_S)
            left -= slice_s
            plan = Plan(
                port=front.settings.ingest.port,
                requests=str(path),
                pids=front.pids,
                connections=64,
                warm_up_s=0.0,
                measure_s=slice_s,
                rate=self.rate,
                seed=number,
            )
            sending = asyncio.create_task(asyncio.to_thread(generate, plan))
            if left > 0:
                path = await asyncio.to_thread(self._write, found, number, min(left, _SLICE_S))
            result = await sending
            self.answered += result.acknowledged
            self.failed += result.failed
            if following.done():
                following.result()
            if left <= 0:
                return

    def _write(self, found: Place, number: int, seconds: float) -> Path:
        """The requests of one slice, some more than it sends."""
        path = found.folder / f"soak-requests-{number % 2}"
        write_requests(path, [next(self._requests) for _ in range(int(self.rate * seconds * 1.1) + 50)])
        return path

    async def _follow(self, found: Place, front: Program, back: Program, tell: Callable[[str], None]) -> None:
        began, every_s = now_s(), max(_POLL_S, self.seconds / _SAMPLES)
        for number in count():
            _still_there(front, back)
            programs = {"ingress": front.pids, "processors": back.pids}
            if found.broker is not None:
                programs[BROKER] = (found.broker,)
            spool = Path(front.settings.ingest.spool_dir)
            self.samples.append(
                SoakSample(
                    now_s() - began,
                    int(self.rate * min(self.seconds, now_s() - began)),
                    {name: sample_program(pids) for name, pids in programs.items()},
                    await asyncio.to_thread(disk_mib, found.data, spool),
                )
            )
            if number % 10 == 0:
                tell(_told(self.samples[-1]))
            await asyncio.sleep(every_s)


def _still_there(*programs: Program) -> None:
    for program in programs:
        if program.process.returncode is not None:
            raise RuntimeError(f"a program ended: {program.log.read_text(errors='replace')[-400:]}")


def _told(one: SoakSample) -> str:
    held = [f"{name} {found.memory_mib:.0f} MiB {found.files} files" for name, found in one.programs.items()]
    return f"{', '.join(held)}; disk {sum(one.disk_mib.values()):.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000.0, help="deliveries a second")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--publish", action="store_true", help="keeps the report in docs/ too")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    soak = Soak(given.rate, given.minutes * 60)
    try:
        sys.exit(asyncio.run(_run(soak, publish=given.publish)))
    except DropstreamError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


async def _run(soak: Soak, *, publish: bool) -> int:
    began = now_s()

    def tell(line: str) -> None:
        print(f"{now_s() - began:7.1f} s  {line}", flush=True)  # noqa: T201 this is what the program is for

    tell("starting Apache Kafka")
    async with place() as found:
        facts = {"began": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe(found)}
        verdict = await soak.run(found, tell)
    facts["pinned"] = "broker and generator on one processor, ingress and processors on all"
    facts["load"] = f"{soak.rate:,.0f} deliveries a second for {soak.seconds / 60:.1f} minutes"
    said = verdict_lines(soak, verdict)
    report = text(facts, soak.samples, said)
    print(report)  # noqa: T201 as above
    for folder in (OUTPUT, *((ROOT / "docs",) if publish else ())):
        write(folder, report, facts, soak)
    return 0 if verdict.clean and not verdict.pending and not soak.failed and is_flat(soak.samples) else 1


def verdict_lines(soak: Soak, verdict: AuditVerdict) -> Sequence[str]:
    """What the run says at its end."""
    outputs = ", ".join(f"{number:,} {topic}" for topic, number in sorted(verdict.outputs.items()))
    clean = "clean" if verdict.clean else "NOT CLEAN"
    flat = "flat" if is_flat(soak.samples) else "NOT FLAT"
    return (
        f"deliveries: {soak.answered:,} answered 200, {soak.failed:,} failed",
        f"audit: {clean}; {verdict.deliveries:,} deliveries, {verdict.pending} pending; {outputs}",
        *(f"  {one}" for one in verdict.findings[:10]),
        f"memory and open files: {flat}",
    )


def write(folder: Path, report: str, facts: dict[str, str], soak: Soak) -> None:
    """`soak.txt`, `soak.svg` and `soak.json` in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.txt").write_text(report, encoding="utf-8")
    (folder / "soak.svg").write_text(picture(f"dropstream, {facts['load']}", soak.samples), encoding="utf-8")
    content = {"facts": facts, "samples": [asdict(one) for one in soak.samples]}
    (folder / "soak.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
