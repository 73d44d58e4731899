"""Errors that end a command: problems of the machine or of the options, in a sentence or two."""

from __future__ import annotations

from shared.errors import WarrenError


class LaunchError(WarrenError):
    """The stack cannot be started, stopped or reached; the message gives the cause and a remedy."""


class UsageError(WarrenError):
    """The command line is wrong."""


class Interrupted(WarrenError):
    """A signal asked the launcher to stop before everything was ready."""
