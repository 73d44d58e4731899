"""The wallet's web application: API and pages on one port."""

from __future__ import annotations

from services.wallet.api import create_api
from services.wallet.bootstrap import password_file
from services.wallet.faucet import Faucet
from services.wallet.pages import create_pages
from services.wallet.payments.payments import Payments
from services.wallet.service import WalletService
from services.wallet.sessions import Sessions, cookie_name
from services.wallet.web import PasswordLocation, Web
from shared.config import Settings
from shared.web.app import ReadyChecks, create_app
from shared.web.async_flask import AsyncFlask
from shared.web.clients import read_networks

MAX_BODY = 64 * 1024


def create_wallet_app(
    settings: Settings,
    wallets: WalletService,
    payments: Payments,
    sessions: Sessions,
    faucet: Faucet | None,
    ready: ReadyChecks,
) -> AsyncFlask:
    """Return the application; `ready` has the checks that must pass before the service is ready."""
    app = create_app("services.wallet", settings, wallets.params.name, ready, MAX_BODY)
    password = PasswordLocation(password_file(settings, wallets.params), settings.creator_password_command)
    proxies = read_networks(settings.trusted_proxies)
    web = Web(wallets, payments, sessions, cookie_name(settings.wallet_url), faucet, password, proxies)
    app.register_blueprint(create_api(web))
    app.register_blueprint(create_pages(web, settings.explorer_url))
    return app
