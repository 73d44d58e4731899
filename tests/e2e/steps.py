"""Reads the numbered steps of a document and carries them out in a browser, word for word.

Every mark in a step is done or checked: a link, a **button**, a `value`, a “quotation”. `_PHRASES` has the phrases that
tell what to do with a mark; a mark in any other phrase is an error, so that a document promises only tried steps.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Page, expect

PASSWORD = "correct horse battery"
_MARK = re.compile(r"\*\*|`|“|”|<http|\]\(")
_ASIDES = ("a `bitcoin:` link", "goes to `creator` unless")
"""Marked words that are neither done nor checked."""


def steps_of(text: str, heading: str) -> list[str]:
    """Return the numbered steps under a heading of a Markdown document."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\d+\. (.*?)(?=^\d+\. |\n\n|\Z)", section, re.DOTALL | re.MULTILINE)
    return [" ".join(step.split()) for step in found]


def steps_on(page: Page) -> list[str]:
    """Return the steps that a page shows, written as in a Markdown document."""
    marks = (
        (r"<strong>(.*?)</strong>", r"**\1**"),
        (r"<code>(.*?)</code>", r"`\1`"),
        (r"<q>(.*?)</q>", r"“\1”"),
        (r'<a href="(.*?)">(.*?)</a>', r"[\2](\1)"),
    )
    steps = []
    for item in page.locator(".steps > li").all():
        text = " ".join(item.inner_html().split())
        for pattern, mark in marks:
            text = re.sub(pattern, mark, text)
        assert "<" not in text, text
        steps.append(html.unescape(text))
    return steps


Action = Callable[..., None]


def actions_of(step: str) -> list[tuple[str, Action, tuple[str, ...]]]:
    """Return the phrases of a step, each with its action and its marks. `AssertionError` for a mark outside of them."""
    for aside in _ASIDES:
        step = step.replace(aside, "")
    phrases = re.compile("|".join(f"(?:{pattern})" for pattern, _ in _PHRASES))
    rest = phrases.sub("…", step)
    assert _MARK.search(rest) is None, f"nobody can do all of this step: {rest}"
    found = []
    for text in (match[0] for match in phrases.finditer(step)):
        words, action = next((words, action) for pattern, action in _PHRASES if (words := re.fullmatch(pattern, text)))
        found.append((text, action, words.groups()))
    return found


class Walker:
    """Carries out steps and nothing else; `urls` maps the addresses in the documents to the running services."""

    def __init__(self, page: Page, urls: Mapping[str, str], wallet_id: str = "") -> None:
        """`wallet_id` is the name to choose if the steps leave it open."""
        self._page = page
        self._urls = urls
        self._wallet_id = wallet_id
        self.done: list[str] = []

    def walk(self, steps: list[str]) -> None:
        """Do all steps."""
        assert steps
        for step in steps:
            self._step(step)

    def _step(self, step: str) -> None:
        for text, action, words in actions_of(step):
            action(self, *words)
            self.done.append(text)

    def open(self, target: str) -> None:
        for base, url in self._urls.items():
            if target.startswith(base):
                target = url + target.removeprefix(base)
                break
        self._page.goto(target)

    def open_link(self, text: str, target: str) -> None:
        self.open(target)

    def go_back(self) -> None:
        self.open(f"http://127.0.0.1:8080/{self._wallet_id}")

    def choose_name(self) -> None:
        self._page.get_by_label("Wallet id").fill(self._wallet_id)
        self.choose_password()

    def choose_password(self) -> None:
        self._page.get_by_label("Password", exact=True).fill(PASSWORD)
        self._page.get_by_label("The same again").fill(PASSWORD)

    def choose(self, value: str, label: str) -> None:
        self._page.get_by_label(label, exact=True).select_option(label=value)

    def choose_own(self, label: str) -> None:
        self.choose(self._wallet_id, label)

    def choose_other(self, label: str) -> None:
        self._page.get_by_label(label, exact=True).select_option(index=1)

    def enter(self, value: str, label: str) -> None:
        self._page.get_by_label(label, exact=True).fill(value)

    def give_password(self) -> None:
        self._page.get_by_label("Password of ").fill(PASSWORD)

    def give_named_password(self) -> None:
        file = Path(self._page.locator("#password-file").inner_text())
        self._page.get_by_label("Password of ").fill(file.read_text(encoding="utf-8").strip())

    def says(self, text: str) -> None:
        expect(self._page.locator("main")).to_contain_text(text)

    def press(self, names: str) -> None:
        """Press the buttons or links with exactly these names, one after another."""
        for name in re.findall(r"\*\*([^*]+)\*\*", names):
            button = self._page.get_by_role("button", name=name, exact=True)
            button.or_(self._page.get_by_role("link", name=name, exact=True)).click()


_PHRASES: tuple[tuple[str, Action], ...] = (
    (r"[Oo]pen <([^>]+)>", Walker.open),
    (r"[Oo]pen \[([^\]]+)\]\(([^)]+)\)", Walker.open_link),
    (r"[Gg]o back to your wallet", Walker.go_back),
    (r"choose a name and a password", Walker.choose_name),
    (r"choose a password", Walker.choose_password),
    (r"[Cc]hoose your wallet under \*\*([^*]+)\*\*", Walker.choose_own),
    (r"[Cc]hoose another wallet under \*\*([^*]+)\*\*", Walker.choose_other),
    (r"[Cc]hoose `([^`]+)` under \*\*([^*]+)\*\*", Walker.choose),
    (r"[Ee]nter `([^`]+)` under \*\*([^*]+)\*\*", Walker.enter),
    (r"[Gg]ive your password", Walker.give_password),
    (r"[Gg]ive the password, which is in the file that the page names", Walker.give_named_password),
    (r"the page says “([^”]+)”", Walker.says),
    (r"[Pp]ress ((?:(?: and )?\*\*[^*]+\*\*)+)", Walker.press),
)
"""The first pattern that matches is used. Its groups are the arguments of the action."""
