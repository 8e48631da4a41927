"""Logs as events on stderr: readable on a terminal, JSON lines off it."""

from __future__ import annotations

import logging
import sys

__all__ = ["configure"]


def configure(level: str | None = None) -> None:
    """Set up structlog; without a level, all from INFO on, on a terminal from WARNING on."""
    import structlog

    terminal = sys.stderr.isatty()
    name = level or ("WARNING" if terminal else "INFO")
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=str)
    if terminal:
        # The default prints each frame's variables, and a key may be among them.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(name, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # It tells every failed try of a connection; what comes of them is an error of gridwatch's own.
    logging.getLogger("kafka").setLevel(logging.NOTSET if name == "DEBUG" else logging.CRITICAL)
