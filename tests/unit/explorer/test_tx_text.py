"""Lock times, sequences, spans of time and data in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.transaction.tx_text import (
    data_text,
    is_witness_commitment,
    lock_time_meaning,
    printable,
    sequence_meaning,
)
from shared.consensus.commitment import commitment_script
from shared.policy import signals_replacement
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn
from shared.script.script import push_data

OUTPOINT = OutPoint(b"\x01" * 32, 0)


def tx(lock_time=0, *sequences):
    return Transaction(2, tuple(TxIn(OUTPOINT, b"", sequence) for sequence in sequences), (), lock_time)


@pytest.mark.parametrize(
    ("lock_time", "sequence", "meaning"),
    [
        (0, 0, "none: valid at any time"),
        (120, 0xFFFFFFFE, "only in a block above height 120"),
        (499_999_999, 0, "only in a block above height 499\u2009999\u2009999"),
        (500_000_000, 0, "only when the median time past is later than 1985-11-05 00:53:20"),
        (120, 0xFFFFFFFF, "without effect, as all inputs are final (else only in a block above height 120)"),
    ],
)
def test_lock_times(lock_time, sequence, meaning):
    assert lock_time_meaning(tx(lock_time, sequence)) == meaning


@pytest.mark.parametrize(
    ("sequence", "version", "meaning"),
    [
        (0xFFFFFFFF, 2, "final"),
        (0xFFFFFFFE, 2, "lock time counts"),
        (0xFFFFFFFD, 2, "may be replaced"),
        (144, 2, "may be replaced, only 144 blocks after its coin's"),
        (1, 2, "may be replaced, only 1 block after its coin's"),
        (144, 1, "may be replaced"),
        (0, 2, "may be replaced"),
        (0x400000 | 10, 2, "may be replaced, only 1 hour 25 minutes after its coin's block"),
        (0x80000000 | 144, 2, "may be replaced"),
    ],
)
def test_sequences(sequence, version, meaning):
    assert sequence_meaning(sequence, version) == meaning


def test_one_input_is_enough_to_signal_replacement():
    assert signals_replacement(tx(0, 0xFFFFFFFF, 0xFFFFFFFD))
    assert not signals_replacement(tx(0, 0xFFFFFFFF, 0xFFFFFFFE))
    assert not signals_replacement(Transaction(2, (TxIn(NULL_OUTPOINT, b"\x51\x51", 0),), (), 0))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"hello", "hello"),
        ("naïve ✓".encode(), "naïve ✓"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),  # it is the template that escapes
        (b"two\nlines", "two\nlines"),
        (b"\x00\x01", ""),
        (b"\xff\xfe", ""),
        ("evil \u202etxt.exe".encode(), ""),
        (b"\x1b[31mred", ""),
    ],
)
def test_readable_data_is_text(data, text):
    assert data_text(b"\x6a" + push_data(data)) == text


def test_several_pushes_are_read_together_and_other_scripts_not_at_all():
    assert data_text(b"\x6a\x02ab\x02cd") == "ab cd"
    assert data_text(b"\x02ab") == ""
    assert data_text(b"\x6a\x4c") == ""
    assert data_text(b"\x6a") == ""


@given(st.binary(max_size=100))
def test_any_data_is_text_without_control_characters(data):
    assert all(char.isprintable() or char in "\n\t" for char in data_text(b"\x6a" + data))
    assert all(32 <= ord(char) < 127 or char == "·" for char in printable(data))


def test_a_witness_commitment_is_known():
    assert is_witness_commitment(commitment_script(bytes(32)))
    assert not is_witness_commitment(b"\x6a\x24" + bytes(36))
