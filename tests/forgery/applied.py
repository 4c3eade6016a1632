"""Faults done to stages: which deliveries a stage needs for them, and by what names all of them are to be called."""

from collections import Counter
from collections.abc import Sequence

from tests.forgery.faults import Fault
from tests.forgery.forges import Forger
from tests.forgery.history import Named, Unfit
from tests.forgery.stages import Cast, Role, Stage, Stages


def stage_for(stages: Stages, faults: Sequence[Fault]) -> Stage:
    """A stage with a delivery for each fault, and one more for those that need partners."""
    needed: Counter[Role] = Counter()
    for fault in faults:
        needed[fault.role] += fault.partners
    return stages.add(
        events=max(1, needed["events"]),
        retry=needed["retry"],
        other_body=needed["other_body"],
        rejected=needed["rejected"],
    )


def forge(forger: Forger, cast: Cast, faults: Sequence[Fault]) -> list[Named]:
    """Does each fault to the first delivery of its kind that it fits."""
    return [named for fault in faults for named in _forge_one(forger, cast, fault)]


def _forge_one(forger: Forger, cast: Cast, fault: Fault) -> Sequence[Named]:
    for case in cast.of(fault.role):
        try:
            return fault.forge(forger, case, cast)
        except Unfit:
            continue
    raise AssertionError(f"{fault} fits no delivery of its stage")
