import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.coin import Coin
from shared.primitives.serialize import Reader
from shared.primitives.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, OutPoint, Transaction, TxIn, TxOut
from tests.unit.primitives.strategies import inputs, outpoints, outputs, transactions

# The first payment of Bitcoin, from Satoshi to Hal Finney in block 170.
FIRST_PAYMENT = (
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402"
    "204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4"
    "acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b"
    "13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1ba"
    "ded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482e"
    "cad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
)
# The signed P2WPKH example of BIP143.
SEGWIT_PAYMENT = (
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830"
    "450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f928"
    "1a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e81"
    "5b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f6"
    "6f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988"
    "ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c"
    "4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7aca"
    "fcdb3566bb0ad253f62fc70f07aeee635711000000"
)


def test_the_first_payment_of_bitcoin_parses():
    tx = Transaction.parse(bytes.fromhex(FIRST_PAYMENT))
    assert tx.txid_hex == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    assert tx.wtxid == tx.txid
    assert [tx_out.value for tx_out in tx.outputs] == [1_000_000_000, 4_000_000_000]
    assert (tx.version, tx.lock_time, tx.inputs[0].sequence) == (1, 0, SEQUENCE_FINAL)
    assert (tx.size, tx.base_size, tx.weight, tx.vsize) == (275, 275, 1100, 275)
    assert not tx.has_witness
    assert not tx.is_coinbase


def test_the_segwit_example_of_bip143_parses():
    raw = bytes.fromhex(SEGWIT_PAYMENT)
    tx = Transaction.parse(raw)
    assert tx.txid_hex == "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609"
    assert tx.has_witness
    assert tx.inputs[0].witness == ()
    assert [len(item) for item in tx.inputs[1].witness] == [71, 33]
    assert tx.wtxid == sha256d(raw)
    stripped = tx.serialize(include_witness=False)
    assert tx.txid == sha256d(stripped)
    assert tx.weight == 3 * len(stripped) + len(raw)
    assert tx.vsize == -(-tx.weight // 4)
    assert Transaction.parse(stripped).txid == tx.txid


@given(transactions)
def test_transactions_round_trip(tx):
    raw = tx.serialize()
    parsed = Transaction.parse(raw)
    assert parsed == tx
    assert hash(parsed) == hash(tx)
    for name in ("version", "inputs", "outputs", "lock_time"):
        assert getattr(parsed, name) == getattr(tx, name)
    for name in ("txid", "wtxid", "size", "base_size", "weight", "vsize", "has_witness"):
        assert getattr(parsed, name) == getattr(tx, name)
    assert parsed.serialize() == raw
    assert parsed.serialize(include_witness=False) == tx.serialize(include_witness=False)


@given(transactions, st.data())
def test_a_truncated_transaction_is_refused(tx, data):
    raw = tx.serialize()
    size = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DecodeError):
        Transaction.parse(raw[:size])


@given(transactions, st.binary(min_size=1, max_size=10))
def test_trailing_bytes_are_refused(tx, rest):
    with pytest.raises(DecodeError, match="too many"):
        Transaction.parse(tx.serialize() + rest)


@given(st.binary(max_size=200))
def test_random_bytes_parse_or_are_refused_and_never_crash(data):
    try:
        tx = Transaction.parse(data)
    except DecodeError:
        return
    assert tx.serialize() == data


@given(transactions)
def test_a_transaction_reads_out_of_the_middle_of_a_message(tx):
    reader = Reader(b"before" + tx.serialize() + b"after")
    reader.take(6, "prefix")
    assert Transaction.read(reader) == tx
    assert reader.take(5, "suffix") == b"after"


@given(transactions)
def test_transactions_survive_the_way_to_another_process(tx):
    assert pickle.loads(pickle.dumps(tx)) == tx


def test_the_witness_changes_only_the_wtxid():
    plain = Transaction(2, (TxIn(OutPoint(bytes(32), 0), b""),), (TxOut(1, b""),))
    signed = Transaction(2, (TxIn(OutPoint(bytes(32), 0), b"", witness=(b"x",)),), (TxOut(1, b""),))
    assert signed.txid == plain.txid
    assert signed.wtxid != plain.wtxid
    assert signed != plain


def _with_witness_section(flag, witness):
    body = bytes(36) + b"\x00" + b"\xff" * 4
    return b"\x01\x00\x00\x00\x00" + flag + b"\x01" + body + b"\x00" + witness + bytes(4)


def test_a_witness_section_without_any_witness_is_refused():
    with pytest.raises(DecodeError, match="superfluous"):
        Transaction.parse(_with_witness_section(b"\x01", b"\x00"))
    assert Transaction.parse(_with_witness_section(b"\x01", b"\x01\x00")).inputs[0].witness == (b"",)


@pytest.mark.parametrize("flag", [b"\x02", b"\x03", b"\x80"])
def test_unknown_optional_data_is_refused(flag):
    with pytest.raises(DecodeError, match="unknown optional data"):
        Transaction.parse(_with_witness_section(flag, b"\x01\x00"))


def test_a_transaction_without_anything_parses_as_in_core():
    tx = Transaction.parse(bytes.fromhex("01000000" + "0000" + "00000000"))
    assert (tx.inputs, tx.outputs) == ((), ())
    assert tx.serialize().hex() == "01000000" + "0000" + "00000000"


def test_a_huge_count_is_refused_at_once():
    with pytest.raises(DecodeError, match="inputs"):
        Transaction.parse(b"\x01\x00\x00\x00" + b"\xfe\xff\xff\xff\x01" + bytes(100))


@given(outpoints)
def test_outpoints_round_trip_and_show_the_display_order(outpoint):
    data = outpoint.serialize()
    assert len(data) == 36
    assert OutPoint.parse(data) == outpoint
    assert OutPoint.read(Reader(data)) == outpoint
    assert str(outpoint) == f"{outpoint.txid[::-1].hex()}:{outpoint.vout}"


@pytest.mark.parametrize("size", [0, 35, 37])
def test_an_outpoint_of_another_size_is_refused(size):
    with pytest.raises(DecodeError, match="36 bytes"):
        OutPoint.parse(bytes(size))


def test_only_the_null_outpoint_is_null():
    assert NULL_OUTPOINT.is_null
    assert not OutPoint(bytes(32), 0).is_null
    assert not OutPoint(b"\x01" + bytes(31), 0xFFFFFFFF).is_null


def test_a_coinbase_has_one_input_and_that_is_null():
    null = TxIn(NULL_OUTPOINT, b"\x51\x51")
    assert Transaction(1, (null,), ()).is_coinbase
    assert not Transaction(1, (null, null), ()).is_coinbase
    assert not Transaction(1, (TxIn(OutPoint(bytes(32), 0), b""),), ()).is_coinbase


@given(inputs, outputs)
def test_inputs_and_outputs_round_trip(tx_in, tx_out):
    bare = TxIn(tx_in.prevout, tx_in.script_sig, tx_in.sequence)
    assert TxIn.read(Reader(tx_in.serialize())) == bare
    assert TxOut.read(Reader(tx_out.serialize())) == tx_out


def test_primitives_cannot_be_changed():
    tx_out = TxOut(1, b"")
    tx = Transaction(1, (), (tx_out,))
    for thing, name in ((tx_out, "value"), (tx, "lock_time"), (Coin(tx_out, 1, False), "height")):
        with pytest.raises(AttributeError):
            setattr(thing, name, 5)
