// Proves a transaction by itself: hashes its way from the txid to the merkle root of the block's header, fetched anew,
// and checks that this header is the block's and carries its proof of work. The page without scripts shows the steps.
"use strict";

// SHA-256 where the browser keeps crypto.subtle to itself, as it does on plain http of another host (FIPS 180-4).
const K = [];
const INITIAL = [];
for (let candidate = 2; K.length < 64; candidate++) {
  let isPrime = true;
  for (let factor = 2; factor * factor <= candidate; factor++) if (candidate % factor === 0) isPrime = false;
  if (!isPrime) continue;
  if (INITIAL.length < 8) INITIAL.push(fraction(Math.sqrt(candidate)));
  K.push(fraction(Math.cbrt(candidate)));
}

function fraction(root) {
  return ((root - Math.floor(root)) * 2 ** 32) | 0;
}

function ownSha256(data) {
  const padded = new Uint8Array(Math.ceil((data.length + 9) / 64) * 64);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, data.length * 8);
  const rotate = (word, by) => (word >>> by) | (word << (32 - by));
  const state = [...INITIAL];
  const w = new Int32Array(64);
  for (let start = 0; start < padded.length; start += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(start + 4 * i);
    for (let i = 16; i < 64; i++) {
      const s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] = (state[i] + word) | 0; });
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setInt32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

async function sha256(data) {
  const subtle = globalThis.crypto?.subtle;
  return subtle ? new Uint8Array(await subtle.digest("SHA-256", data)) : ownSha256(data);
}

const sha256d = async (data) => sha256(await sha256(data));
const fromHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const reversed = (bytes) => Uint8Array.from(bytes).reverse();
const fromDisplay = (hex) => reversed(fromHex(hex));
const toDisplay = (bytes) => toHex(reversed(bytes));

async function parent(left, right) {
  const both = new Uint8Array(64);
  both.set(left);
  both.set(right, 32);
  return sha256d(both);
}

function targetOf(header) {
  const bits = new DataView(header.buffer).getUint32(72, true);
  const exponent = BigInt(bits >>> 24);
  const mantissa = BigInt(bits & 0x7fffff);
  return exponent < 3n ? mantissa >> (8n * (3n - exponent)) : mantissa << (8n * (exponent - 3n));
}

// Returns what is wrong with the proof, or nothing.
async function flaw(section, header) {
  let node = fromDisplay(section.dataset.txid);
  for (const step of section.querySelectorAll("[data-sibling]")) {
    const sibling = fromDisplay(step.dataset.sibling);
    node = step.dataset.side === "left" ? await parent(sibling, node) : await parent(node, sibling);
    const isRight = toDisplay(node) === step.dataset.result;
    step.classList.add(isRight ? "checked" : "wrong");
    if (!isRight) return "a step gives another hash than the page says";
  }
  if (header.length !== 80) return "the block's header does not have 80 bytes";
  if (toHex(node) !== toHex(header.slice(36, 68))) return "the steps do not lead to the merkle root in the block's header";
  const hash = await sha256d(header);
  if (toDisplay(hash) !== section.dataset.block) return "the header is that of another block";
  if (BigInt(`0x${toDisplay(hash)}`) > targetOf(header)) return "the block's hash does not meet its target";
  return "";
}

async function verify(section) {
  section.dataset.checked = "";
  const verdict = section.querySelector("[data-verdict]");
  try {
    const answer = await fetch(section.dataset.header);
    if (!answer.ok) return; // the page still shows how to check it by hand
    const problem = await flaw(section, fromHex((await answer.text()).trim()));
    const steps = section.querySelectorAll("[data-sibling]").length;
    verdict.textContent = problem
      ? `This proof is wrong: ${problem}.`
      : `Verified here, by your browser: ${steps === 1 ? "1 step leads" : `${steps} steps lead`} from this transaction to the merkle root in ` +
        "the block's header, and the header's hash is the block's and meets its target.";
    verdict.classList.add(problem ? "verdict-bad" : "verdict-good");
  } catch {
    // The service cannot be reached at the moment: nothing was verified, and the page does not say so.
  }
}

function verifyAll() {
  document.querySelectorAll("[data-proof]:not([data-checked])").forEach(verify);
}

document.addEventListener("warren:fresh", verifyAll); // from live.js: the transaction may have come into a block
verifyAll();
