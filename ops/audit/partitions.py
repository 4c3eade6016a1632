"""The audit of some partitions of `raw`: everything that they led to, in every lane. One process does one part.

A part reads all lanes, for each holds records of every partition of `raw`, and passes over those of other parts.
"""

import gc
from collections.abc import Callable
from contextlib import AsyncExitStack

from ops.audit.judging.gap_audit import audit_gaps
from ops.audit.judging.matcher import Sweep
from ops.audit.judging.sightings import SightingsFile
from ops.audit.reading.writer_opener import AuditLines, Part
from ops.audit.tally import PartFound

_COLLECT_AFTER = (50_000, 20, 100)


async def audit_part(part: Part, on_deliveries: Callable[[int], None]) -> PartFound:
    """What the part finds; `on_deliveries` is told how many deliveries more are judged.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    found = PartFound()
    seen = SightingsFile()
    thresholds = gc.get_threshold()
    # Nearly all that is made goes by itself; looking for circles among it was a tenth of the time.
    gc.set_threshold(*_COLLECT_AFTER)
    lines = AuditLines(part, seen, on_deliveries)
    copies = {topic.partition(".")[2] for topic, _ in part.look.lanes} - {""}
    try:
        async with AsyncExitStack() as stack:
            main = await stack.enter_async_context(lines.main())
            marked = {
                plan.id: await stack.enter_async_context(lines.of_plan(plan, progress))
                for plan, progress in part.plans
                if plan.choice.into is None
            }
            async with lines.outputs("") as outputs:
                sweep = Sweep(part, found, main, marked)
                await sweep.through(outputs)
                await sweep.conclude()
        for plan, progress in part.plans:
            if plan.choice.into is not None and plan.choice.into in copies:
                async with lines.of_plan(plan, progress) as line, lines.outputs(plan.choice.into) as outputs:
                    sweep = Sweep(part, found, line, {}, suffix=plan.choice.into)
                    await sweep.through(outputs)
                    await sweep.conclude()
        await audit_gaps(part, found)
    finally:
        gc.set_threshold(*thresholds)
        seen.close()
    return found
