"""What a check of `dropstream doctor` found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: `subject` is what was checked, `sentence` its state and, unless ok, what to do."""

    level: Literal["ok", "warning", "failed"]
    subject: str
    sentence: str
