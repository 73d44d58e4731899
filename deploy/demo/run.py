"""`./warren demo`: pays, mines and checks balances on a running stack, through its public interfaces only.

The creator pays 50 BTC to `demo`, a wallet of the demo's own, a block is mined, and wallet, explorer and node must
agree on the result. The first check that fails ends the demo with a message. The first demo makes the wallet and gives
it the creator's password, so that the creator keeps control of the coins; later demos pay the same wallet again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from deploy.demo.client import HttpProblem, JsonClient
from deploy.demo.target import StackTarget, find_target
from deploy.errors import LaunchError
from shared.consensus.limits import COIN

AMOUNT = Decimal(50)
PAYEES = ("demo", *(f"demo-{number}" for number in range(2, 100)))
"""Names of the demo's wallet: it uses the first that is free or that is its own already."""


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run the demo on the stack that the options name; `LaunchError` names the check that failed."""
    target = find_target(options)
    try:
        rows = walk(target, say)
    except HttpProblem as problem:
        raise LaunchError(f"the demo failed: {problem}") from None
    except (LookupError, TypeError, ValueError) as error:
        raise LaunchError(
            f"the demo failed: an answer does not have the form that it should have ({error!r})"
        ) from None
    say("")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"  {name:<{width}}  {value}")
    say("")
    say("all checks passed")
    return 0


def walk(target: StackTarget, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Pay, mine and check; return the summary as names and values. `LaunchError` or `HttpProblem` if a check fails."""
    wallet, explorer = JsonClient(target.wallet_url), JsonClient(target.explorer_url)
    node = JsonClient(target.rpc_url)
    amount = int(AMOUNT * COIN)
    creator = _get_wallet(wallet, "creator")
    say(f"creator: {_btc(creator['balance'])}")
    payee = _payee(target, say)
    name, address = payee["id"], payee["address"]
    received_before = _received(explorer, address)

    wallet.post("/api/wallets/creator/unlock", {"password": target.creator_password})
    sent = wallet.post("/api/wallets/creator/send", {"to": address, "amount": str(AMOUNT)})
    txid, fee = str(sent["txid"]), int(sent["fee"])
    say(f"sent {AMOUNT} BTC to {name}: transaction {txid}, fee {fee} sat")

    unconfirmed = explorer.get(f"/api/tx/{txid}")
    _expect("the explorer shows the transaction as unconfirmed", unconfirmed["status"]["confirmed"], False)
    _expect("the fee that the explorer shows", unconfirmed["fee"], fee)
    pending = _get_wallet(wallet, name)
    _expect(f"{name}'s unconfirmed balance in satoshis", pending["unconfirmed"], payee["unconfirmed"] + amount)

    height_before = _height(explorer)
    mined = node.post(f"/mine?blocks=1&address={creator['address']}", None)
    _expect("the answer to /mine", mined["message"], "success")
    block_hash = str(mined["blocks"][0])
    height = _height(explorer)
    _expect("the height after one block", height, height_before + 1)
    say(f"mined block {height}: {block_hash}")

    _expect("the explorer's height of the block", explorer.get(f"/api/block/{block_hash}")["height"], height)
    confirmed = explorer.get(f"/api/tx/{txid}")["status"]
    _expect("the block of the transaction", confirmed["block_hash"], block_hash)
    paid = _get_wallet(wallet, name)
    _expect(f"{name}'s balance in satoshis", _owned(paid), _owned(payee) + amount)
    received = _received(explorer, address) - received_before
    _expect("what the address received on the explorer, in satoshis", received, amount)
    reward = _coinbase_value(explorer, block_hash)
    after = _get_wallet(wallet, "creator")
    _expect("what the creator owns, in satoshis", _owned(after), _owned(creator) - amount - fee + reward)
    return [
        ("paid", f"{AMOUNT} BTC from creator to {name}"),
        ("transaction", txid),
        ("fee", f"{fee} sat"),
        ("block", f"{height}  {block_hash}"),
        (f"{name} has", _btc(paid["balance"])),
        ("creator has", f"{_btc(after['balance'])}, of which {_btc(after['immature'])} is not mature yet"),
        ("on the explorer", f"{target.explorer_url}/tx/{txid}"),
        ("in the wallet", f"{target.wallet_url}/{name}"),
        (f"{name}'s password", f"creator's, which is in {target.password_place}"),
    ]


def _get_wallet(wallet: JsonClient, wallet_id: str) -> dict[str, Any]:
    found = wallet.get(f"/api/wallets/{wallet_id}")
    if not isinstance(found, dict):
        raise LaunchError(f"the demo failed: {wallet.base_url} does not answer as a wallet service")
    return found


def _payee(target: StackTarget, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the demo's wallet, made if need be: the first of `PAYEES` that the creator's password opens."""
    credentials = {"password": target.creator_password}
    for name in PAYEES:
        client = JsonClient(target.wallet_url)  # a session that ends here
        try:
            created = client.post("/api/wallets", {"id": name, **credentials})
            say(f"created wallet {name}: {created['address']}")
            return _get_wallet(client, name)
        except HttpProblem as problem:
            if problem.status != HTTPStatus.CONFLICT:
                raise
        try:
            client.post(f"/api/wallets/{name}/unlock", credentials)
            return _get_wallet(client, name)
        except HttpProblem as problem:
            if problem.status != HTTPStatus.FORBIDDEN:
                raise
    raise LaunchError(f"the demo failed: all wallets from {PAYEES[0]} to {PAYEES[-1]} are somebody else's")


def _received(explorer: JsonClient, address: str) -> int:
    """Return the satoshis that an address has received according to the explorer, unconfirmed ones included."""
    found = explorer.get(f"/api/address/{address}")
    return int(found["chain_stats"]["funded_txo_sum"]) + int(found["mempool_stats"]["funded_txo_sum"])


def _height(explorer: JsonClient) -> int:
    return int(explorer.get("/api/blocks/tip/height"))


def _coinbase_value(explorer: JsonClient, block_hash: str) -> int:
    """Return the satoshis that a block's coinbase pays."""
    coinbase = explorer.get(f"/api/tx/{explorer.get(f'/api/block/{block_hash}/txid/0')}")
    return sum(int(output["value"]) for output in coinbase["vout"])


def _owned(wallet: dict[str, Any]) -> int:
    """Return the satoshis that a wallet owns, unconfirmed ones included."""
    return int(wallet["balance"]) + int(wallet["unconfirmed"])


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise LaunchError(f"the demo failed: {what} should be {expected}, and is {found}")


def _btc(satoshis: int) -> str:
    return f"{Decimal(satoshis) / COIN:,.8f} BTC"
