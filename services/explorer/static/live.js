// Keeps pages fresh whose <main> has an element marked data-live: hears of facts from /events, fetches the page again, and
// changes in place what is different. Nothing is replaced that stays the same, so focus, scroll, open details and what is
// selected stay as they are. The value of data-live names the topics that matter; without one all of them do.
"use strict";

const TOPICS = ["block.connected", "block.disconnected", "tx.accepted", "tx.removed"];
const PAUSE = 500; // milliseconds from one refresh to the next, however many facts come in
const POLL = 2000; // between looks at /feed, where event streams do not work
const RETRY = 10_000; // until an event stream is tried again
const AGES = [[31557600, "y"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const sign = document.getElementById("live-sign");
const live = () => document.querySelector("#main [data-live]");

// ── what changed is taken over in place ────────────────────────────────────
//
// data-key   what an element is about: it is the same one wherever it stands
// data-arrives   it lights up, or slides in, when it is new
// data-kept  names of attributes, or "children", that a script has set and that stay

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "");
const isSame = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

function take(now, next) {
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  const kept = now.hasAttribute("data-kept") ? ["data-kept", ...now.dataset.kept.split(" ")] : [];
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS") && !kept.includes(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value && !kept.includes(name)) now.setAttribute(name, value);
  }
  if (!kept.includes("children")) takeChildren(now, next);
}

function takeChildren(now, next) {
  const keyed = new Map([...now.children].filter(keyOf).map((child) => [child.nodeName + keyOf(child), child]));
  const wanted = new Set([...next.children].filter(keyOf).map((child) => child.nodeName + keyOf(child)));
  let place = now.firstChild;
  for (const fresh of [...next.childNodes]) {
    const key = keyOf(fresh);
    // What has a key that is not wanted any more gives way, so that what follows it keeps its place.
    while (place && keyOf(place) && !wanted.has(place.nodeName + keyOf(place))) place = drop(place);
    const known = key ? keyed.get(fresh.nodeName + key) : null;
    if (known && known !== place) now.insertBefore(known, place);
    if (known) {
      take(known, fresh);
      place = known.nextSibling;
    } else if (place && isSame(place, fresh)) {
      take(place, fresh);
      place = place.nextSibling;
    } else {
      const added = document.importNode(fresh, true);
      if (added.dataset && "arrives" in added.dataset) added.classList.add("is-new");
      now.insertBefore(added, place);
    }
  }
  while (place) place = drop(place);
}

function drop(node) {
  const following = node.nextSibling;
  node.remove();
  return following;
}

// ── when to fetch ──────────────────────────────────────────────────────────

let lastStart = 0;
let isFetching = false;
let isWanted = false;
let timer = 0;

function wish() {
  if (!live()) return rest(); // it shows nothing any more that changes
  isWanted = true;
  if (isFetching || timer || document.hidden) return;
  timer = setTimeout(refresh, Math.max(0, lastStart + PAUSE - performance.now()));
}

async function refresh() {
  timer = 0;
  isWanted = false;
  isFetching = true;
  lastStart = performance.now();
  let isAnswered = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.getElementById("main");
      main.querySelectorAll(".is-new").forEach((node) => node.classList.remove("is-new"));
      const before = nowPlace();
      takeChildren(main, fresh.getElementById("main"));
      if (before) strip().scrollLeft += nowPlace() - before;
      document.title = fresh.title;
      document.dispatchEvent(new Event("warren:fresh"));
    }
    isAnswered = answer.status < 500;
  } catch {
    // The service is away: it is said below.
  }
  isFetching = false;
  if (isAnswered) wasLost = false; // what was missed is here
  say(isAnswered);
  if (!isAnswered) setTimeout(wish, POLL);
  else if (isWanted) wish();
}

// ── how to hear of facts ───────────────────────────────────────────────────

let source = null;
let poller = 0;
let seen = null;
let wasLost = false;

function say(isConnected) {
  const text = isConnected ? "Live" : "Connection lost, trying again";
  sign.hidden = false;
  sign.classList.toggle("is-lost", !isConnected);
  if (sign.textContent !== text) sign.textContent = text;
  if (isConnected && wasLost) wish();
  wasLost = !isConnected;
}

function rest() {
  source?.close();
  source = null;
  stopPolling();
}

function listen() {
  source = new EventSource(`/events?topics=${live().dataset.live.trim().split(/\s+/).filter(Boolean).join() || TOPICS.join()}`);
  source.onopen = () => {
    stopPolling();
    say(true);
  };
  for (const topic of [...TOPICS, "gap"]) source.addEventListener(topic, wish);
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) {
      say(false); // the browser connects again by itself
      return;
    }
    source = null;
    if (!poller) look();
    setTimeout(() => !source && !document.hidden && live() && listen(), RETRY);
  };
}

async function look() {
  try {
    const answer = await fetch("/feed", { cache: "no-store" });
    if (answer.ok) {
      const { seq } = await answer.json();
      if (seen !== null && seq !== seen) wish();
      seen = seq;
    }
    say(answer.ok);
  } catch {
    say(false);
  }
  poller = source?.readyState === EventSource.OPEN || document.hidden || !live() ? 0 : setTimeout(look, POLL);
}

function stopPolling() {
  clearTimeout(poller);
  poller = 0;
  seen = null;
}

// A browser keeps few connections to one server: a page that no one sees gives its own back.
function turn() {
  if (document.hidden) {
    rest();
  } else if (live() && !source) {
    listen();
    wish();
  }
}

// ── the strip and ages ─────────────────────────────────────────────────────

function ageOf(seconds) {
  for (const [unit, name] of AGES) if (seconds >= Math.max(unit, 5)) return `${Math.floor(seconds / unit)} ${name} ago`;
  return "just now";
}

function tellAges() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const text = ageOf((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

// Where the line between what comes and what came stands: there it stays, whatever joins on either side.
const strip = () => document.querySelector("[data-strip]");
const nowPlace = () => strip()?.querySelector("[data-strip-now]").getBoundingClientRect().left ?? 0;

if (strip()) strip().scrollLeft += nowPlace() - strip().getBoundingClientRect().left - strip().clientWidth * 0.45;
setInterval(tellAges, 5000);
if (live()) {
  if (!document.hidden) listen();
  document.addEventListener("visibilitychange", turn);
}
