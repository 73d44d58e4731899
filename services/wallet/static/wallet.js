// The wallet's comforts: the balance without reloading the page, and no form sent twice. All works without it.
"use strict";

// Satoshis as BTC, as the server writes them: trailing zeros faint.
function amount(sats, sign) {
  const digits = String(Math.abs(sats)).padStart(9, "0");
  const whole = digits.slice(0, -8).replace(/\B(?=(\d{3})+$)/g, "\u2009");
  const mark = sats < 0 ? "−" : sign && sats > 0 ? "+" : "";
  const text = `${mark}${whole}.${digits.slice(-8)}`;
  const strong = text.replace(/\.?0+$/, "");
  const element = document.createElement("span");
  element.className = "amount" + (sign && sats > 0 ? " amount-in" : sign && sats < 0 ? " amount-out" : "");
  const zeros = document.createElement("span");
  zeros.className = "amount-zeros";
  zeros.textContent = text.slice(strong.length);
  const unit = document.createElement("span");
  unit.className = "unit";
  unit.textContent = "BTC";
  element.append(strong, zeros, " ", unit);
  return element;
}

const card = document.getElementById("balance-card");
const form = document.getElementById("get-balance");
if (card && form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const note = document.getElementById("balance-asof");
    const balance = document.getElementById("balance");
    button.disabled = true;
    balance.classList.add("is-busy");
    try {
      const response = await fetch(card.dataset.api, { headers: { Accept: "application/json" }, cache: "no-store" });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail);
      balance.replaceChildren(amount(answer.balance, false));
      balance.dataset.sats = answer.balance;
      document.getElementById("spendable").replaceChildren(amount(answer.spendable, false));
      document.getElementById("unconfirmed").replaceChildren(amount(answer.unconfirmed, true));
      document.getElementById("immature").replaceChildren(amount(answer.immature, false));
      note.textContent = `at height ${answer.height}`;
    } catch (error) {
      note.textContent = `not reached: ${error.message || "try again"}`;
    } finally {
      balance.classList.remove("is-busy");
      button.disabled = false;
    }
  });
}

// A second click while the first one is on its way does nothing; coming back with "back" makes the form usable again.
for (const once of document.querySelectorAll("form[data-once]")) {
  once.addEventListener("submit", (event) => {
    if (once.dataset.sent) {
      event.preventDefault();
      return;
    }
    once.dataset.sent = "yes";
    once.querySelector("button[type=submit]").setAttribute("aria-disabled", "true");
  });
}
window.addEventListener("pageshow", () => {
  for (const once of document.querySelectorAll("form[data-once]")) {
    delete once.dataset.sent;
    once.querySelector("button[type=submit]").removeAttribute("aria-disabled");
  }
});
