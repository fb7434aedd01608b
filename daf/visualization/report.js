"use strict";
(() => {
  const root = document.documentElement;
  const tip = document.getElementById("tip");

  // Light and dark: the system's choice until the button is pressed.
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  system.addEventListener("change", nameTheme);
  nameTheme();
  theme.hidden = false;

  // One tooltip for everything that carries a text.
  const showTip = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x - box.width / 2, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y - box.height - 12 < 8 ? y + 16 : y - box.height - 12}px`;
  };
  const hideTip = () => { tip.hidden = true; };
  const tipOf = (target) => {
    const box = target.getBoundingClientRect();
    showTip(target.dataset.tip, box.left + box.width / 2, box.top);
  };
  document.addEventListener("pointerover", (event) => {
    const target = event.target.closest("[data-tip]");
    if (target) tipOf(target); else if (!event.target.closest(".plot")) hideTip();
  });
  document.addEventListener("focusin", (event) => { if (event.target.dataset.tip) tipOf(event.target); });
  document.addEventListener("focusout", hideTip);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  // Reaching a bar by keyboard scrolls to it: its numbers stay with it.
  addEventListener("scroll", () => {
    const focused = document.activeElement;
    if (!tip.hidden && focused?.dataset?.tip === tip.textContent) tipOf(focused); else hideTip();
  }, true);

  // A figure is one stop of the tab key; the arrow keys go on from bar to bar.
  for (const rows of document.querySelectorAll(".rows")) {
    const hits = [...rows.querySelectorAll(".hit")];
    hits.forEach((hit, index) => {
      hit.tabIndex = index ? -1 : 0;
      hit.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        const next = step && hits[index + step];
        if (!step) return;
        event.preventDefault();
        if (!next) return;
        hit.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
    });
  }

  // Curves: the nearest point to the pointer, or the one that the arrow keys have reached.
  for (const plot of document.querySelectorAll(".plot")) {
    const data = JSON.parse(plot.dataset.curves);
    const cursor = plot.querySelector(".cursor");
    const last = data.thresholds.length - 1;
    let curve = 0;
    let point = Math.round(last / 2);
    const area = plot.querySelector("svg");
    const show = () => {
      const box = area.getBoundingClientRect();
      const { name, fractions, low, high } = data.curves[curve];
      const left = (box.width * point) / last;
      const top = box.height * (1 - fractions[point]);
      cursor.style.left = `${left}px`;
      cursor.style.top = `${top}px`;
      cursor.hidden = false;
      const share = (value) => `${(100 * value).toFixed(0)} %`;
      const band = `${share(low[point])} to ${share(high[point])}`;
      const text = `${name}\n${share(fractions[point])} (${band}) of episodes above ${data.thresholds[point].toPrecision(4)}`;
      area.setAttribute("aria-label", text);
      showTip(text, box.left + left, box.top + top);
    };
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      point = Math.max(0, Math.min(last, Math.round((last * (event.clientX - box.left)) / box.width)));
      const height = 1 - (event.clientY - box.top) / box.height;
      const away = data.curves.map((own) => Math.abs(own.fractions[point] - height));
      curve = away.indexOf(Math.min(...away));
      show();
    });
    area.addEventListener("pointerleave", () => { cursor.hidden = true; hideTip(); });
    area.addEventListener("focus", show);
    area.addEventListener("blur", () => { cursor.hidden = true; });
    area.addEventListener("keydown", (event) => {
      const [along, across] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
      if (!along && !across) return;
      event.preventDefault();
      point = Math.max(0, Math.min(last, point + along));
      curve = (curve + across + data.curves.length) % data.curves.length;
      show();
    });
  }

  // Tables: sort by a column, filter by any text. Cells without a number stay last.
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  for (const section of document.querySelectorAll(".tabular")) {
    const body = section.querySelector("tbody");
    const heads = [...section.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const keyed = [...body.rows].map((row) => [keyOf(row, column), row]);
        keyed.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return descending ? compare(b, a) : compare(a, b);
        });
        body.append(...keyed.map(([, row]) => row));
      });
    });
    const filter = section.querySelector("input");
    if (!filter) continue;
    const count = section.querySelector(".count");
    const rows = [...body.rows];
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    filter.addEventListener("input", apply);
    apply();
  }
})();
