"""Pages of single blocks, transactions and scripts, and the search; a program gets the API's resource instead.

Pages and API read through the same queries, so that the two cannot disagree. Pages work without JavaScript. overview.py
has the pages of the chain as a whole.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from services.explorer.api.responses import Api
from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.address_page import ScriptPage
from services.explorer.pages.block_page import BlockPage
from services.explorer.pages.links import output_path
from services.explorer.pages.page_or_api import PageOrResource
from services.explorer.pages.search_page import SearchPage
from services.explorer.pages.transaction.tx_page import TxPage
from shared.primitives.hex import display_hash
from shared.script.script import to_rust_asm


def page_blueprint(name: str, chain: ChainQueries, api: Api) -> Blueprint:
    """Return all these pages under their paths; `api` answers there for programs."""
    block, tx, script, search = BlockPage(chain), TxPage(chain), ScriptPage(chain), SearchPage(chain)
    blueprint = Blueprint(name, __name__)
    blueprint.record(_add_to_templates)
    blueprint.add_url_rule("/search", "search", search.show)
    blueprint.add_url_rule("/address/<name>/qr.svg", "address_qr", script.address_qr)
    for path, endpoint, page, resource in (
        ("/block/<block_hash>", "block", block.show, api.view("/block/{block_hash}")),
        ("/tx/<txid>", "tx", tx.show, api.view("/tx/{txid}")),
        ("/address/<name>", "address", script.address, api.view("/address/{address}")),
        ("/scripthash/<name>", "script_hash", script.script_hash, api.view("/scripthash/{scripthash}")),
    ):
        blueprint.add_url_rule(path, endpoint, PageOrResource(page, resource))
    return blueprint


def _add_to_templates(state: Any) -> None:
    environment = state.app.jinja_env
    environment.filters["hex"] = display_hash
    environment.filters["asm"] = to_rust_asm
    environment.filters["output_path"] = lambda outpoint: output_path(*outpoint)
    environment.globals.update(active="explorer", section="", search_action="/search")
