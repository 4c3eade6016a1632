"""`@fast_frozen()` is a dataclass with slots that only the type checker freezes.

The interpreter freezes a dataclass by assigning each field through `object.__setattr__`, which takes five times as long
as a plain assignment; of what one delivery costs, that was a quarter. mypy refuses assignments in all code and every
test.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def fast_frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """The class as a dataclass that is equal and hashed by its fields."""
    return dataclasses.dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
