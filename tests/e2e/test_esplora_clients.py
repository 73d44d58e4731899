"""Wallets written for Esplora work against a running stack unchanged: BDK, through its Esplora client."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.demo.client import HttpProblem
from shared.consensus.params import REGTEST
from shared.primitives.hex import display_hash, parse_display_hash
from shared.primitives.merkle import root_from_branch
from tests.e2e.conftest import COIN, Stack
from tests.oracles import oracle

bdk = oracle("bdkpython")

RECEIVED = 3 * COIN
SENT = COIN
STOP_GAP, PARALLEL = 5, 2


class BdkWallet:
    """A new BDK wallet with a key of its own, kept in memory, that knows the chain from one Esplora server."""

    def __init__(self, url: str) -> None:
        secret = bdk.DescriptorSecretKey(bdk.NetworkKind.TEST, bdk.Mnemonic(bdk.WordCount.WORDS12), None)
        external, internal = (
            bdk.Descriptor.new_bip84(secret, keychain, bdk.NetworkKind.TEST)
            for keychain in (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)
        )
        self.wallet = bdk.Wallet(external, internal, bdk.Network.REGTEST, bdk.Persister.new_in_memory())
        self.client = bdk.EsploraClient(url)

    def new_address(self) -> str:
        return str(self.wallet.reveal_next_address(bdk.KeychainKind.EXTERNAL).address)

    def full_scan(self) -> None:
        self.wallet.apply_update(self.client.full_scan(self.wallet.start_full_scan().build(), STOP_GAP, PARALLEL))

    def sync(self) -> None:
        self.wallet.apply_update(self.client.sync(self.wallet.start_sync_with_revealed_spks().build(), PARALLEL))

    def balance(self) -> tuple[int, int]:
        """Confirmed and unconfirmed satoshis."""
        balance = self.wallet.balance()
        return balance.confirmed.to_sat(), balance.trusted_pending.to_sat() + balance.untrusted_pending.to_sat()

    def build(self, address: str, amount: int, feerate: int) -> bdk.Transaction:
        """Build and sign a payment; `feerate` is in satoshis per virtual byte."""
        script = bdk.Address(address, bdk.Network.REGTEST).script_pubkey()
        builder = bdk.TxBuilder().add_recipient(script, bdk.Amount.from_sat(amount))
        psbt = builder.fee_rate(bdk.FeeRate.from_sat_per_vb(feerate)).finish(self.wallet)
        assert self.wallet.sign(psbt)
        return psbt.extract_tx()

    def pay(self, address: str, amount: int, feerate: int) -> bdk.Transaction:
        """Build, sign and broadcast a payment."""
        tx = self.build(address, amount, feerate)
        self.client.broadcast(tx)
        return tx

    def bumped(self, tx: bdk.Transaction, feerate: int) -> bdk.Transaction:
        """Build and sign a replacement of a payment; `feerate` is in satoshis per virtual byte."""
        psbt = bdk.BumpFeeTxBuilder(tx.compute_txid(), bdk.FeeRate.from_sat_per_vb(feerate)).finish(self.wallet)
        assert self.wallet.sign(psbt)
        return psbt.extract_tx()

    def txids(self) -> set[str]:
        """Of all transactions that the wallet knows and does not hold for evicted."""
        return {str(found.transaction.compute_txid()) for found in self.wallet.transactions()}


@pytest.fixture(params=["", "/api"], ids=["root", "api"])
def bob(stack: Stack, request: pytest.FixtureRequest) -> BdkWallet:
    return BdkWallet(stack.state.explorer_url.rstrip("/") + request.param)


def creators_address(stack: Stack) -> str:
    return str(stack.balance("creator")["address"])


def pay_from_creator(stack: Stack, address: str, satoshis: int) -> str:
    stack.wallet.post("/api/wallets/creator/unlock", {"password": stack.creator_password})
    amount = f"{satoshis // COIN}.{satoshis % COIN:08d}"
    return str(stack.wallet.post("/api/wallets/creator/send", {"to": address, "amount": amount})["txid"])


def test_a_bdk_wallet_receives_and_sends(stack: Stack, bob: BdkWallet) -> None:
    bob.full_scan()
    assert bob.balance() == (0, 0)

    pay_from_creator(stack, bob.new_address(), RECEIVED)
    bob.sync()
    assert bob.balance() == (0, RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (RECEIVED, 0)

    stack.wallet.post("/api/wallets", {"id": (payee := f"payee-{stack.height()}"), "password": "correct horse"})
    tx = bob.pay(stack.balance(payee)["address"], SENT, feerate=3)
    fee = bob.wallet.calculate_fee(tx).to_sat()
    assert abs(fee - 3 * tx.vsize()) <= 3  # it reckons with the longest signatures
    bob.sync()
    assert bob.balance() == (0, RECEIVED - SENT - fee)
    stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (RECEIVED - SENT - fee, 0)
    assert stack.balance(payee)["confirmed"] == SENT
    assert len(bob.wallet.transactions()) == 2


def test_a_bdk_wallet_is_funded_by_nigiris_faucet_and_pays_to_its_wallet(stack: Stack, bob: BdkWallet) -> None:
    bob.full_scan()
    height = stack.height()
    funding = stack.explorer.post("/faucet", {"address": bob.new_address()})["txId"]
    more = stack.explorer.post("/faucet", {"address": bob.new_address(), "amount": 0.5})["txId"]
    bob.sync()
    assert bob.balance() == (COIN + COIN // 2, 0)
    assert stack.height() == height + 2
    assert {str(tx.transaction.compute_txid()) for tx in bob.wallet.transactions()} == {funding, more}

    address = stack.explorer.get("/getnewaddress")["address"]
    assert stack.explorer.get("/getnewaddress")["address"] != address
    tx = bob.pay(address, SENT, feerate=2)
    assert stack.explorer.get(f"/api/tx/{tx.compute_txid()}/status") == {"confirmed": False}  # nothing mines by itself
    stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (COIN // 2 - bob.wallet.calculate_fee(tx).to_sat(), 0)
    assert stack.explorer.get(f"/api/address/{address}")["chain_stats"]["funded_txo_sum"] == SENT


def test_another_wallet_with_the_same_keys_finds_everything(stack: Stack, bob: BdkWallet) -> None:
    addresses = [bob.new_address() for _ in range(4)]
    for address in addresses[::3]:
        pay_from_creator(stack, address, RECEIVED)
    stack.mine(creators_address(stack))
    bob.full_scan()
    assert bob.balance() == (2 * RECEIVED, 0)


def test_a_bdk_wallet_follows_a_reorganisation(stack: Stack, bob: BdkWallet) -> None:
    pay_from_creator(stack, bob.new_address(), RECEIVED)
    (block_hash,) = stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (RECEIVED, 0)
    stack.rpc("invalidateblock", block_hash)
    for _ in range(2):  # without the payment, which is back in the pool
        stack.rpc("generateblock", creators_address(stack), [])
    bob.sync()
    assert bob.balance() == (0, RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (RECEIVED, 0)
    assert bob.wallet.latest_checkpoint().height == stack.height()


def test_the_client_reads_blocks_transactions_and_proofs(stack: Stack, bob: BdkWallet) -> None:
    client = bob.client
    assert str(client.get_block_hash(0)) == REGTEST.genesis.hash_hex
    txid_hex = pay_from_creator(stack, bob.new_address(), RECEIVED)
    txid = bdk.Txid.from_string(txid_hex)
    assert client.get_tx_status(txid).confirmed is False
    assert client.get_merkle_proof(txid) is None
    (block_hash,) = stack.mine(creators_address(stack))
    assert (client.get_height(), str(client.get_tip_hash())) == (stack.height(), block_hash)
    status = client.get_tx_status(txid)
    assert (status.confirmed, status.block_height, str(status.block_hash)) == (True, stack.height(), block_hash)
    proof = client.get_merkle_proof(txid)
    assert proof is not None
    branch = [parse_display_hash(str(node)) for node in proof.merkle]
    root = root_from_branch(parse_display_hash(txid_hex), branch, proof.pos)
    assert display_hash(root) == stack.explorer.get(f"/api/block/{block_hash}")["merkle_root"]
    assert str(client.get_txid_at_block_index(bdk.BlockHash.from_string(block_hash), proof.pos)) == txid_hex
    found = client.get_tx(txid)
    assert found is not None
    assert str(found.compute_txid()) == txid_hex
    assert client.get_tx(bdk.Txid.from_string("ab" * 32)) is None
    assert client.get_fee_estimates()[1] >= 0.1


def test_a_refused_broadcast_is_an_error_of_the_client(stack: Stack, bob: BdkWallet) -> None:
    pay_from_creator(stack, bob.new_address(), RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    with pytest.raises(bdk.EsploraError, match="min relay fee not met"):
        bob.pay(creators_address(stack), SENT, feerate=0)


def test_a_bdk_wallet_bumps_the_fee_of_a_payment(stack: Stack, bob: BdkWallet) -> None:
    funding = pay_from_creator(stack, bob.new_address(), RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    stack.wallet.post("/api/wallets", {"id": (payee := f"bumped-{stack.height()}"), "password": "correct horse"})
    old = bob.pay(stack.balance(payee)["address"], SENT, feerate=2)
    bob.sync()
    new = bob.bumped(old, feerate=5)
    bob.client.broadcast(new)
    old_txid, new_txid = str(old.compute_txid()), str(new.compute_txid())

    assert bob.client.get_tx(old.compute_txid()) is None
    with pytest.raises(HttpProblem) as caught:
        stack.explorer.get(f"/api/tx/{old_txid}")
    assert caught.value.status == 404
    history = stack.explorer.get(f"/api/v1/tx/{old_txid}/rbf")
    assert (history["replacements"]["tx"]["txid"], history["replaces"]) == (new_txid, None)
    assert [tree["tx"]["txid"] for tree in history["replacements"]["replaces"]] == [old_txid]
    assert stack.explorer.get("/api/v1/replacements")[0] == history["replacements"]
    bob.sync()
    assert bob.txids() == {funding, new_txid}
    fee = bob.wallet.calculate_fee(new).to_sat()
    assert bob.balance() == (0, RECEIVED - SENT - fee)
    assert stack.balance(payee)["unconfirmed"] == SENT

    stack.mine(creators_address(stack))
    bob.sync()
    assert bob.balance() == (RECEIVED - SENT - fee, 0)
    assert bob.txids() == {funding, new_txid}
    assert stack.balance(payee)["confirmed"] == SENT
    assert stack.explorer.get(f"/api/v1/tx/{new_txid}/rbf")["replacements"]["mined"] is True


def test_a_bump_that_pays_too_little_is_refused_with_bitcoinds_text(stack: Stack, bob: BdkWallet) -> None:
    pay_from_creator(stack, bob.new_address(), RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    cheap = bob.build(creators_address(stack), SENT, feerate=2)
    dear = bob.build(creators_address(stack), SENT, feerate=3)
    bob.client.broadcast(dear)
    fees = [f"{bob.wallet.calculate_fee(tx).to_sat() / COIN:.8f}".rstrip("0") for tx in (cheap, dear)]
    text = (
        f"sendrawtransaction RPC error -26: insufficient fee, rejecting replacement {cheap.compute_txid()}, "
        f"less fees than conflicting txs; {fees[0]} < {fees[1]}"
    )
    with pytest.raises(bdk.EsploraError, match=re.escape(text)):
        bob.client.broadcast(cheap)
    assert bob.client.get_tx(dear.compute_txid()) is not None
    stack.mine(creators_address(stack))


def test_a_transaction_is_tried_submitted_as_a_package_and_waited_for(stack: Stack, bob: BdkWallet) -> None:
    pay_from_creator(stack, bob.new_address(), RECEIVED)
    stack.mine(creators_address(stack))
    bob.sync()
    tx = bob.build(creators_address(stack), SENT, feerate=2)
    raw, txid = [bytes(tx.serialize()).hex()], str(tx.compute_txid())
    (tried,) = stack.explorer.post("/api/txs/test", raw)
    assert (tried["txid"], tried["allowed"]) == (txid, True)
    assert txid not in stack.explorer.get("/api/mempool/txids")
    submitted = stack.explorer.post("/api/txs/package", raw)
    assert submitted["package_msg"] == "success"
    (result,) = submitted["tx-results"].values()
    assert result == {"txid": txid, "vsize": tried["vsize"], "fees": tried["fees"]}
    assert stack.explorer.get(f"/api/wait?txid={txid}")["confirmations"] == 0
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(stack.explorer.get, f"/api/wait?txid={txid}&confirmations=2&timeout=50")
        stack.mine(creators_address(stack), 2)
        assert held.result(timeout=60)["confirmations"] == 2
