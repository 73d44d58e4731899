"""The public interfaces as clients use them: a kind of lane for each."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.state import StackState
from shared.primitives.transaction import Transaction
from tests.chaos.ledger import Claim, Ledger
from tests.chaos.load.client import Client, Reply
from tests.chaos.load.coins import Purse, address_of
from tests.chaos.load.lane import Lane, Outcome, failure

_ESPLORA_VERDICT = re.compile(r"sendrawtransaction RPC error (-\d+): (.*)", re.DOTALL)


class WalletPayments(Lane):
    """Payments of the wallet `creator` with request ids."""

    interface = "wallet pay"
    every = 0.5

    def __init__(self, ledger: Ledger, number: int, state: StackState) -> None:
        super().__init__(ledger, number)
        self._client = Client(state.wallet_url)
        self._password = Path(state.creator_password_file).read_text(encoding="utf-8").strip()

    def claim(self, claim_id: str) -> Claim:
        return Claim(time.time(), claim_id, self.interface, address=address_of(claim_id))

    def attempt(self, claim: Claim) -> Outcome:
        order = {"to": claim.address, "amount": "0.01", "request_id": claim.id}
        reply = self._client.post_json("/api/wallets/creator/send", order)
        if reply.status == 401:  # its session is over, or there was none yet
            reply = self._client.post_json("/api/wallets/creator/unlock", {"password": self._password})
            if reply.status == 200:
                reply = self._client.post_json("/api/wallets/creator/send", order)
        if reply.status == 200:
            return Outcome("200", acknowledged=True, txid=reply.json["txid"])
        if reply.json.get("code") == "insufficient-funds":  # until a block confirms the change
            return Outcome("422", words=reply.text)
        return failure(reply)


class Faucet(Lane):
    """The explorer's faucet: each payment comes in a block of its own. It takes no request ids."""

    interface = "faucet"
    every = 1.0
    is_repeatable = False

    def __init__(self, ledger: Ledger, number: int, state: StackState) -> None:
        super().__init__(ledger, number)
        self._client = Client(state.explorer_url)

    def claim(self, claim_id: str) -> Claim:
        return Claim(time.time(), claim_id, self.interface, address=address_of(claim_id))

    def attempt(self, claim: Claim) -> Outcome:
        reply = self._client.post_json("/faucet", {"address": claim.address, "amount": "0.1"})
        if reply.status == 200:
            return Outcome("200", acknowledged=True, txid=reply.json["txId"])
        return failure(reply)


class RawTransactions(Lane):
    """Transactions that the load has signed itself; tried again byte by byte the same."""

    every = 0.5

    def __init__(self, ledger: Ledger, number: int, purse: Purse) -> None:
        super().__init__(ledger, number)
        self._purse = purse
        self._txs: dict[str, Transaction] = {}

    def claim(self, claim_id: str) -> Claim:
        tx = self._txs[claim_id] = self._purse.pay(claim_id)
        return Claim(time.time(), claim_id, self.interface, address=address_of(claim_id), txid=tx.txid_hex)

    def settled(self, claim: Claim, outcome: Outcome) -> None:
        tx = self._txs.pop(claim.id)
        if outcome.acknowledged:
            self._purse.keep(tx, claim.id)

    def raw(self, claim: Claim) -> str:
        """Return a claim's transaction in hex."""
        return self._txs[claim.id].serialize().hex()

    def verdict(self, claim: Claim, status: str, code: int, words: str) -> Outcome:
        """Return the outcome of Core's error code: already there is success, a verdict on the transaction final."""
        is_there = code == -27 or "txn-already" in words
        waits_for_a_block = "too-long-mempool-chain" in words
        return Outcome(
            status,
            acknowledged=is_there,
            refused=code in (-22, -25, -26) and not is_there and not waits_for_a_block,
            txid=claim.txid if is_there else "",
            words=words,
        )


class SendRawTransaction(RawTransactions):
    """By JSON-RPC."""

    interface = "sendraw"

    def __init__(self, ledger: Ledger, number: int, purse: Purse, node: Client) -> None:
        super().__init__(ledger, number, purse)
        self._client = node

    def attempt(self, claim: Claim) -> Outcome:
        reply = call(self._client, "sendrawtransaction", self.raw(claim))
        error = reply.json.get("error")
        if reply.status == 200 and not error:
            return Outcome("200", acknowledged=True, txid=reply.json["result"])
        if isinstance(error, dict):
            return self.verdict(claim, f"{reply.status}/{error['code']}", error["code"], error["message"])
        return failure(reply)


class PostTx(RawTransactions):
    """By Esplora's `POST /tx`."""

    interface = "POST /tx"

    def __init__(self, ledger: Ledger, number: int, purse: Purse, state: StackState) -> None:
        super().__init__(ledger, number, purse)
        self._client = Client(state.explorer_url)

    def attempt(self, claim: Claim) -> Outcome:
        reply = self._client.post("/api/tx", self.raw(claim))
        if reply.status == 200:
            return Outcome("200", acknowledged=True, txid=reply.text.strip())
        if verdict := _ESPLORA_VERDICT.match(reply.text):
            return self.verdict(claim, f"{reply.status}/{verdict[1]}", int(verdict[1]), verdict[2])
        return failure(reply)


