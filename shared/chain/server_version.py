"""The servers that may hold a chain: Redis and Valkey, from the oldest version that the tests use."""

from __future__ import annotations

import re

Version = tuple[int, int]

OLDEST: Version = (7, 0)
"""The first Redis with read-only key permissions. Valkey, whose first version is 7.2, reports itself as Redis 7.2."""
WANTED = f"Redis {OLDEST[0]}.{OLDEST[1]} or newer, or Valkey"


def parse_version(text: str) -> Version:
    """Return major and minor number of a version such as `7.2.4`; zeros if it has none."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
