"""Whether endpoints and secrets can be used."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime

from ops.doctor.check_result import CheckResult
from ops.endpoints.check import find_problems
from ops.endpoints.secret_strength import other_weaknesses
from processors.providers import discover
from schemas.secrets import Secret, resolve
from schemas.settings import Settings


def examine_endpoints(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    """What is wrong with the endpoints that are configured, or that nothing is."""
    problems = find_problems(settings, discover(), now)
    if not problems:
        secrets = [one.value for endpoint in settings.endpoints.values() for one in endpoint.secrets]
        known = "every secret is there and valid" if all(one.value for one in secrets) else "no fault without secrets"
        return (CheckResult("ok", "endpoints", f"{len(settings.endpoints)}, {known}"),)
    return tuple(
        CheckResult("failed" if one.level == "error" else "warning", f"endpoint {one.endpoint}", one.sentence)
        for one in problems
    )


def examine_console_tokens(settings: Settings) -> Iterator[CheckResult]:
    """Warnings of the console's tokens; none of a token that is not known here, as where the console runs elsewhere."""
    references = {f"console.people.{name}.token": one.token for name, one in settings.console.people.items()}
    if settings.console.token is not None:
        references["console.token"] = settings.console.token
    tokens: dict[str, Secret] = {}
    for key, reference in references.items():
        with contextlib.suppress(ValueError):
            tokens[key] = resolve(reference, os.environ)
    for key, sentence in other_weaknesses(settings, tokens):
        if key in tokens:
            yield CheckResult("warning", key, sentence)


def examine_unread(faults: Sequence[str]) -> Sequence[CheckResult]:
    """A warning where signing secrets cannot be read here; the rest is checked without them."""
    if not faults:
        return ()
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    sentence = (
        f"{faults[0]}{more}; right where the ingress runs alone, which needs none: "
        "call dropstream doctor where dropstream process runs, too"
    )
    return (CheckResult("warning", "signing secrets", sentence),)
