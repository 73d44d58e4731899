"""Random but well-formed primitives."""

from hypothesis import strategies as st

from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut

hashes = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, (1 << 32) - 1)
outpoints = st.builds(OutPoint, hashes, u32)
scripts = st.binary(max_size=300)
witnesses = st.lists(st.binary(max_size=300), max_size=4).map(tuple)
inputs = st.builds(TxIn, outpoints, scripts, u32, witnesses)
outputs = st.builds(TxOut, st.integers(-(1 << 63), (1 << 63) - 1), scripts)
transactions = st.builds(
    Transaction,
    u32,
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, max_size=4).map(tuple),
    u32,
)
