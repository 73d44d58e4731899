"""The template that the writer returns for `template.requested`: it makes a valid block and equals the RPC's."""

from __future__ import annotations

from services.mempool.handlers import subscriptions
from services.mempool.mining.requests import Mining
from shared.bus import events
from shared.bus.events import TemplateRequested, WorkTemplate
from shared.bus.worker import Incoming
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import parse_display_hash
from shared.primitives.merkle import merkle_root
from shared.primitives.transaction import Transaction
from tests.builders import coinbase, grind, key, output_of, p2wpkh, pay
from tests.integration.mempool.conftest import Chain
from tests.unit.bus.fake_broker import FakeBroker

ALICE = key("alice")


def ask(chain: Chain, times: int = 1) -> list[WorkTemplate]:
    broker = FakeBroker()
    handler = subscriptions(chain.node, Mining(chain.node, broker, 10), broker, lambda: None)[TemplateRequested]
    return handler([Incoming(TemplateRequested(), f"m{number}", None) for number in range(times)])


def family(chain: Chain) -> list[Transaction]:
    """A child that pays for its parent, in the pool."""
    blocks = chain.mine(101)
    parent = pay(chain.reward(blocks[0]), ALICE, 10_000_000, fee=200)
    child = pay(output_of(parent, 0, ALICE), ALICE, 9_000_000, fee=50_000)
    assert all(verdict.accepted for verdict in chain.submit(parent, child))
    return [parent, child]


def test_a_template_makes_a_block_that_is_accepted(chain):
    txs = family(chain)
    [template] = ask(chain)
    assert [tx.txid for tx in template.transactions] == [tx.txid_hex for tx in txs]
    assert [tx.depends for tx in template.transactions] == [(), (1,)]
    assert template.longpollid == f"{template.previousblockhash}{chain.view.tip().seq}"
    chosen = [Transaction.parse(bytes.fromhex(tx.data)) for tx in template.transactions]
    first = coinbase(template.height, p2wpkh(ALICE), template.coinbasevalue, chosen, b"tests")
    assert first.outputs[1].script_pubkey.hex() == template.default_witness_commitment
    root, _ = merkle_root([tx.txid for tx in (first, *chosen)])
    header = BlockHeader(
        template.version,
        parse_display_hash(template.previousblockhash),
        root,
        template.curtime,
        int(template.bits, 16),
        0,
    )
    verdict = chain.accept(Block(grind(header), (first, *chosen)))
    assert verdict.accepted, verdict
    assert chain.view.tip().height == template.height


def test_all_that_ask_at_a_time_get_the_same_answer(chain):
    chain.mine()
    first, *others = ask(chain, 3)
    assert others == [first, first]
    assert first.transactions == ()


def test_an_answer_travels_as_the_json_of_getblocktemplate(chain):
    family(chain)
    [template] = ask(chain)
    body = events.encode(template)
    assert events.decode("WorkTemplate", body) == template
    assert body.startswith(b'{"capabilities":["proposal"],"version":536870912,"rules":["csv","!segwit","taproot"]')
    assert b"signet_challenge" not in body
