"""Programs written for bitcoind talk to a running stack through python-bitcoinlib's RPC client, with its cookie."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import bitcoin
import bitcoin.rpc
import pytest
from bitcoin.core import COIN, CBlock, CTransaction, b2lx, lx, x
from bitcoin.wallet import CBitcoinAddress

from shared.consensus.params import REGTEST
from tests import builders
from tests.e2e.conftest import Stack

ALICE = builders.key("alice of the clients")
KEY = ALICE.public_key.compressed.hex()


@pytest.fixture
def proxy(stack: Stack) -> Iterator[bitcoin.rpc.Proxy]:
    bitcoin.SelectParams("regtest")
    url = urlsplit(stack.state.rpc_url)
    cookie = Path(stack.state.cookie_file).read_text(encoding="ascii")
    with contextlib.closing(
        bitcoin.rpc.Proxy(service_url=f"http://{cookie}@{url.hostname}:{url.port}", timeout=60)
    ) as connected:
        yield connected


def address_of(proxy: bitcoin.rpc.Proxy) -> str:
    text = proxy.call("getdescriptorinfo", f"wpkh({KEY})")["descriptor"]
    return str(proxy.call("deriveaddresses", text)[0])


def test_the_chain_is_read(proxy: bitcoin.rpc.Proxy) -> None:
    assert proxy.getblockcount() >= 110
    assert proxy.getblockhash(0) == REGTEST.genesis.hash
    best = proxy.getbestblockhash()
    block = proxy.getblock(best)
    assert isinstance(block, CBlock)
    assert block.GetHash() == best
    assert proxy.getblockheader(best).hashMerkleRoot == block.hashMerkleRoot
    with pytest.raises(IndexError):
        proxy.getblockhash(1_000_000)


def test_a_payment_by_raw_transactions(proxy: bitcoin.rpc.Proxy) -> None:
    address = address_of(proxy)
    (block_hash, *_) = proxy.generatetoaddress(101, CBitcoinAddress(address))
    coinbase = proxy.getblock(block_hash).vtx[0]
    txid = b2lx(coinbase.GetTxid())
    raw = proxy.call("createrawtransaction", [{"txid": txid, "vout": 0}], {address: 49.9999})
    signed = proxy.call("signrawtransactionwithkey", raw, [ALICE.to_wif(REGTEST.address)])
    assert signed["complete"] is True
    (tested,) = proxy.call("testmempoolaccept", [signed["hex"]])
    assert tested["allowed"] is True
    sent = proxy.sendrawtransaction(CTransaction.deserialize(x(signed["hex"])))
    assert b2lx(sent) in [b2lx(found) for found in proxy.getrawmempool()]
    template = proxy.call("getblocktemplate", {"rules": ["segwit"]})
    assert b2lx(sent) in [entry["txid"] for entry in template["transactions"]]
    proxy.generatetoaddress(1, CBitcoinAddress(address))
    assert proxy.getrawtransaction(sent, verbose=True)["confirmations"] == 1
    assert proxy.gettxout(bitcoin.core.COutPoint(sent, 0))["txout"].nValue == int(Decimal("49.9999") * COIN)
    proof = proxy.call("gettxoutproof", [b2lx(sent)])
    assert proxy.call("verifytxoutproof", proof) == [b2lx(sent)]


def test_the_coins_add_up(proxy: bitcoin.rpc.Proxy) -> None:
    info = proxy.call("gettxoutsetinfo")
    stats = [proxy.call("getblockstats", height, ["subsidy"]) for height in range(1, proxy.getblockcount() + 1)]
    assert Decimal(str(info["total_amount"])) * COIN == sum(figures["subsidy"] for figures in stats)
    found = proxy.call("scantxoutset", "start", [f"wpkh({KEY})"])
    assert found["txouts"] == info["txouts"]


def test_the_digest_of_all_coins_is_that_of_the_raw_blocks(proxy: bitcoin.rpc.Proxy) -> None:
    """Computed here from nothing but raw blocks, with python-bitcoinlib's parser: Core's hash_serialized_3."""
    coins: dict[bytes, bytes] = {}
    for height in range(1, proxy.getblockcount() + 1):
        for tx in proxy.getblock(proxy.getblockhash(height)).vtx:
            for spent in () if tx.is_coinbase() else tx.vin:
                del coins[spent.prevout.serialize()]
            for vout, output in enumerate(tx.vout):
                if not output.scriptPubKey.is_unspendable():
                    outpoint = bitcoin.core.COutPoint(tx.GetTxid(), vout).serialize()
                    code = (height << 1 | tx.is_coinbase()).to_bytes(4, "little")
                    coins[outpoint] = outpoint + code + output.serialize()
    # Core walks its database by txid, and by index within it.
    ordered = sorted(coins, key=lambda outpoint: (outpoint[:32], int.from_bytes(outpoint[32:], "little")))
    digest = hashlib.sha256(hashlib.sha256(b"".join(coins[outpoint] for outpoint in ordered)).digest()).digest()
    info = proxy.call("gettxoutsetinfo", "hash_serialized_3")
    assert info["hash_serialized_3"] == b2lx(digest)
    assert info["txouts"] == len(coins)
    assert info["bestblock"] == b2lx(proxy.getbestblockhash())


def test_errors_are_bitcoinds(proxy: bitcoin.rpc.Proxy) -> None:
    with pytest.raises(bitcoin.rpc.InvalidAddressOrKeyError):
        proxy.call("getblockheader", "00" * 32)
    with pytest.raises(bitcoin.rpc.InvalidParameterError):
        proxy.call("getblockhash", -1)
    with pytest.raises(bitcoin.rpc.JSONRPCError) as caught:
        proxy.call("importprivkey", "x")
    assert caught.value.error["code"] == -32601
    nowhere = bitcoin.core.CMutableTxIn(bitcoin.core.COutPoint(lx("ab" * 32), 0))
    output = bitcoin.core.CMutableTxOut(1_000, CBitcoinAddress(address_of(proxy)).to_scriptPubKey())
    with pytest.raises(bitcoin.rpc.VerifyError):
        proxy.sendrawtransaction(bitcoin.core.CMutableTransaction([nowhere], [output]))
