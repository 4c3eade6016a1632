"""The logger of modules that short verbs load, too: structlog comes with the first line, not with the module.

structlog brings rich's tracebacks and the colours of Pygments, a tenth of the time in which a verb starts; most verbs
end without a line.
"""

from typing import Any


class LateLog:
    """What `structlog.get_logger` gives, asked for at each line: `LateLog().info("event", fact=1)`."""

    def __getattr__(self, name: str) -> Any:
        import structlog  # noqa: PLC0415 see above

        return getattr(structlog.get_logger(), name)
