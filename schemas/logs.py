"""Log set-up: structlog and the standard library's loggers on one stream; JSON lines in UTC, or lines for a person."""

import logging
import sys

import structlog

# While Kafka is away aiokafka logs every refused connection, dozens a second; events of dropstream say it once.
_LIBRARY_LEVELS = {"aiokafka": logging.CRITICAL, "aiohttp": logging.WARNING, "asyncio": logging.WARNING}


def configure_logging(*, json: bool, level: str = "info") -> None:
    """Sends the log lines of `level` and above to stderr; call once, before anything logs."""
    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        # The default shows what variables held, secrets and bodies among them.
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least)
    for name, its_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(its_level, least))
