"""Which servers may hold a chain: Redis and Valkey, from the oldest that the tests run against."""

from __future__ import annotations

OLDEST = (7, 0)
"""Of Redis: the first with permissions for reading alone. Valkey, which begins at 7.2, calls itself a Redis 7.2."""
WANTED = f"Redis {OLDEST[0]}.{OLDEST[1]} or newer, or Valkey"
