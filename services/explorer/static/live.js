// Keeps the parts marked data-live fresh: asks the feed whether anything happened, and only then fetches the page again.
"use strict";

const INTERVAL = 2000;
let seen = null;

async function look() {
  const answer = await fetch("/feed", { cache: "no-store" });
  if (!answer.ok) return;
  const { seq } = await answer.json();
  if (seen !== null && seq !== seen) await refresh();
  seen = seq;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = document.querySelector("[data-live]");
  const next = fresh.querySelector("[data-live]") || fresh.querySelector("#main > .stack");
  if (!next || now.contains(document.activeElement) || now.querySelector("details[open]")) return;
  const scrolled = now.querySelector(".burrow")?.scrollLeft ?? 0;
  now.replaceWith(next);
  const burrow = next.querySelector(".burrow");
  if (burrow) burrow.scrollLeft = scrolled;
}

function tick() {
  if (!document.querySelector("[data-live]")) return;
  const wait = document.hidden ? Promise.resolve() : look();
  // The service may be away for a while: the page stays as it is and asks again.
  wait.catch(() => {}).finally(() => setTimeout(tick, INTERVAL));
}

tick();
