"""Errors for people: one plain sentence, and an exit status."""

from __future__ import annotations

import click

__all__ = ["fail"]


def fail(sentence: str) -> click.ClickException:
    """The exception that ends the command with `sentence` on stderr and exit status 1."""
    return click.ClickException(sentence)
