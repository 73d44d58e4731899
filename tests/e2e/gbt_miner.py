"""A mining program of somebody else: asks, builds and submits as cpuminer does (BIP22, BIP23, BIP145).

It is written from the BIPs with the standard library alone, so that it shares no mistake with Warren: template, own
coinbase with the height and the witness commitment, merkle root, nonces, `submitblock`; and a long poll beside it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import json
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ASKED = {"capabilities": ["coinbasetxn", "coinbasevalue", "longpoll", "workid"], "rules": ["segwit"]}


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def varint(number: int) -> bytes:
    return bytes([number]) if number < 0xFD else b"\xfd" + struct.pack("<H", number)


def push_height(height: int) -> bytes:
    """The height as the coinbase begins with it: OP_1 to OP_16, or a little-endian number (BIP34)."""
    if height <= 16:
        return bytes([0x50 + height])
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes([len(number)]) + number


@dataclass
class Work:
    """A block that only lacks its nonce."""

    previous: str
    height: int
    header: bytes
    """76 bytes."""
    target: int
    body: bytes
    """Number of transactions, coinbase and all others."""
    long_poll_id: str
    txids: list[str]

    def solve(self) -> str:
        """Return the block in hex."""
        for nonce in itertools.count():
            header = self.header + struct.pack("<I", nonce)
            if int.from_bytes(sha256d(header), "little") <= self.target:
                return (header + self.body).hex()
        raise AssertionError("nonces have no end")


@dataclass
class GbtMiner:
    """One mining program."""

    url: str
    credentials: str = field(repr=False)
    script_pubkey: bytes
    tag: bytes = b"cpuminer"

    def call(self, method: str, *params: Any, seconds: float = 90.0) -> Any:
        """Return the result of a call over a connection of its own."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
        token = base64.b64encode(self.credentials.encode()).decode()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Basic {token}",
            "User-Agent": "cpuminer/2.5.1",
        }
        try:
            body = json.dumps({"method": method, "params": list(params), "id": 0})
            connection.request("POST", parts.path or "/", body, headers)
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert reply["error"] is None, reply["error"]
        return reply["result"]

    def work(self, long_poll_id: str = "") -> Work:
        """Return work; with the id of older work wait until there is better."""
        asked = ASKED | ({"longpollid": long_poll_id} if long_poll_id else {})
        return self.build(self.call("getblocktemplate", asked))

    def submit(self, block: str) -> str | None:
        """Return None for a block that became the tip, else BIP22's word for what is wrong."""
        answer: str | None = self.call("submitblock", block)
        return answer

    def build(self, template: dict[str, Any]) -> Work:
        """Return the block of a template."""
        signature = push_height(template["height"]) + bytes([len(self.tag)]) + self.tag
        commitment = bytes.fromhex(template["default_witness_commitment"])
        outputs = [(template["coinbasevalue"], self.script_pubkey), (0, commitment)]
        head = struct.pack("<i", 1)
        middle = b"\x01" + bytes(32) + b"\xff\xff\xff\xff" + varint(len(signature)) + signature + b"\xff\xff\xff\xff"
        middle += varint(len(outputs))
        for value, script in outputs:
            middle += struct.pack("<q", value) + varint(len(script)) + script
        lock_time = bytes(4)
        coinbase = head + b"\x00\x01" + middle + b"\x01\x20" + bytes(32) + lock_time
        txids = [sha256d(head + middle + lock_time)]
        txids += [bytes.fromhex(tx["txid"])[::-1] for tx in template["transactions"]]
        header = struct.pack("<i", template["version"]) + bytes.fromhex(template["previousblockhash"])[::-1]
        header += merkle_root(txids) + struct.pack("<I", template["curtime"]) + bytes.fromhex(template["bits"])[::-1]
        body = varint(len(txids)) + coinbase + b"".join(bytes.fromhex(tx["data"]) for tx in template["transactions"])
        return Work(
            previous=template["previousblockhash"],
            height=template["height"],
            header=header,
            target=int(template["target"], 16),
            body=body,
            long_poll_id=template["longpollid"],
            txids=[tx["txid"] for tx in template["transactions"]],
        )


def merkle_root(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes = [*hashes, hashes[-1]]
        hashes = [sha256d(first + second) for first, second in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
