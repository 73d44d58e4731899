// Refreshes the balance without reloading the page. Without JavaScript the form does it.
"use strict";

const refreshed = ["balance-asof", "balance-facts", "history"];
const form = document.getElementById("get-balance");
if (form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const facts = document.getElementById("balance-facts");
    button.disabled = true;
    facts.classList.add("is-busy");
    try {
      const response = await fetch(form.action, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const id of refreshed) document.getElementById(id).replaceChildren(...page.getElementById(id).childNodes);
    } catch (error) {
      document.getElementById("balance-asof").textContent = `not reached: ${error.message || "try again"}`;
    } finally {
      facts.classList.remove("is-busy");
      button.disabled = false;
    }
  });
}
