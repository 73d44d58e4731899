"""What stops the command line: problems of the machine or of the options, told in a sentence or two."""

from __future__ import annotations

from shared.errors import WarrenError


class LaunchError(WarrenError):
    """The stack cannot be started, stopped or reached; the message says why and what helps."""


class UsageError(WarrenError):
    """The command line is wrong as it was typed."""


class Interrupted(WarrenError):
    """A signal asked the launcher to stop before everything was ready."""
