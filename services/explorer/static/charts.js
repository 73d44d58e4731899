// Reads a chart's values out, by pointer or by arrow keys; the values are those of the table below it.
"use strict";

function rowsOf(chart) {
  return [...chart.querySelectorAll(".chart-values tr")];
}

function show(chart, index) {
  const rows = rowsOf(chart);
  const at = Math.min(rows.length - 1, Math.max(0, index));
  const [label, text] = [rows[at].cells[0].textContent, rows[at].cells[1].textContent];
  const readout = chart.querySelector("[data-readout]");
  const value = document.createElement("strong");
  value.textContent = text;
  readout.replaceChildren(`${label}: `, value);
  const cursor = chart.querySelector("[data-cursor]");
  cursor.setAttribute("x", (1000 * at) / rows.length);
  cursor.setAttribute("width", 1000 / rows.length);
  const plot = chart.querySelector("[data-plot]");
  plot.setAttribute("aria-valuemax", rows.length - 1);
  plot.setAttribute("aria-valuenow", at);
  plot.setAttribute("aria-valuetext", `${label}: ${text}`);
}

function prepare(chart) {
  const plot = chart.querySelector("[data-plot]");
  if (plot.hasAttribute("tabindex")) return;
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-labelledby", `${chart.id}-title`);
  plot.setAttribute("aria-valuemin", 0);
  // What is set here stays when live.js brings the page up to date.
  plot.dataset.kept = "tabindex role aria-labelledby aria-valuemin aria-valuemax aria-valuenow aria-valuetext";
  const count = rowsOf(chart).length;
  plot.setAttribute("aria-valuemax", count - 1);
  plot.setAttribute("aria-valuenow", count - 1);
  plot.setAttribute("aria-valuetext", chart.querySelector("[data-readout]").textContent);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    show(chart, Math.floor(((event.clientX - box.left) / box.width) * rowsOf(chart).length));
  });
  plot.addEventListener("keydown", (event) => {
    const last = rowsOf(chart).length - 1;
    const now = Number(plot.getAttribute("aria-valuenow"));
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(chart, to);
  });
}

document.querySelectorAll("[data-chart]").forEach(prepare);
document.addEventListener("warren:fresh", () => {
  for (const chart of document.querySelectorAll("[data-chart]")) {
    prepare(chart);
    const plot = chart.querySelector("[data-plot]");
    if (plot.matches(":hover, :focus")) show(chart, Number(plot.getAttribute("aria-valuenow")));
  }
});
