"""What can go wrong with the stack, in words for whoever started it."""

from __future__ import annotations


class StackError(Exception):
    """The stack can't do what was asked; the message says what to do about it."""


class ToolMissing(StackError):
    """A program that the stack needs is not here and can't be had."""
