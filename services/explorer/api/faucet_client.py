"""Requests test coins from the wallet service and blocks from the miners, over the bus: the explorer has no keys.

Only on test chains. `regtest_server` and `nigiri` have the resources for clients of other servers.
"""

from __future__ import annotations

from services.explorer.api.parameters import read_script_pubkey
from services.explorer.errors import NoAnswer, RequestError
from shared.bus.broker import Broker
from shared.bus.events import AddressRequested, CoinsRequested, MineRequested, WalletName
from shared.bus.mine import MAX_BLOCKS, mine_blocks
from shared.bus.wallets import offered_wallets
from shared.consensus.limits import MAX_MONEY
from shared.crypto.address import AddressPrefix
from shared.errors import RequestTimeout

_MARGIN = 10.0
"""Seconds beyond the time that mining may take: the faucet may wait for blocks before it pays."""
_BUSY = frozenset({"busy", "mining-stopped", "outcome-unknown", "temporarily-unavailable"})
"""The wallet's codes for failures that a later attempt may not have."""
INSUFFICIENT = "insufficient-funds"


class FaucetRefused(RequestError):
    """The wallet service refuses to pay or has no address; `code` is its stable code, `advice` a text for people."""

    def __init__(self, code: str, detail: str, advice: str = "") -> None:
        super().__init__(503 if code in _BUSY else 400, detail or code)
        self.code = code
        self.advice = advice


class FaucetClient:
    """The wallet's faucet as the explorer knows it."""

    def __init__(self, broker: Broker, prefix: AddressPrefix, mine_timeout: float) -> None:
        self._broker = broker
        self._prefix = prefix
        self._mine_timeout = mine_timeout
        self._timeout = mine_timeout + _MARGIN

    def script_of(self, address: str) -> bytes:
        """Return the scriptPubKey of an address; 400 if it is not one of this chain."""
        return read_script_pubkey(address, self._prefix)

    async def pay(self, script_pubkey: bytes, satoshis: int) -> str:
        """Return the txid (display order) of a payment, once it is in the pool. Raises `FaucetRefused`."""
        if not 0 < satoshis <= MAX_MONEY:
            raise RequestError(400, "the amount must be from 1 satoshi to 21,000,000 BTC")
        try:
            request = CoinsRequested(script_pubkey=script_pubkey.hex(), amount=satoshis)
            reply = await self._broker.ask(request, self._timeout)
        except RequestTimeout:
            raise NoAnswer("the coins may still come, look for them before asking again") from None
        if reply.reason:
            raise FaucetRefused(reply.reason, reply.detail, reply.advice)
        return reply.txid

    async def address(self, *, fresh: bool) -> str:
        """Return an address of the faucet's wallet. Raises `FaucetRefused`."""
        try:
            reply = await self._broker.ask(AddressRequested(fresh=fresh), self._timeout)
        except RequestTimeout:
            raise NoAnswer("the wallet service gave no address") from None
        if reply.reason:
            raise FaucetRefused(reply.reason, reply.detail)
        return reply.address

    async def wallets(self) -> tuple[WalletName, ...]:
        """Return the wallets that a form offers; none while the wallet service does not answer."""
        return await offered_wallets(self._broker)

    async def mine(self, count: int, address: str | None = None) -> list[str]:
        """Return the hashes (display order) of new blocks that pay an address, or the faucet's wallet."""
        if not 1 <= count <= MAX_BLOCKS:
            raise RequestError(400, f"count must be from 1 to {MAX_BLOCKS}")
        script = self.script_of(await self.address(fresh=False) if address is None else address)
        request = MineRequested(count=count, script_pubkey=script.hex())
        try:
            reply = await mine_blocks(self._broker, request, self._mine_timeout)
        except RequestTimeout:
            raise NoAnswer("the blocks may still be mined, look at the tip before asking again") from None
        if reply.error:
            raise RequestError(503, reply.error)
        return list(reply.hashes)
