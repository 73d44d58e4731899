// Small comforts for every page; everything works without them.
"use strict";

if (navigator.clipboard) document.documentElement.classList.add("can-copy");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy[data-copy]");
  if (!button || button.dataset.label) return;
  button.dataset.label = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => {
    button.textContent = button.dataset.label;
    delete button.dataset.label;
  }, 1500);
});

// "/" goes to the search box, as on most sites with one.
document.addEventListener("keydown", (event) => {
  const search = document.getElementById("search");
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && search && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  }
});

// A second click while the first one is on its way does nothing; coming back with "back" makes the form usable again.
for (const once of document.querySelectorAll("form[data-once]")) {
  once.addEventListener("submit", (event) => {
    if (once.dataset.sent) {
      event.preventDefault();
      return;
    }
    once.dataset.sent = "yes";
    for (const button of once.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
}
window.addEventListener("pageshow", () => {
  for (const once of document.querySelectorAll("form[data-once]")) {
    delete once.dataset.sent;
    for (const button of once.querySelectorAll("button[type=submit]")) button.removeAttribute("aria-disabled");
  }
});
