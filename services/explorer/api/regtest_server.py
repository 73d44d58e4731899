"""The API of bitcoinjs's regtest-server, which `regtest-client` calls, under `/1`. On test chains only.

Fields, units (satoshis) and paths are that server's. Where it answers an error with nothing but a status there is a
text here, except where the client acts on it: a faucet that is short of coins says `Bad Request`, and the client then
has blocks mined and asks again. A `key` is not asked for.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from services.explorer.api.faucet_client import INSUFFICIENT, FaucetClient, FaucetRefused
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.api.responses import Route, json
from services.explorer.api.submit import submit
from services.explorer.chain.models import TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.chain.view import script_hash
from shared.crypto.address import AddressPrefix, encode_address
from shared.errors import DecodeError
from shared.primitives.hex import display_hash, parse_hex
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.web.app import text

LIMIT = 440
"""Outputs and transactions of one script, as there; more are an error."""
BEST = "best"


class RegtestServer:
    """The resources."""

    def __init__(self, chain: ChainQueries, broker: Broker, faucet: FaucetClient, prefix: AddressPrefix) -> None:
        self._chain = chain
        self._broker = broker
        self._faucet = faucet
        self._prefix = prefix

    # ── addresses, or scripts in hex ────────────────────────────────────────────────────────────────────────────

    def unspents(self, name: str) -> Response:
        """Return the unspent outputs, less those that the pool spends."""
        coins = self._chain.scripts.unspent(script_hash(self._script(name)), LIMIT)
        if coins is None:
            raise _too_many()
        return json(
            [
                _output_json(coin.outpoint.txid, coin.outpoint.vout, coin.output, block.height if block else None)
                | {"coinbase": int(coin.is_coinbase)}
                for coin, block in coins
            ]
        )

    def outputs(self, name: str) -> Response:
        """Return every output, spent or not."""
        script = self._script(name)
        return json(
            [
                _output_json(info.tx.txid, vout, output, info.block.height if info.block else None)
                | {"coinbase": int(info.tx.is_coinbase)}
                for info in self._txs(script)
                for vout, output in enumerate(info.tx.outputs)
                if output.script_pubkey == script
            ]
        )

    def raw_txs(self, name: str) -> Response:
        """Return the transactions in hex."""
        return json([info.tx.serialize().hex() for info in self._txs(self._script(name))])

    def txids(self, name: str) -> Response:
        """Return the txids."""
        return json([info.tx.txid_hex for info in self._txs(self._script(name))])

    def _txs(self, script: bytes) -> list[TxInfo]:
        found = self._chain.scripts.merged_txs([script_hash(script)], LIMIT + 1, None) or []
        if len(found) > LIMIT:
            raise _too_many()
        return found

    def _script(self, name: str) -> bytes:
        """Return the script of an address; what is hex is the script itself."""
        try:
            return parse_hex(name, "script")
        except DecodeError:
            return self._faucet.script_of(name)

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def tx(self, txid: str) -> Response:
        """Return a transaction in hex."""
        return text(self._chain.txs.record(read_hash(txid)).tx.serialize().hex())

    def tx_json(self, txid: str) -> Response:
        """Return a transaction's fields."""
        return json(_tx_json(self._chain.txs.record(read_hash(txid)).tx, self._prefix))

    def tx_block(self, txid: str) -> Response:
        """Return the hash of a transaction's block, null while it has none."""
        record = self._chain.txs.record(read_hash(txid))
        return text(display_hash(record.block.hash)) if record.block else json(None)

    def pool(self) -> Response:
        """Return every unconfirmed txid."""
        return json([display_hash(txid) for txid in self._chain.pool.txids()])

    def push(self) -> Response:
        """Take a raw transaction in hex; the answer is empty, or says why it is refused."""
        submit(self._broker, request.get_data().decode("utf-8", "replace"))
        return text("")

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def best(self) -> Response:
        """Return the tip's hash."""
        return text(display_hash(self._chain.tip().hash))

    def header(self, name: str) -> Response:
        """Return a block's header in hex."""
        return text(self._chain.blocks.get(self._block_hash(name)).entry.header.serialize().hex())

    def height(self, name: str) -> Response:
        """Return a block's height."""
        return json(self._chain.blocks.get(self._block_hash(name)).entry.height)

    def _block_hash(self, name: str) -> bytes:
        return self._chain.tip().hash if name == BEST else read_hash(name)

    # ── what a test chain alone can do ──────────────────────────────────────────────────────────────────────────

    def generate(self) -> Response:
        """Have blocks mined, one unless told otherwise, for an address or the faucet's wallet; return their hashes."""
        count = read_number(request.args.get("count", "1"))
        return json(self._faucet.mine(count, request.args.get("address")))

    def pay(self) -> Response:
        """Pay an address and return the txid."""
        return self._pay(self._faucet.script_of(_argument("address")))

    def pay_script(self) -> Response:
        """Pay a script and return the txid."""
        try:
            return self._pay(parse_hex(_argument("script"), "script"))
        except DecodeError as error:
            raise RequestError(400, str(error)) from None

    def _pay(self, script: bytes) -> Response:
        try:
            return text(self._faucet.pay(script, read_number(_argument("value"))))
        except FaucetRefused as error:
            if error.code == INSUFFICIENT:
                raise RequestError(400, "Bad Request") from None
            raise

    def routes(self) -> tuple[Route, ...]:
        """Return every resource under its path below `/1`."""
        return (
            Route("/a/<name>/unspents", self.unspents),
            Route("/a/<name>/txos", self.outputs),
            Route("/a/<name>/txs", self.raw_txs),
            Route("/a/<name>/txids", self.txids),
            Route("/t/mempool", self.pool),
            Route("/t/push", self.push, "POST"),
            Route("/t/push", self.push, "PUT"),
            Route("/t/<txid>", self.tx),
            Route("/t/<txid>/json", self.tx_json),
            Route("/t/<txid>/block", self.tx_block),
            Route("/b/best", self.best),
            Route("/b/<name>/header", self.header),
            Route("/b/<name>/height", self.height),
            Route("/r/generate", self.generate, "POST"),
            Route("/r/faucet", self.pay, "POST"),
            Route("/r/faucetScript", self.pay_script, "POST"),
        )


