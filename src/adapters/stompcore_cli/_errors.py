"""Errors for people: one plain sentence, and an exit status."""

from __future__ import annotations

import click

__all__ = ["fail", "sentence"]


def sentence(error: Exception) -> str:
    """What the library says, which is no sentence yet."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def fail(text: str) -> click.ClickException:
    """The exception that ends the command with `text` on stderr and exit status 1."""
    return click.ClickException(text)
