from dataclasses import replace

import pytest

from shared.consensus.block_check import check_block
from shared.consensus.chain_file import load
from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4
from shared.crypto.address import decode_address
from shared.crypto.bech32 import encode_segwit
from shared.errors import ConfigError
from shared.primitives.block import Block


@pytest.mark.parametrize(
    ("params", "genesis", "magic", "interval"),
    [
        (MAINNET, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", "f9beb4d9", 2016),
        (TESTNET4, "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043", "1c163f28", 2016),
        (SIGNET, "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6", "0a03cf40", 2016),
        (REGTEST, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", "fabfb5da", 144),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_built_in_networks_are_cores(params, genesis, magic, interval):
    assert params.genesis.hash_hex == genesis
    assert params.magic.hex() == magic
    assert params.retarget_interval == interval
    assert load(params.name) is params
    assert not params.genesis_spendable


def test_mainnet_goes_by_both_of_its_names():
    assert load("mainnet") is load("main") is MAINNET


ACME = """
name = "acme"
base = "regtest"

[genesis]
message = "Acme's own ledger"
payee = "PAYEE"
time = 1700000000
reward = 2500000000

[pow]
spacing = 60
timespan = 3600
no_retargeting = false

[subsidy]
initial = 2500000000
halving_interval = 1000
coinbase_maturity = 10

[address]
hrp = "acme"
pubkey_hash = 23

[activation]
bip34 = 2
taproot = 5
"""


def _load(tmp_path, text):
    path = tmp_path / "chain.toml"
    path.write_text(text)
    return load(str(path))


def _payee():
    return encode_segwit("acme", 0, bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6"))


def test_a_chain_file_makes_a_chain_of_ones_own(tmp_path):
    text = ACME.replace("PAYEE", _payee())
    params = _load(tmp_path, text)
    assert params.name == "acme"
    assert (params.pow_spacing, params.pow_timespan, params.retarget_interval) == (60, 3600, 60)
    assert not params.pow_no_retargeting
    assert params.pow_allow_min_difficulty
    assert (params.subsidy, params.halving_interval, params.coinbase_maturity) == (2_500_000_000, 1000, 10)
    assert (params.address.hrp, params.address.pubkey_hash, params.address.wif) == ("acme", 23, 239)
    assert (params.bip34_height, params.taproot_height, params.csv_height) == (2, 5, 1)
    coinbase = params.genesis.transactions[0]
    assert coinbase.outputs[0].script_pubkey == decode_address(_payee(), params.address)
    assert coinbase.outputs[0].value == 2_500_000_000
    assert b"Acme's own ledger" in coinbase.inputs[0].script_sig
    assert params.genesis.header.time == 1_700_000_000
    assert params.genesis_spendable
    check_block(params.genesis, params)
    assert _load(tmp_path, text).genesis == params.genesis


def test_a_chain_file_needs_only_a_name_and_every_name_has_its_own_genesis(tmp_path):
    first = _load(tmp_path, 'name = "one"')
    second = _load(tmp_path, 'name = "two"')
    assert len({first.genesis.hash, second.genesis.hash, REGTEST.genesis.hash}) == 3
    assert len({first.magic, second.magic, REGTEST.magic}) == 3
    assert not first.genesis_spendable
    assert first.address == REGTEST.address


def test_a_chain_based_on_signet_has_no_challenge(tmp_path):
    text = 'name = "mine"\nbase = "signet"\n[pow]\nlimit = "7fffff' + "0" * 58 + '"'
    assert _load(tmp_path, text).signet_challenge == b""


def test_a_genesis_may_bring_its_own_nonce(tmp_path):
    params = _load(tmp_path, 'name = "one"')
    nonce = params.genesis.header.nonce
    assert _load(tmp_path, f'name = "one"\n[genesis]\nnonce = {nonce}').genesis == params.genesis


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "name is missing"),
        ("name = 5", "name must be a text"),
        ('name = "Acme"', "name must be a text"),
        ('name = "regtest"', "built-in"),
        ('name = "a"\nbase = "bitcoin"', "base must be one of"),
        ('name = "a"\nnonsense = 1', "unknown setting nonsense"),
        ('name = "a"\npow = 1', "pow must be a table"),
        ('name = "a"\n[pow]\nspacings = 1', "unknown setting pow.spacings"),
        ('name = "a"\n[pow]\nspacing = 0', "pow.spacing must be an integer"),
        ('name = "a"\n[pow]\nspacing = true', "pow.spacing must be an integer"),
        ('name = "a"\n[pow]\nspacing = "60"', "pow.spacing must be an integer"),
        ('name = "a"\n[pow]\nspacing = 7', "multiple of the spacing"),
        ('name = "a"\n[pow]\nlimit = "00"', "pow.limit must be"),
        ('name = "a"\n[pow]\nlimit = "' + "0" * 64 + '"', "must not be zero"),
        ('name = "a"\n[pow]\nno_retargeting = 1', "true or false"),
        ('name = "a"\n[subsidy]\ninitial = -1', "subsidy.initial"),
        ('name = "a"\n[subsidy]\ncoinbase_maturity = 0', "subsidy.coinbase_maturity"),
        ('name = "a"\n[address]\nhrp = "A1"', "address.hrp"),
        ('name = "a"\n[address]\npubkey_hash = 256', "address.pubkey_hash"),
        ('name = "a"\n[address]\npubkey_hash = 196', "must differ"),
        ('name = "a"\n[address]\nbip32_public = "04358394"', "must differ"),
        ('name = "a"\n[activation]\nsegwit = -1', "activation.segwit"),
        ('name = "a"\n[genesis]\npayee = "nonsense"', "genesis.payee is not an address"),
        ('name = "a"\n[genesis]\nscript = "0"', "genesis.script"),
        ('name = "a"\n[genesis]\nscript = "51"\npayee = "x"', "cannot both"),
        ('name = "a"\n[genesis]\nmessage = "' + "x" * 81 + '"', "at most 80 bytes"),
        ('name = "a"\n[genesis]\nbits = 0x207fffff\nnonce = 4294967295\ntime = 0', "does not meet"),
        ('name = "a"\n[genesis]\nbits = 0x2100ffff', "at most the chain's limit"),
        ('name = "a"\nmagic = "00"', "magic must be"),
        ("name = ", "chain file"),
    ],
)
def test_a_wrong_chain_file_says_what_is_wrong(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=problem):
        _load(tmp_path, text)


def test_a_genesis_without_nonce_that_is_too_hard_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.consensus.chain_file._GENESIS_TRIES", 10)
    with pytest.raises(ConfigError, match=r"genesis\.nonce is missing"):
        _load(tmp_path, 'name = "hard"\nbase = "main"')


def test_a_chain_that_is_nowhere_says_what_there_is():
    with pytest.raises(ConfigError, match=r"neither a known network .*regtest.* nor a file"):
        load("nonsense")


@pytest.mark.parametrize(("bits", "cheap"), [(0x1F010000, True), (0x1F00FFFF, False), (0x207FFFFF, True)])
def test_blocks_are_cheap_up_to_65536_hashes(bits, cheap):
    header = replace(REGTEST.genesis.header, bits=bits)
    chain = replace(REGTEST, genesis=Block(header, REGTEST.genesis.transactions))
    assert chain.has_cheap_blocks is cheap


def test_only_chains_with_cheap_blocks_and_a_test_networks_addresses_have_a_faucet_to_show():
    shown = [chain.is_test_chain and chain.has_cheap_blocks for chain in (MAINNET, TESTNET4, SIGNET, REGTEST)]
    assert shown == [False, False, False, True]
