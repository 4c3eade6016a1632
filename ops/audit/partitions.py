"""Audits the partitions of `raw` of one assignment: everything that they led to, in every output partition.

All output partitions are read, for each holds records of every partition of `raw`; records that name a delivery of
another assignment are passed over.
"""

import gc
from collections.abc import Callable
from contextlib import AsyncExitStack

from ops.audit.assignment import AuditAssignment
from ops.audit.judging.gap_audit import audit_gaps
from ops.audit.judging.matcher import OutputMatcher
from ops.audit.judging.sightings import SightingsFile
from ops.audit.reading.writer_opener import WriterOpener
from ops.audit.tally import AuditTally

_COLLECT_AFTER = (50_000, 20, 100)


async def audit_partitions(assignment: AuditAssignment, on_deliveries: Callable[[int], None]) -> AuditTally:
    """The tally of the assignment's partitions; `on_deliveries` is given how many deliveries more are judged.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    tally = AuditTally()
    seen = SightingsFile()
    thresholds = gc.get_threshold()
    # Nearly all objects go by their reference counts; looking for circles among them was a tenth of the time.
    gc.set_threshold(*_COLLECT_AFTER)
    opener = WriterOpener(assignment, seen, on_deliveries)
    suffixes = {topic.partition(".")[2] for topic, _ in assignment.snapshot.outputs} - {""}
    try:
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(opener.group())
            marked = {
                plan.id: await stack.enter_async_context(opener.of_plan(plan, progress))
                for plan, progress in assignment.plans
                if plan.choice.into is None
            }
            async with opener.outputs("") as outputs:
                await OutputMatcher(assignment, tally, group, marked).match_all(outputs)
        for plan, progress in assignment.plans:
            if plan.choice.into is not None and plan.choice.into in suffixes:
                async with opener.of_plan(plan, progress) as writer, opener.outputs(plan.choice.into) as outputs:
                    await OutputMatcher(assignment, tally, writer, {}, suffix=plan.choice.into).match_all(outputs)
        await audit_gaps(assignment, tally)
    finally:
        gc.set_threshold(*thresholds)
        seen.close()
    return tally