def _argument(name: str) -> str:
    if name not in request.args:
        raise RequestError(400, f"Missing {name}")
    return request.args[name]


def _too_many() -> RequestError:
    return RequestError(400, "Exceeded Limit")


def _output_json(txid: bytes, vout: int, output: TxOut, height: int | None) -> dict[str, Any]:
    """Return an output; without `height` while unconfirmed."""
    fields: dict[str, Any] = {"txId": display_hash(txid), "vout": vout, "value": output.value}
    return fields if height is None else fields | {"height": height}


def _tx_json(tx: Transaction, prefix: AddressPrefix) -> dict[str, Any]:
    return {
        "txId": tx.txid_hex,
        "txHex": tx.serialize().hex(),
        "vsize": tx.vsize,
        "version": tx.version,
        "locktime": tx.lock_time,
        "ins": [_input_json(txin) for txin in tx.inputs],
        "outs": [_paid_json(output, prefix) for output in tx.outputs],
    }


def _input_json(txin: TxIn) -> dict[str, Any]:
    return {
        "txId": display_hash(txin.prevout.txid),
        "vout": txin.prevout.vout,
        "script": txin.script_sig.hex(),
        "sequence": txin.sequence,
    }


def _paid_json(output: TxOut, prefix: AddressPrefix) -> dict[str, Any]:
    address = encode_address(output.script_pubkey, prefix)
    found = {"address": address} if address else {}
    return found | {"script": output.script_pubkey.hex(), "value": output.value}
