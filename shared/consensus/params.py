"""`ChainParams`: the rules and constants of a chain, with instances for Bitcoin's networks.

Validation takes a `ChainParams` as an argument; no code reads a global one. The built-in networks are exactly
Bitcoin Core's (kernel/chainparams.cpp), genesis blocks included. `chain_file` reads the parameters of any other chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.consensus.limits import COIN
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, TESTNET_PREFIX, AddressPrefix
from shared.crypto.hashes import sha256d
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import parse_display_hash
from shared.primitives.serialize import pack_var_bytes
from shared.primitives.target import bits_to_target
from shared.primitives.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut
from shared.script.flags import Flags
from shared.script.opcodes import OP_CHECKSIG
from shared.script.script import encode_number, push_data

_TWO_WEEKS = 14 * 24 * 60 * 60
_CHEAP_TARGET = 1 << 240
"""At this target a block takes 65,536 hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainParams:
    """The parameters in which chains differ. Times are in seconds, amounts in satoshis."""

    name: str
    genesis: Block
    magic: bytes
    pow_limit: int
    pow_spacing: int = 600
    pow_timespan: int = _TWO_WEEKS
    pow_no_retargeting: bool = False
    pow_allow_min_difficulty: bool = False
    enforce_bip94: bool = False
    subsidy: int = 50 * COIN
    halving_interval: int = 210_000
    coinbase_maturity: int = 100
    address: AddressPrefix
    bip34_height: int = 1
    bip65_height: int = 1
    bip66_height: int = 1
    csv_height: int = 1
    segwit_height: int = 1
    taproot_height: int = 0  # Core applies taproot's rules from the start
    genesis_spendable: bool = False
    signet_challenge: bytes = b""
    script_flag_exceptions: tuple[tuple[bytes, Flags], ...] = ()
    """Pairs of a block's hash and the script rules for it, where the rules that hold from the start would fail it."""
    bip30_exceptions: frozenset[bytes] = frozenset()
    """Hashes of blocks whose coinbase has the txid of an older coinbase and overwrites its outputs."""

    @property
    def is_test_chain(self) -> bool:
        """Whether its coins are play money: it has the address prefix of a Bitcoin test network."""
        return self.address.hrp in (TESTNET_PREFIX.hrp, REGTEST_PREFIX.hrp)

    @property
    def has_cheap_blocks(self) -> bool:
        """Whether a miner finds a block at once, so that users can ask for blocks."""
        return bits_to_target(self.genesis.header.bits) >= _CHEAP_TARGET

    @property
    def retarget_interval(self) -> int:
        """Number of blocks from one difficulty adjustment to the next."""
        return self.pow_timespan // self.pow_spacing


def genesis_block(
    *,
    message: bytes,
    script_pubkey: bytes,
    time: int,
    nonce: int,
    bits: int,
    reward: int = 50 * COIN,
    version: int = 1,
) -> Block:
    """Return the block at height 0; its coinbase has `message` and pays `reward` satoshis (CreateGenesisBlock)."""
    script_sig = push_data(encode_number(0x1D00FFFF)) + push_data(encode_number(4)) + push_data(message)
    coinbase = Transaction(1, (TxIn(NULL_OUTPOINT, script_sig),), (TxOut(reward, script_pubkey),))
    header = BlockHeader(version, bytes(32), coinbase.txid, time, bits, nonce)
    return Block(header, (coinbase,))


_SATOSHI_MESSAGE = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"
_SATOSHI_KEY = bytes.fromhex(
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)
SATOSHI_SCRIPT = push_data(_SATOSHI_KEY) + bytes([OP_CHECKSIG])

MAINNET = ChainParams(
    name="main",
    genesis=genesis_block(
        message=_SATOSHI_MESSAGE,
        script_pubkey=SATOSHI_SCRIPT,
        time=1231006505,
        nonce=2083236893,
        bits=0x1D00FFFF,
    ),
    magic=bytes.fromhex("f9beb4d9"),
    pow_limit=(1 << 224) - 1,
    address=MAINNET_PREFIX,
    bip34_height=227_931,
    bip65_height=388_381,
    bip66_height=363_725,
    csv_height=419_328,
    segwit_height=481_824,
    script_flag_exceptions=(
        # Spends an output with the pattern of P2SH, without its redeem script: BIP16 was not enforced yet.
        (parse_display_hash("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"), Flags.NONE),
        # Spends a witness program of version 1 without a signature, as anyone could before taproot.
        (
            parse_display_hash("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
            Flags.P2SH | Flags.WITNESS,
        ),
    ),
    bip30_exceptions=frozenset(
        {
            parse_display_hash("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),  # 91,842
            parse_display_hash("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),  # 91,880
        }
    ),
)

TESTNET4 = ChainParams(
    name="testnet4",
    genesis=genesis_block(
        message=b"03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e",
        script_pubkey=push_data(bytes(33)) + bytes([OP_CHECKSIG]),
        time=1714777860,
        nonce=393743547,
        bits=0x1D00FFFF,
    ),
    magic=bytes.fromhex("1c163f28"),
    pow_limit=(1 << 224) - 1,
    pow_allow_min_difficulty=True,
    enforce_bip94=True,
    address=TESTNET_PREFIX,
)

_SIGNET_CHALLENGE = bytes.fromhex(
    "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430"
    "210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
)
SIGNET = ChainParams(
    name="signet",
    genesis=genesis_block(
        message=_SATOSHI_MESSAGE,
        script_pubkey=SATOSHI_SCRIPT,
        time=1598918400,
        nonce=52613770,
        bits=0x1E0377AE,
    ),
    magic=sha256d(pack_var_bytes(_SIGNET_CHALLENGE))[:4],
    pow_limit=0x377AE << 216,
    address=TESTNET_PREFIX,
    signet_challenge=_SIGNET_CHALLENGE,
)

REGTEST = ChainParams(
    name="regtest",
    genesis=genesis_block(
        message=_SATOSHI_MESSAGE,
        script_pubkey=SATOSHI_SCRIPT,
        time=1296688602,
        nonce=2,
        bits=0x207FFFFF,
    ),
    magic=bytes.fromhex("fabfb5da"),
    pow_limit=(1 << 255) - 1,
    pow_timespan=24 * 60 * 60,
    pow_no_retargeting=True,
    pow_allow_min_difficulty=True,
    halving_interval=150,
    address=REGTEST_PREFIX,
    segwit_height=0,
)

BUILT_IN = {params.name: params for params in (MAINNET, TESTNET4, SIGNET, REGTEST)} | {"mainnet": MAINNET}
