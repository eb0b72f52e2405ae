// Keys, the theme, and asking once before what cannot be undone. Every page works without this file.
"use strict";
const rows = () => [...document.querySelectorAll("a.row, tbody a.open")];
const go = { h: "/ui", l: "/ui/live", t: "/ui/tasks", a: "/ui/approvals", p: "/ui/pnl", m: "/ui/models", i: "/ui/incidents", q: "/ui/quality", u: "/ui/audit", c: "/ui/config" };
let leading = false;

function move(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement);
  const chosen = all.findIndex((each) => each.getAttribute("aria-current"));
  const next = all[Math.max(0, Math.min(all.length - 1, (at < 0 ? chosen : at) + by))];
  if (next) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (leading && go[event.key]) location.href = go[event.key];
  else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "a") { // to the button, not past the reading: enter presses it, and it asks once
    const form = document.activeElement.closest("form") || document;
    const button = form.querySelector('button[value="approve"]');
    if (button) button.focus();
  } else if (event.key === "/") {
    const search = document.querySelector(".filters input");
    if (search) { event.preventDefault(); search.focus(); }
  }
  leading = !leading && event.key === "g";
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  const question = button && button.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#theme")) {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", dark ? "light" : "dark"); } catch { /* a private window keeps nothing */ }
  }
  const row = event.target.closest("a.row");
  if (row) {
    for (const each of document.querySelectorAll("a.row[aria-current]")) each.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
  }
});
