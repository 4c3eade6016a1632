"""Whether the ingress and the processors answer, and say that they are ready."""

import orjson

from ops.addresses import reached_at
from ops.doctor.check_result import CheckResult
from ops.http_page import fetch_page
from ops.service.unready import unready_reasons

_HTTP_TIMEOUT_S = 3.0


async def examine_service(subject: str, verb: str, host: str, port: int) -> CheckResult:
    """What the admin port of the service that `dropstream VERB` starts says of it."""
    url = f"http://{reached_at(host, port)}/readyz"
    page = await fetch_page(url, within_s=_HTTP_TIMEOUT_S)
    if page is None:
        return CheckResult("warning", subject, f"not answering at {url}; start it with dropstream {verb}")
    if page.status != 200:
        return CheckResult(
            "failed", subject, f"{url} answers {page.status}, not ready: {_reasons(page.body) or 'its log says why'}"
        )
    if reasons := _reasons(page.body):
        return CheckResult("warning", subject, f"ready, says {url}, but {reasons}")
    return CheckResult("ok", subject, f"ready, says {url}")


def _reasons(body: bytes) -> str:
    try:
        return "; ".join(unready_reasons(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return ""
