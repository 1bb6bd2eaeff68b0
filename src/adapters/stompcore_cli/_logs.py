"""Logs for operators: one line an event, its fields as `key=value`."""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["set_up_logging"]


class _Formatter(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """UTC, whatever the machine's zone."""
        return time.gmtime(seconds)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {record.message}"
        fields: dict[str, str] = getattr(record, "fields", {})
        return " ".join([line, *(f"{name}={_quote(value)}" for name, value in fields.items())])


def _quote(value: str) -> str:
    """`value`, in quotes if it could be mistaken for more than one field or line."""
    is_plain = value.isascii() and value.isprintable() and value and not set(value) & set(' "=')
    return value if is_plain else json.dumps(value)


def set_up_logging() -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("stompcore")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
