"""`./warren genesis`: the settings that it writes, the text that it leaves unchanged, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import cli
from deploy.errors import LaunchError
from deploy.setup.genesis import GenesisOrder, write_genesis
from shared.consensus.block_check import check_block
from shared.consensus.chain_file import load
from shared.consensus.params import REGTEST
from shared.crypto.address import decode_address
from shared.crypto.pem import public_key_to_pem
from shared.errors import ConfigError
from tests.builders import key, p2wpkh

OWNER = key("owner")
FILE = """# our ledger
name = "acme"

[genesis]  # of 2026
message = "Acme's own"

[pow]
spacing = 60
timespan = 3600
"""


@pytest.mark.parametrize(
    "payee", [OWNER.public_key.compressed.hex(), public_key_to_pem(OWNER.public_key)], ids=["hex", "PEM"]
)
def test_a_new_chain_file_pays_a_public_key_and_is_spendable(tmp_path: Path, payee: str) -> None:
    path = tmp_path / "acme.toml"
    chain = write_genesis(path, GenesisOrder(payee=payee, time=1_700_000_000))
    assert load(str(path)) == chain
    assert (chain.name, chain.genesis_spendable) == ("acme", True)
    (output,) = chain.genesis.transactions[0].outputs
    assert (output.script_pubkey, output.value) == (p2wpkh(OWNER), REGTEST.subsidy)
    assert chain.genesis.header.time == 1_700_000_000
    check_block(chain.genesis, chain)


def test_the_rest_of_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(FILE)
    address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    chain = write_genesis(path, GenesisOrder(payee=address, bits="1f00ffff", reward=7, time=1_700_000_000))
    nonce = chain.genesis.header.nonce
    added = f'time = 1700000000\npayee = "{address}"\nreward = 7\nbits = {0x1F00FFFF}\nnonce = {nonce}\n'
    assert path.read_text() == FILE.replace("Acme's own\"\n", f"Acme's own\"\n{added}")
    assert chain.genesis.transactions[0].outputs[0].script_pubkey == decode_address(address, REGTEST.address)
    assert chain.genesis.header.bits == 0x1F00FFFF
    assert int.from_bytes(chain.genesis.hash, "little") < 1 << 240


def test_a_mined_genesis_is_replaced_only_when_told_so(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    first = write_genesis(path, GenesisOrder(payee=OWNER.public_key.compressed.hex(), time=1_700_000_000))
    before = path.read_text()
    with pytest.raises(LaunchError, match="--again"):
        write_genesis(path, GenesisOrder())
    assert path.read_text() == before
    second = write_genesis(path, GenesisOrder(time=1_700_000_001, again=True))
    assert second.genesis.hash != first.genesis.hash
    assert second.genesis.transactions == first.genesis.transactions, "it still pays the same owner"


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("[genesis]\nnonce = 5 # mined\ntime = 3  # when\n\n# speed\n[pow]\nspacing = 60\n", ["# when", "# speed"]),
        ("genesis.nonce = 5 # mined\n[pow]\nspacing = 60 # s\n", ["# s"]),
        ("genesis = { nonce = 5, time = 3 } # of 2026\n", ["# of 2026"]),
        ("[pow]\nspacing = 60 # s\n\n  [ genesis ] # of 2026\n", ["# s", "# of 2026"]),
    ],
    ids=["table", "dotted key", "inline table", "empty table at the end"],
)
def test_the_table_is_edited_however_it_is_written(tmp_path: Path, table: str, kept: list[str]) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(f'name = "acme"\n{table}')
    chain = write_genesis(path, GenesisOrder(time=1_700_000_000, again=True))
    assert load(str(path)) == chain
    assert chain.genesis.header.time == 1_700_000_000
    text = path.read_text()
    assert [comment for comment in kept if comment not in text] == []
    assert text.count("nonce") == 1


def test_a_payee_is_read_without_the_search_for_the_nonce_of_a_hard_block(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text('name = "acme"\n[genesis]\nbits = 0x1d00ffff\n')
    chain = write_genesis(path, GenesisOrder(payee=OWNER.public_key.compressed.hex(), bits="207fffff"))
    assert chain.genesis.transactions[0].outputs[0].script_pubkey == p2wpkh(OWNER)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("genesis = 5", "genesis must be a table"),
        ("name =", "not TOML"),
        ("genesis.bits = 0x207fffff\ngenesis.reward = 7", "cannot be edited"),
    ],
)
def test_a_file_that_is_no_chain_file_is_refused_and_stays(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(f'name = "acme"\n{text}\n')
    with pytest.raises((LaunchError, ConfigError), match=problem):
        write_genesis(path, GenesisOrder())
    assert path.read_text() == f'name = "acme"\n{text}\n'


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        (GenesisOrder(payee="1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), "--payee"),
        (GenesisOrder(payee="nobody"), "--payee"),
        (GenesisOrder(bits="zz"), "--bits"),
        (GenesisOrder(bits="217fffff"), "genesis.bits"),
        (GenesisOrder(reward=-1), "genesis.reward"),
        (GenesisOrder(name="other"), "--name"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, order: GenesisOrder, problem: str) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(FILE)
    with pytest.raises((LaunchError, ConfigError), match=problem):
        write_genesis(path, order)
    assert path.read_text() == FILE


def test_a_built_in_networks_genesis_is_not_for_mining(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="built-in"):
        write_genesis(tmp_path / "regtest.toml", GenesisOrder())


def test_the_command_says_what_it_mined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "acme.toml"
    assert cli.main(["genesis", "--chain", str(path)], {}) == 0
    assert load(str(path)).genesis.hash_hex in capsys.readouterr().out
    assert cli.main(["genesis", "--chain", str(path)], {}) == 1
    assert "--again" in capsys.readouterr().err
