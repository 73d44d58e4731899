"""`./warren demo`: pays, mines and checks balances on a running stack, through nothing but its public interfaces.

The walk: the creator pays 50 BTC to `wallet_1` (or a new wallet, if that one is taken), a block is mined, and wallet,
explorer and node must tell the same story. Every step is checked; the first that is wrong ends the demo with a message.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

from deploy import control
from deploy.demo_client import Client, HttpProblem
from deploy.errors import LaunchError

COIN = 100_000_000
AMOUNT = Decimal(50)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the stack is."""

    wallet_url: str
    explorer_url: str
    rpc_url: str
    creator_password_file: Path


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run the walk on the stack that the options name; `LaunchError` says what went wrong."""
    target = find_target(options)
    try:
        rows = walk(target, say)
    except HttpProblem as problem:
        raise LaunchError(f"the demo failed: {problem}") from None
    say("")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"  {name:<{width}}  {value}")
    say("")
    say("all checks passed")
    return 0


def find_target(options: argparse.Namespace) -> Target:
    """Return the stack at the given URLs, or else the one that runs on the data directory."""
    wallet_url, explorer_url, rpc_url = options.wallet_url, options.explorer_url, options.rpc_url
    if not (wallet_url or explorer_url or rpc_url):
        state = control.find(Path(options.data_dir).absolute())
        password_file = options.creator_password_file or state.creator_password_file
        return Target(state.wallet_url, state.explorer_url, state.rpc_url, Path(password_file))
    if not (wallet_url and explorer_url and rpc_url and options.creator_password_file):
        raise LaunchError("--wallet-url, --explorer-url, --rpc-url and --creator-password-file go together")
    return Target(
        wallet_url.rstrip("/"), explorer_url.rstrip("/"), rpc_url.rstrip("/"), Path(options.creator_password_file)
    )


def walk(target: Target, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Do the walk; return the summary as names and values. `LaunchError` or `HttpProblem` if a check fails."""
    wallet, explorer = Client(target.wallet_url), Client(target.explorer_url)
    node = Client(target.rpc_url)
    password = _read_password(target.creator_password_file)

    creator = _get_wallet(wallet, "creator")
    say(f"creator: {_btc(creator['balance'])}")
    payee = _create_wallet(wallet, say)

    wallet.post("/api/wallets/creator/unlock", {"password": password})
    sent = wallet.post("/api/wallets/creator/send", {"to": payee["address"], "amount": str(AMOUNT)})
    txid, fee = str(sent["txid"]), int(sent["fee"])
    say(f"sent {AMOUNT} BTC to {payee['id']}: transaction {txid}, fee {fee} sat")

    unconfirmed = explorer.get(f"/api/tx/{txid}")
    _expect("the explorer shows the transaction as unconfirmed", unconfirmed["status"]["confirmed"], False)
    _expect("the fee that the explorer shows", unconfirmed["fee"], fee)
    pending = _get_wallet(wallet, payee["id"])
    _expect(f"{payee['id']}'s unconfirmed balance in satoshis", pending["unconfirmed"], int(AMOUNT * COIN))

    height_before = _height(explorer)
    mined = node.post(f"/mine?blocks=1&address={creator['address']}", None)
    _expect("the answer to /mine", mined["message"], "success")
    block_hash = str(mined["blocks"][0])
    height = _height(explorer)
    _expect("the height after one block", height, height_before + 1)
    say(f"mined block {height}: {block_hash}")

    confirmed = explorer.get(f"/api/tx/{txid}")["status"]
    _expect("the block of the transaction", confirmed["block_hash"], block_hash)
    paid = int(_get_wallet(wallet, payee["id"])["confirmed"])
    _expect(f"{payee['id']}'s balance in satoshis", paid, int(AMOUNT * COIN))
    stats = explorer.get(f"/api/address/{payee['address']}")["chain_stats"]
    _expect("the explorer's balance of the address", stats["funded_txo_sum"] - stats["spent_txo_sum"], paid)
    reward = _coinbase_value(explorer, block_hash)
    after = _get_wallet(wallet, "creator")
    expected = creator["balance"] + creator["immature"] - int(AMOUNT * COIN) - fee + reward
    _expect("the creator's balance, with what is not mature yet", after["balance"] + after["immature"], expected)
    return [
        ("paid", f"{AMOUNT} BTC from creator to {payee['id']}"),
        ("transaction", txid),
        ("fee", f"{fee} sat"),
        ("block", f"{height}  {block_hash}"),
        (f"{payee['id']} has", _btc(paid)),
        ("creator has", f"{_btc(after['balance'])}, and {_btc(after['immature'])} not mature yet"),
        ("on the explorer", f"{target.explorer_url}/tx/{txid}"),
    ]


def _read_password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LaunchError(f"cannot read the creator's password from {path}: {error.strerror}") from None


def _get_wallet(wallet: Client, wallet_id: str) -> dict[str, Any]:
    found = wallet.get(f"/api/wallets/{wallet_id}")
    if not isinstance(found, dict):
        raise LaunchError(f"the demo failed: {wallet.base_url} does not answer as a wallet service")
    return found


def _create_wallet(wallet: Client, say: Callable[[str], None]) -> dict[str, Any]:
    """Create the payee: `wallet_1`, or a wallet with a random name where that one exists."""
    for wallet_id in ("wallet_1", f"demo_{secrets.token_hex(4)}"):
        try:
            created = wallet.post("/api/wallets", {"id": wallet_id, "password": secrets.token_urlsafe(16)})
        except HttpProblem as problem:
            if problem.status == HTTPStatus.CONFLICT:
                continue
            raise
        say(f"created wallet {wallet_id}: {created['address']}")
        return dict(created)
    raise LaunchError("the demo failed: no wallet could be created")


def _height(explorer: Client) -> int:
    return int(explorer.get("/api/blocks/tip/height"))


def _coinbase_value(explorer: Client, block_hash: str) -> int:
    """Return what a block pays its miner, in satoshis."""
    coinbase = explorer.get(f"/api/tx/{explorer.get(f'/api/block/{block_hash}/txid/0')}")
    return sum(int(output["value"]) for output in coinbase["vout"])


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise LaunchError(f"the demo failed: {what} should be {expected}, and is {found}")


def _btc(satoshis: int) -> str:
    return f"{Decimal(satoshis) / COIN:,.8f} BTC"
