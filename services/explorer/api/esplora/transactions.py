"""Esplora's resources of transactions: chain, proofs, spends, and the submission of one."""

from __future__ import annotations

from services.explorer.api.esplora.answers import EsploraMerkleProof, EsploraTransaction, OutputSpend, Status
from services.explorer.api.esplora.build import spend_of, status_of, transaction_of
from services.explorer.api.fields import Hex, OutputIndex, Txid
from services.explorer.api.operation import (
    HEX_ERRORS,
    INVALID_HEX,
    INVALID_NUMBER,
    RAW_TX,
    TX_ERRORS,
    TXID,
    Operation,
    Parameter,
    query,
)
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.api.submit import submit
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.consensus.partial_merkle import encode_proof
from shared.primitives.hex import display_hash
from shared.primitives.merkle import branch_of
from shared.primitives.transaction import MAX_VOUT, OutPoint

MAX_OUTSPEND_TXIDS = 50


class Transactions:
    """Reads transactions of the best chain and the pool; `post` and `broadcast` ask the mempool service to take one."""

    def __init__(self, chain: ChainQueries, broker: Broker) -> None:
        self._chain = chain
        self._broker = broker
        self._prefix = chain.params.address

    def tx(self, txid: str) -> EsploraTransaction:
        """Return a transaction."""
        return transaction_of(self._chain.txs.get(read_hash(txid)), self._prefix)

    def hex(self, txid: str) -> Hex:
        """Return a transaction's bytes in hex."""
        return self.raw(txid).hex()

    def raw(self, txid: str) -> bytes:
        """Return a transaction's bytes."""
        return self._chain.txs.record(read_hash(txid)).tx.serialize()

    def status(self, txid: str) -> Status:
        """Return whether a transaction is confirmed, and where."""
        record = self._chain.txs.find(read_hash(txid))
        return status_of(record.block if record else None)

    def merkle_proof(self, txid: str) -> EsploraMerkleProof:
        """Return the siblings on a transaction's way to its block's merkle root, as electrum servers do."""
        proof = self._chain.txs.proof(read_hash(txid))
        branch = [display_hash(node) for node in branch_of(proof.tree, proof.position)]
        return EsploraMerkleProof(proof.block.height, branch, proof.position)

    def merkle_block_proof(self, txid: str) -> Hex:
        """Return the merkle block that proves a transaction, in hex (BIP37, bitcoind's gettxoutproof)."""
        tx_id = read_hash(txid)
        proof = self._chain.txs.proof(tx_id)
        return encode_proof(proof.block.header, proof.tree, {tx_id}).hex()

    def outspend(self, txid: str, vout: str) -> OutputSpend:
        """Return the input that spends an output."""
        index = read_number(vout)
        if index > MAX_VOUT:
            raise RequestError(400, INVALID_NUMBER)
        return spend_of(self._chain.txs.outspend(OutPoint(read_hash(txid), index)))

    def outspends(self, txid: str) -> list[OutputSpend]:
        """Return the input that spends each output of a transaction."""
        return [spend_of(found) for found in self._chain.txs.outspends(read_hash(txid))]

    def outspends_of_several(self, txids: str = "") -> list[list[OutputSpend]]:
        """Return the inputs that spend the outputs of several transactions; an unknown transaction has none."""
        names = [name for name in txids.split(",") if name]
        if len(names) > MAX_OUTSPEND_TXIDS:
            raise RequestError(400, "Too many txids requested")
        found = self._chain.txs.outspends_of([read_hash(name) for name in names])
        return [[spend_of(spend) for spend in spends] for spends in found]

    async def post(self, body: bytes) -> Txid:
        """Take a raw transaction in hex and return its txid once it is in the pool."""
        return await submit(self._broker, body.decode("utf-8", "replace"))

    async def broadcast(self, tx: str | None = None) -> Txid:
        """Take a raw transaction of the query, from old clients, and return its txid as `post` does."""
        if tx is None:
            raise RequestError(400, "Missing tx")
        return await submit(self._broker, tx)


_GROUP = "Transactions"
_VOUT = Parameter("vout", "Index of the output", OutputIndex, sample="0")
_PROOF_ERRORS = {400: (INVALID_HEX,), 404: ("Transaction not found or is unconfirmed",)}
_SUBMIT = (
    "sendrawtransaction RPC error -22: TX decode failed. …",
    "sendrawtransaction RPC error -25: bad-txns-inputs-missingorspent",
    "sendrawtransaction RPC error -26: <reason>[, <detail>]",
    "sendrawtransaction RPC error -27: Transaction outputs already in utxo set",
)

OPERATIONS = (
    Operation("/tx/{txid}", Transactions.tx, _GROUP, "A transaction", "Transaction", (TXID,), TX_ERRORS),
    Operation("/tx/{txid}/hex", Transactions.hex, _GROUP, "Its bytes in hex", "Hex", (TXID,), TX_ERRORS),
    Operation("/tx/{txid}/raw", Transactions.raw, _GROUP, "Its bytes", "Transaction", (TXID,), TX_ERRORS),
    Operation(
        "/tx/{txid}/status",
        Transactions.status,
        _GROUP,
        "Where it is confirmed",
        "Status; an unknown transaction is unconfirmed",
        (TXID,),
        HEX_ERRORS,
    ),
    Operation(
        "/tx/{txid}/merkle-proof",
        Transactions.merkle_proof,
        _GROUP,
        "Proof that it is in its block",
        "Proof",
        (TXID,),
        _PROOF_ERRORS,
    ),
    Operation(
        "/tx/{txid}/merkleblock-proof",
        Transactions.merkle_block_proof,
        _GROUP,
        "The same as a merkle block (BIP37)",
        "Hex",
        (TXID,),
        _PROOF_ERRORS,
    ),
    Operation(
        "/tx/{txid}/outspends",
        Transactions.outspends,
        _GROUP,
        "The inputs that spend its outputs",
        "In the order of the outputs",
        (TXID,),
        TX_ERRORS,
    ),
    Operation(
        "/tx/{txid}/outspend/{vout}",
        Transactions.outspend,
        _GROUP,
        "The input that spends one of its outputs",
        "Spend; an unknown output is unspent",
        (TXID, _VOUT),
        {400: (INVALID_HEX, INVALID_NUMBER)},
    ),
    Operation(
        "/txs/outspends",
        Transactions.outspends_of_several,
        _GROUP,
        "The inputs that spend the outputs of several transactions",
        "A list for each, empty for an unknown transaction",
        (query("txids", "Up to 50 txids, with commas between", sample="txid"),),
        {400: (INVALID_HEX, "Too many txids requested")},
    ),
    Operation(
        "/tx",
        Transactions.post,
        _GROUP,
        "Submit a transaction",
        "Its txid, once it is in the pool",
        errors={400: _SUBMIT},
        method="POST",
        body=RAW_TX,
        about="A transaction that is in the pool already succeeds again. After a 503 `no verdict in time` look the "
        "transaction up before you send it again.",
    ),
    Operation(
        "/broadcast",
        Transactions.broadcast,
        _GROUP,
        "Submit a transaction, for old clients",
        "Its txid",
        (Parameter("tx", "The raw transaction in hex", str, "query", is_needed=True),),
        {400: ("Missing tx", *_SUBMIT)},
    ),
)
