"""Logs for operators: one line an event, its fields as `key=value` or the whole of it as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["FORMATS", "quote", "set_up_logging"]


class _Formatter(logging.Formatter):
    """``2026-01-31T12:00:00.000Z INFO stompcore.server connected session=… subject=…``"""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """UTC, whatever the machine's zone."""
        return time.gmtime(seconds)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {record.message}"
        fields = (f"{name}={quote(_shown(value))}" for name, value in _fields(record).items())
        return " ".join([line, *fields])


class _JsonFormatter(_Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `event`, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | float] = {
            "ts": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, round(value, 3) if isinstance(value, float) else value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


_FORMATTERS = {"text": _Formatter, "json": _JsonFormatter}

#: What `set_up_logging` can write.
FORMATS = tuple(_FORMATTERS)


def _fields(record: logging.LogRecord) -> dict[str, str | float]:
    fields: dict[str, str | float] = getattr(record, "fields", {})
    return fields


def _shown(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def quote(value: str) -> str:
    """`value`, in quotes if it could be mistaken for more than one field or line."""
    is_plain = value.isascii() and value.isprintable() and value and not set(value) & set(' "=')
    return value if is_plain else json.dumps(value)


def set_up_logging(format_name: str) -> None:
    """Log to stderr from now on, in one of `FORMATS`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[format_name]())
    logger = logging.getLogger("stompcore")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