class Mining(Lane):
    """Requests for a block, to an address that is in no other request; not repeated: one more block would be mined."""

    every = 1.0
    is_repeatable = False

    def claim(self, claim_id: str) -> Claim:
        return Claim(time.time(), claim_id, self.interface, address=address_of(claim_id), blocks=1)


class GenerateToAddress(Mining):
    """By JSON-RPC."""

    interface = "generate"

    def __init__(self, ledger: Ledger, number: int, node: Client) -> None:
        super().__init__(ledger, number)
        self._client = node

    def attempt(self, claim: Claim) -> Outcome:
        reply = call(self._client, "generatetoaddress", claim.blocks, claim.address)
        error = reply.json.get("error")
        if reply.status == 200 and not error:
            return Outcome("200", acknowledged=True, blocks=tuple(reply.json["result"]))
        if isinstance(error, dict):
            return Outcome(f"{reply.status}/{error['code']}", words=error["message"])
        return failure(reply)


class MinePage(Mining):
    """By `POST /mine` of the node's port."""

    interface = "/mine"

    def __init__(self, ledger: Ledger, number: int, state: StackState) -> None:
        super().__init__(ledger, number)
        self._client = Client(state.rpc_url)

    def attempt(self, claim: Claim) -> Outcome:
        reply = self._client.post(f"/mine?blocks={claim.blocks}&address={claim.address}")
        if reply.status in (200, 503) and "blocks" in reply.json:
            blocks = tuple(reply.json["blocks"])
            return Outcome(str(reply.status), acknowledged=reply.status == 200, blocks=blocks, words=reply.text)
        return failure(reply)


class WalletMining(Mining):
    """By a wallet, which the blocks pay."""

    interface = "wallet mine"

    def __init__(self, ledger: Ledger, number: int, state: StackState) -> None:
        super().__init__(ledger, number)
        self._client = Client(state.wallet_url)
        self._id, self._password = f"chaos-miner-{number}", "correct horse"
        reply = self._client.post_json("/api/wallets", {"id": self._id, "password": self._password})
        assert reply.status == 201, reply.text
        self._address = reply.json["address"]

    def claim(self, claim_id: str) -> Claim:
        return Claim(time.time(), claim_id, self.interface, address=self._address, blocks=1)

    def attempt(self, claim: Claim) -> Outcome:
        path = f"/api/wallets/{self._id}/mine"
        reply = self._client.post_json(path, {"count": claim.blocks})
        if reply.status == 401:
            reply = self._client.post_json(f"/api/wallets/{self._id}/unlock", {"password": self._password})
            if reply.status == 200:
                reply = self._client.post_json(path, {"count": claim.blocks})
        blocks = tuple(reply.json.get("blocks", ()))
        if reply.status == 200:
            return Outcome("200", acknowledged=True, blocks=blocks)
        if reply.status == 503 and blocks:
            return Outcome("503", blocks=blocks, words=reply.text)
        return failure(reply)


class Reads(Lane):
    """Reads, which need nobody but the service that answers and the store."""

    every = 0.5
    is_repeatable = False

    def __init__(self, ledger: Ledger, number: int, interface: str, client: Client, path: str) -> None:
        self.interface = interface
        super().__init__(ledger, number)
        self._client, self._path = client, path

    def claim(self, claim_id: str) -> Claim:
        return Claim(time.time(), claim_id, self.interface)

    def attempt(self, claim: Claim) -> Outcome:
        reply = self._client.get(self._path)
        return Outcome("200", acknowledged=True) if reply.status == 200 else failure(reply)


def call(node: Client, method: str, *params: object) -> Reply:
    """Make a call of bitcoind's JSON-RPC."""
    return node.post_json("/", {"method": method, "params": params, "id": 1})


def lanes(ledger: Ledger, state: StackState, node: Client, purses: Sequence[Purse]) -> list[Lane]:
    """Return the clients of a stack: two of each interface for payments, one of each other."""
    first, second, third, fourth = purses
    wallet, explorer = Client(state.wallet_url), Client(state.explorer_url)
    return [
        WalletPayments(ledger, 1, state),
        WalletPayments(ledger, 2, state),
        SendRawTransaction(ledger, 1, first, node),
        SendRawTransaction(ledger, 2, second, node),
        PostTx(ledger, 1, third, state),
        PostTx(ledger, 2, fourth, state),
        Faucet(ledger, 1, state),
        GenerateToAddress(ledger, 1, node),
        MinePage(ledger, 1, state),
        WalletMining(ledger, 1, state),
        Reads(ledger, 1, "read wallet", wallet, "/api/wallets/creator"),
        Reads(ledger, 1, "read explorer", explorer, "/api/blocks/tip/height"),
    ]
