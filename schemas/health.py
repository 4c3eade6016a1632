"""What a program says of itself to whoever watches it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """`live`: no restart would help; `ready`: it does its work; `facts` are small and hold no secret."""

    live: bool
    ready: bool
    facts: dict[str, object] = field(default_factory=dict)
