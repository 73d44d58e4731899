"""RPC methods of Warren's own: when blocks are mined that nobody requests. bitcoind has none like them."""

from __future__ import annotations

from services.mempool.rpc.server.claims import order
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json
from shared.bus.events import ControlAction
from shared.bus.wallets import CREATOR, creators_address
from shared.crypto.address import decode_address, encode_address
from shared.errors import DecodeError
from shared.mining_mode import MiningKind, parse_mode


def warren_getminingmode(node: NodeContext) -> Json:
    """Return the mode and its payee."""
    setting = node.view.mining()
    script = setting.script_pubkey
    return {
        "mode": setting.mode.text,
        "address": encode_address(script, node.params.address),
        "scriptPubKey": script.hex(),
    }


async def warren_setminingmode(node: NodeContext, text: str, address: str | None) -> Json:
    """Set the mode and whom its blocks pay; return both."""
    try:
        mode = parse_mode(text)
    except DecodeError as error:
        raise RpcError(RpcCode.INVALID_PARAMETER, str(error)) from None
    script = b""
    if address:
        script = _script(node, address)
    elif mode.kind is not MiningKind.MANUAL and not node.view.mining().script_pubkey:
        script = _script(node, await _creators_address(node))
    action = ControlAction.SET_MINING
    await order(node, RpcCode.INVALID_PARAMETER, action=action, mode=mode.text, script_pubkey=script.hex())
    return warren_getminingmode(node)


def _script(node: NodeContext, address: str) -> bytes:
    try:
        return decode_address(address, node.params.address)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Error: Invalid address") from None


async def _creators_address(node: NodeContext) -> str:
    address = await creators_address(node.broker)
    if not address:
        message = f"This chain has no wallet {CREATOR} that the blocks could pay: name an address"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return address


METHODS = (
    Method(
        "warren_getminingmode",
        "Mining",
        "Returns when blocks are mined that nobody requests, and the address that they pay.",
        (),
        warren_getminingmode,
    ),
    Method(
        "warren_setminingmode",
        "Mining",
        "Sets when blocks are mined that nobody requests. Kept until it is set again.\n"
        "manual: never. auto: as soon as the pool has a transaction. interval:S or interval:A-B: every S seconds, or\n"
        "after A to B seconds; with ,skip-empty behind it no empty block. continuous: one after another.",
        (
            Arg("mode", Kind.STRING, "Such as auto, interval:10, interval:5-15,skip-empty"),
            Arg("address", Kind.STRING, "Whom the blocks pay", f"that of the last call, else that of {CREATOR}"),
        ),
        warren_setminingmode,
    ),
)
