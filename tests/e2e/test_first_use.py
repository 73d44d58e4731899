"""A stranger's first use: README, walkthrough and the steps on the explorer's home, done as they are written.

On a new stack with scripts, and without scripts on one where `./warren demo` was run before.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from deploy.launcher.plan import ROOT
from tests.e2e.conftest import COIN, Stack, StartStack
from tests.e2e.steps import Walker, actions_of, steps_of, steps_on

README = (ROOT / "README.md").read_text(encoding="utf-8")
WALKTHROUGH = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=["new", "after a demo"])
def stack(
    request: pytest.FixtureRequest, start_stack: StartStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    data_dir = tmp_path_factory.mktemp("first use") / "data"
    with start_stack(data_dir) as state:
        if request.param == "after a demo":
            command = [sys.executable, "-m", "deploy.cli", "demo", "--data-dir", str(data_dir)]
            assert (
                "all checks passed"
                in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            )
        yield Stack(state)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Page]:
    """A browser that is new here too; without scripts where there was a demo."""
    script = "after a demo" not in request.node.name
    context = browser.new_context(java_script_enabled=script, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def urls(stack: Stack) -> dict[str, str]:
    state = stack.state
    return {
        "http://127.0.0.1:8080": state.wallet_url,
        "http://127.0.0.1:3000": state.explorer_url,
        "http://127.0.0.1:18443": state.rpc_url,
    }


def here(stack: Stack, text: str) -> str:
    """Return a text with the addresses of this stack."""
    for base, url in urls(stack).items():
        text = text.replace(base, url)
    return text


def test_the_readmes_steps_end_in_a_confirmed_payment(stack: Stack, page: Page) -> None:
    creator = stack.balance("creator")["balance"]
    walker = Walker(page, urls(stack))
    walker.walk(steps_of(README, "Run it"))
    assert walker.done[-1] == "the page says “Confirmed”"
    wallet = stack.balance("wallet_1")
    assert wallet["confirmed"] - wallet["immature"] == wallet["spendable"] < 9 * COIN
    assert stack.balance("creator")["balance"] > creator - 9 * COIN


def test_every_address_that_the_readme_names_answers(stack: Stack, page: Page) -> None:
    found = re.findall(r"<(http://127[^>]+)>", README)
    assert len(found) >= 4
    for address in found:
        answer = page.goto(here(stack, address))
        assert answer is not None
        assert answer.ok, address


def test_the_walk_by_hand_goes_as_it_is_written(stack: Stack, page: Page) -> None:
    Walker(page, urls(stack)).walk(steps_of(WALKTHROUGH, "In a browser"))
    assert stack.balance("bob")["confirmed"] == (250 + 5000 + 5000) * COIN // 100


def test_the_steps_that_the_explorer_shows_end_in_a_confirmed_payment(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.state.explorer_url}/mempool")
    steps = steps_on(page)
    assert len(steps) == 3
    page.goto(stack.state.explorer_url)
    assert steps_on(page) == steps
    walker = Walker(page, urls(stack), "stranger")
    walker.walk(steps)
    assert walker.done[-1] == "the page says “Confirmed”"
    assert COIN < stack.balance("stranger")["spendable"] < 9 * COIN


def test_the_explorers_faucet_gives_a_new_wallet_test_coins(stack: Stack, page: Page) -> None:
    stack.wallet.post("/api/wallets", {"id": "thirsty", "password": "correct horse"})
    page.goto(f"{stack.state.explorer_url}/faucet")
    page.get_by_label("Pay to").select_option("thirsty")
    page.get_by_label("Amount").fill("3")
    page.get_by_role("button", name="Get test coins").click()
    page.get_by_text("can be spent now").wait_for()
    assert stack.balance("thirsty")["spendable"] == 3 * COIN


def scripts_of(text: str) -> list[str]:
    """Return the walkthrough's commands from curl on, without bitcoin-cli's and without the chain of one's own."""
    blocks = re.findall(r"```sh\n(.*?)```", text.split("\n## With curl\n")[1], re.DOTALL)
    return [block for block in blocks if "bitcoin-cli" not in block and "./warren" not in block]


def test_the_walkthroughs_commands_answer_what_it_says(stack: Stack) -> None:
    parts = scripts_of(WALKTHROUGH)
    assert len(parts) == 4
    script = "\necho; echo ----\n".join(here(stack, part) for part in parts)
    directory = Path(stack.state.cookie_file).parents[2]
    answer = subprocess.run(
        ["bash", "-euc", script], cwd=directory, check=True, capture_output=True, text=True, timeout=120
    )
    walk, refusals, rpc, shims = answer.stdout.split("----\n")
    assert '"message":"success"' in walk
    balance = {name: int(sats) for name, sats in re.findall(r'"(confirmed|immature)":(\d+)', walk)}
    assert balance["confirmed"] - balance["immature"] == 50 * COIN
    assert int(walk.strip().split("}")[-1]) == stack.height() - 1  # the faucet mined one more
    codes = [json.loads(line)["code"] for line in re.findall(r"\{.*?\}", refusals)]
    assert codes == ["insufficient-funds", "payee-bad-address"]
    assert json.loads(rpc)["error"] is None
    assert re.search(r'"txId":"[0-9a-f]{64}"\}[0-9a-f]{64}', shims.replace("\n", ""))


def test_where_there_is_no_faucet_the_steps_of_the_explorer_go_on_by_mining(
    start_stack: StartStack, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARREN_FAUCET", "off")
    with start_stack(tmp_path) as state:
        stack = Stack(state)
        page = browser.new_page()
        page.goto(state.explorer_url)
        steps = steps_on(page)
        assert "Mine" in steps[1]
        Walker(page, urls(stack), "stranger").walk(steps)
        assert stack.balance("stranger")["spendable"] > 0
        page.context.close()


@pytest.mark.parametrize(
    "step", ["Press the button **Send**.", "Type `1` somewhere.", "Look at <http://127.0.0.1:3000>.", "It says “yes”."]
)
def test_a_step_that_nobody_can_do_is_found_out(step: str) -> None:
    with pytest.raises(AssertionError, match="nobody can do"):
        actions_of(step)
