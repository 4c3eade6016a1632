"""The health of a running part, as its admin port shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """`live` false asks for a restart, `ready` false asks for no traffic; `facts` are for the person who looks."""

    live: bool
    ready: bool
    facts: Mapping[str, bool | int | float | str] = field(default_factory=dict)
