"""Asks the running services which configuration they use, and finds what is wrong with that.

The file that a person checks may be sound for the person and not for a service, which knows other secrets, or an older
version of the file.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from ops.addresses import reached_at
from ops.endpoints.check import Problem
from ops.http_page import fetch_page
from ops.service.running_configuration import PATH, digest_of
from schemas.settings import Settings

_WITHIN_S = 3.0
_FAULTS_MAX = 3


async def find_reload_problems(settings: Settings, file: str, text: str) -> list[Problem]:
    """What the running ingress and processors of these settings say of their configuration.

    `file` is the absolute path of the one that a person checks, `text` what it holds now.

    A service that does not answer says nothing; that it does not run is told elsewhere.
    """
    ingest, process = settings.ingest, settings.process
    ports = {
        "ingress": reached_at(ingest.admin_host, ingest.admin_port),
        "processors": reached_at(process.admin_host, process.admin_port),
    }
    pages = await asyncio.gather(*(fetch_page(f"http://{port}{PATH}", within_s=_WITHIN_S) for port in ports.values()))
    found = (
        problem_of(service, _decoded(page.body), file, digest_of(text))
        for service, page in zip(ports, pages, strict=True)
        if page is not None and page.status == 200
    )
    return [one for one in found if one is not None]


def problem_of(service: str, facts: Mapping[str, Any], file: str, digest: str) -> Problem | None:
    """The problem that the facts of a service's configuration show, where `digest` is that of `file` now."""
    again = "send it SIGHUP"
    if refused_at := facts.get("refused_at"):
        faults = [str(one) for one in facts.get("faults") or ()]
        more = f"; and {len(faults) - _FAULTS_MAX} more" if len(faults) > _FAULTS_MAX else ""
        why = "; ".join(faults[:_FAULTS_MAX]) + more
        sentence = (
            f"the one that runs refused {facts.get('file')} at {refused_at} and uses the version before: {why}; "
            f"solve it, then {again}"
        )
        return Problem("error", service, sentence)
    if facts.get("file") == file and facts.get("sha256") != digest:
        sentence = f"the one that runs uses {file} as it was at {facts.get('read_at')}; {again} to take the present one"
        return Problem("warning", service, sentence)
    return None


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        facts = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}
