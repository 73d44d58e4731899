"""Shows a race of miners: `python race.py [DATA_DIR]`, while `./warren up` runs. Standard library only.

A line for each new block: who found it, the seconds since the one before, the difficulty, and how many hashes a second
these last blocks took. Ctrl-C ends it, with the sums of all that it saw.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

WINDOW = 20
"""Blocks over which the hash rate is taken: those of one difficulty."""


class Node:
    """The node's JSON-RPC, with the cookie that lies in the data directory."""

    def __init__(self, data_dir: Path) -> None:
        state = json.loads((data_dir / "stack.json").read_text(encoding="utf-8"))
        self._url = state["rpc_url"]
        self._token = base64.b64encode(Path(state["cookie_file"]).read_bytes().strip()).decode()

    def __call__(self, method: str, *params: Any) -> Any:
        """Return the result of a method."""
        body = json.dumps({"method": method, "params": params, "id": 1}).encode()
        request = urllib.request.Request(self._url, body, {"Authorization": f"Basic {self._token}"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["result"]


def finder(block: Any) -> str:
    """Return the miner's name, which Warren's miners write into the coinbase between slashes."""
    found = re.search(rb"/([\w.-]+)/", bytes.fromhex(block["tx"][0]["vin"][0]["coinbase"]))
    return found[1].decode() if found else "?"


def watch(node: Node) -> None:
    """Print blocks until Ctrl-C."""
    first = before = node("getblockheader", node("getbestblockhash"))
    found: Counter[str] = Counter()
    print("height   seconds   difficulty    MH/s   miner", flush=True)
    try:
        while True:
            if node("getblockcount") == before["height"]:
                time.sleep(0.2)
                continue
            block = node("getblock", node("getblockhash", before["height"] + 1), 2)
            if not first["height"]:
                first = before = block  # the genesis block is older than the race
            miner, seconds = finder(block), block["time"] - before["time"]
            rate = node("getnetworkhashps", min(WINDOW, block["height"]), block["height"]) / 1e6
            print(
                f"{block['height']:6}   {seconds:7}   {block['difficulty']:10.6f}   {rate:5.2f}   {miner}", flush=True
            )
            found[miner] += 1
            before = block
    except KeyboardInterrupt:
        blocks, seconds = before["height"] - first["height"], before["time"] - first["time"]
        shares = ", ".join(f"{miner} {count}" for miner, count in sorted(found.items()))
        print(f"{blocks} blocks in {seconds} s, {seconds / max(blocks, 1):.1f} s each: {shares}")


if __name__ == "__main__":
    watch(Node(Path(sys.argv[1] if len(sys.argv) > 1 else "data")))
