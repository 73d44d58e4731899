"""The memory that Redis needs for each output: `python -m tests.benchmarks.bench_memory [OUTPUTS]`.

Builds the chain of bench_explorer in a private Redis, and prints bytes for each output, by families of keys.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient, connect
from shared.consensus.params import REGTEST
from tests.benchmarks.explorer_chain import Size, build
from tests.servers import redis_server

_HEX = re.compile("[0-9a-f]{64}")


def main(count: int) -> None:
    server = redis_server()
    server.start()
    try:
        client = connect(server.url)
        client.flushall()
        empty = _used(client)
        build(client, Size(count))
        for family, size in _families(client).most_common():
            if size >= count:
                print(f"{family:<40} {size / count:8.1f} bytes for each output")
        print(f"{'everything':<40} {(_used(client) - empty) / count:8.1f} bytes for each output")
    finally:
        server.close()


def _used(client: StoreClient) -> int:
    return int(client.info("memory")["used_memory"])


def _families(client: StoreClient) -> Counter[str]:
    """Return bytes by the keys' names, without the hashes in them."""
    prefix = Keys(REGTEST.name).prefix
    names = list(client.scan_iter(count=10_000))
    sizes: Counter[str] = Counter()
    for first in range(0, len(names), 10_000):
        part = names[first : first + 10_000]
        pipe = client.pipeline(transaction=False)
        for name in part:
            pipe.memory_usage(name, samples=0)
        for name, size in zip(part, pipe.execute(), strict=True):
            sizes[_HEX.sub("<hash>", name.decode().removeprefix(prefix))] += size
    return sizes


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
