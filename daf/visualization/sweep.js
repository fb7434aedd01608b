"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").dataset.sweep);
  const trials = new Map(data.trials.map((trial) => [trial.number, trial]));
  const hidden = new Set();
  let objective = 0;

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const short = (value) => {
    if (!Number.isFinite(value)) return "-";
    const size = Math.abs(value);
    if (size >= 1e4 && Number.isInteger(value)) return value.toLocaleString("en");
    return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2).replace(/\.?0*e/, "e") : `${Number(value.toPrecision(4))}`;
  };
  const valueOf = (trial) => (trial.values.length ? trial.values[objective] : objective === 0 ? trial.last : null);
  const tipOf = (trial) => {
    const values = trial.values.length
      ? data.metrics.map((metric, index) => `${metric} ${short(trial.values[index])}`).join(", ")
      : trial.last === null ? "no value" : `${data.metrics[0]} ${short(trial.last)} when it was ended`;
    const varied = Object.entries(trial.varied).map(([key, value]) => `${key} = ${value}`);
    return [`trial ${trial.number} (${trial.state}): ${values}`, ...varied].join("\n");
  };

  // Axes: numbers, magnitudes, or choices; ticks are round and never fewer than two.
  const steps = (low, high, most) => {
    const power = 10 ** Math.floor(Math.log10((high - low) / most));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => (high - low) / size <= most);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) found.push(Number((at * step).toPrecision(12)));
    return found;
  };
  const magnitudes = (low, high, most) => {
    const found = [];
    for (const factors of [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
      found.length = 0;
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
        for (const factor of factors) {
          const tick = Number((factor * 10 ** power).toPrecision(6));
          if (tick >= low * 0.999 && tick <= high * 1.001) found.push(tick);
        }
      if (found.length >= 3) break;
    }
    const every = Math.ceil(found.length / most);
    return found.filter((_, index) => index % every === 0);
  };
  const axisOf = (values, { log = false, choices = [] } = {}) => {
    if (choices.length) {
      const at = (value) => (choices.length > 1 ? 0.06 + 0.88 * value / (choices.length - 1) : 0.5);
      return { at, ticks: () => choices.map((choice, index) => [index, choice]) };
    }
    let low = Math.min(...values), high = Math.max(...values);
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    const bend = log ? Math.log10 : (value) => value;
    const margin = 0.05 * (bend(high) - bend(low));
    const [start, end] = [bend(low) - margin, bend(high) + margin];
    const ticks = (most) => (log ? magnitudes(10 ** start, 10 ** end, most) : steps(start, end, most));
    return { at: (value) => (bend(value) - start) / (end - start), ticks: (most) => ticks(most).map((tick) => [tick, short(tick)]) };
  };
  const places = (axis) => data.trials.map((trial) => trial.places[axis.name]).filter((place) => place !== undefined);
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  // One frame for all charts: grid, ticks, labels and a group for each trial.
  const frame = (box, height, x, y, labels) => {
    const width = Math.max(box.clientWidth, 200);
    const yTicks = y.ticks(Math.max(3, Math.floor(height / 38)));
    const left = 16 + 6.6 * Math.max(...yTicks.map(([, text]) => cut(text, 14).length), 1) + (labels.y ? 18 : 0);
    const area = { left, right: width - 14, top: 10, bottom: height - (labels.x ? 40 : 24) };
    const along = (value) => area.left + x.at(value) * (area.right - area.left);
    const up = (value) => area.bottom - y.at(value) * (area.bottom - area.top);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img", "aria-label": labels.name });
    for (const [tick, text] of yTicks) {
      svg.append(make("line", { x1: area.left, x2: area.right, y1: up(tick), y2: up(tick), class: "grid" }));
      svg.append(make("text", { x: area.left - 6, y: up(tick) + 4, "text-anchor": "end" }, cut(text, 14)));
    }
    const xTicks = x.ticks(Math.max(4, Math.floor((area.right - area.left) / 65)));
    const room = Math.max(4, Math.floor((area.right - area.left) / xTicks.length / 6.5));
    for (const [tick, text] of xTicks) {
      svg.append(make("line", { x1: along(tick), x2: along(tick), y1: area.top, y2: area.bottom, class: "grid" }));
      svg.append(make("text", { x: along(tick), y: area.bottom + 16, "text-anchor": "middle" }, cut(text, room)));
    }
    if (labels.x) svg.append(make("text", { x: (area.left + area.right) / 2, y: height - 6, "text-anchor": "middle", class: "label" }, labels.x));
    if (labels.y) {
      const place = `translate(12 ${(area.top + area.bottom) / 2}) rotate(-90)`;
      svg.append(make("text", { transform: place, "text-anchor": "middle", class: "label" }, labels.y));
    }
    box.append(svg);
    return { svg, along, up, area };
  };
  const group = (trial, ...children) => {
    const classes = ["t", trial.state, trial.number === data.best ? "best" : "", hidden.has(trial.number) ? "off" : ""];
    const node = make("g", { class: classes.filter(Boolean).join(" ") }, ...children);
    node.dataset.trial = trial.number;
    node.dataset.tip = tipOf(trial);
    return node;
  };
  const dot = (x, y, size = 4.5) => make("circle", { cx: x, cy: y, r: size });
  const cross = (x, y) => make("path", { d: `M${x - 4},${y - 4} l8,8 m0,-8 l-8,8` });
  const line = (points) => {
    const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    return [make("polyline", { points: text, class: "reach" }), make("polyline", { points: text })];
  };
  const complete = () => data.trials.filter((trial) => trial.values.length);
  const isBetter = (one, other) => (data.directions[objective] === "minimize" ? one < other : one > other);
  // The best are drawn last, over the others.
  const worstFirst = () => complete().sort((a, b) => (isBetter(valueOf(a), valueOf(b)) ? 1 : -1));
  const strength = () => {
    const values = complete().map(valueOf);
    const low = Math.min(...values), high = Math.max(...values);
    return (trial) => {
      const share = high > low ? (valueOf(trial) - low) / (high - low) : 1;
      const good = data.directions[objective] === "minimize" ? 1 - share : share;
      return `color-mix(in oklab, var(--p0) ${(15 + 85 * good).toFixed(0)}%, var(--line))`;
    };
  };

  const charts = {
    history(box) {
      const known = data.trials.filter((trial) => valueOf(trial) !== null);
      const x = axisOf(data.trials.map((trial) => trial.number));
      const whole = { at: x.at, ticks: (most) => x.ticks(most).filter(([tick]) => Number.isInteger(tick)) };
      const y = axisOf(known.map(valueOf));
      const { svg, along, up, area } = frame(box, 300, whole, y, { x: "trial", y: data.metrics[objective], name: "Objective of every trial" });
      let best = null;
      const path = [];
      for (const trial of complete()) {
        const value = valueOf(trial);
        if (best !== null) path.push([along(trial.number), up(best)]);
        if (best === null || isBetter(value, best)) best = value;
        path.push([along(trial.number), up(best)]);
      }
      if (best !== null) {
        path.push([along(data.trials[data.trials.length - 1].number), up(best)]);
        svg.append(make("polyline", { points: path.map((point) => point.join(",")).join(" "), class: "best-line" }));
      }
      for (const trial of data.trials) {
        const value = valueOf(trial), at = along(trial.number);
        svg.append(group(trial, value === null ? cross(at, area.bottom - 6) : dot(at, up(value))));
      }
    },
    reports(box) {
      const points = data.trials.flatMap((trial) => trial.lines.flat());
      const [x, y] = [0, 1].map((part) => axisOf(points.map((point) => point[part])));
      const { svg, along, up } = frame(box, 320, x, y, { x: data.steps, y: data.metrics[0], name: "Reports of every training" });
      const ordered = [...data.trials].sort((a, b) => (a.number === data.best) - (b.number === data.best));
      for (const trial of ordered) {
        const drawn = trial.lines.flatMap((of) => (of.length > 1 ? line(of.map(([step, value]) => [along(step), up(value)])) : [dot(along(of[0][0]), up(of[0][1]), 3)]));
        if (drawn.length) svg.append(group(trial, ...drawn));
      }
    },
    front(box) {
      const [first, second] = [0, 1];
      const all = complete();
      const [x, y] = [first, second].map((part) => axisOf(all.map((trial) => trial.values[part])));
      const label = (part) => `${data.metrics[part]} (${data.directions[part] === "minimize" ? "lower" : "higher"} is better)`;
      const { svg, along, up } = frame(box, 340, x, y, { x: label(first), y: label(second), name: "Pareto front" });
      const front = all.filter((trial) => data.front.includes(trial.number)).sort((a, b) => a.values[first] - b.values[first]);
      if (data.metrics.length === 2 && front.length > 1) {
        const path = front.map((trial) => `${along(trial.values[first])},${up(trial.values[second])}`).join(" ");
        svg.append(make("polyline", { points: path, class: "front-line" }));
      }
      for (const trial of all) {
        const node = group(trial, dot(along(trial.values[first]), up(trial.values[second]), 5));
        if (!data.front.includes(trial.number)) node.firstChild.style.fill = "var(--line)";
        svg.append(node);
      }
    },
    importances(box) {
      const shares = data.importances[objective] || [];
      const height = 24 * shares.length + 30;
      const names = { at: (index) => 1 - (index + 0.5) / shares.length, ticks: () => shares.map(([name], index) => [index, name]) };
      const most = Math.max(...shares.map(([, share]) => share), 0.01);
      const x = { at: (share) => share / (1.15 * most), ticks: (count) => steps(0, 1.1 * most, Math.min(count, 6)).map((tick) => [tick, `${Math.round(100 * tick)} %`]) };
      const longest = Math.max(...shares.map(([name]) => name.length), 4);
      const { svg, along, up } = frame(box, height, x, { ...names, ticks: () => names.ticks().map(([at, name]) => [at, cut(name, Math.min(longest, 14))]) }, { name: "Importances" });
      shares.forEach(([name, share], index) => {
        const bar = make("rect", { x: along(0), y: up(index) - 7, width: Math.max(1, along(share) - along(0)), height: 14, class: "share" });
        bar.dataset.tip = `${name}: ${(100 * share).toFixed(1)} %`;
        svg.append(bar);
      });
    },
    slices(box) {
      const panels = box.appendChild(document.createElement("div"));
      panels.className = "panels";
      const y = axisOf(data.trials.map(valueOf).filter((value) => value !== null && value !== undefined));
      for (const axis of data.axes) {
        const cell = panels.appendChild(document.createElement("div"));
        const name = axis.log ? `${axis.name} (logarithmic)` : axis.name;
        const { svg, along, up } = frame(cell, 210, axisOf(places(axis), axis), y, { x: name, name: `Objective over ${axis.name}` });
        for (const trial of data.trials)
          if (trial.places[axis.name] !== undefined && valueOf(trial) !== null)
            svg.append(group(trial, dot(along(trial.places[axis.name]), up(valueOf(trial)), 4)));
      }
    },
    parallel(box) {
      const all = worstFirst();
      const values = { name: data.metrics[objective], log: false, choices: [] };
      const columns = [...data.axes, values];
      const scales = columns.map((axis) => (axis === values ? axisOf(all.map(valueOf)) : axisOf(places(axis), axis)));
      const width = Math.max(box.clientWidth, 110 * columns.length), height = 330;
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img", "aria-label": "All keys together" });
      svg.style.width = `${width}px`;
      const along = (index) => 16 + index * ((width - 90) / (columns.length - 1));
      const up = (index, value) => height - 34 - scales[index].at(value) * (height - 60);
      const colour = strength();
      for (const trial of all) {
        const points = columns.map((axis, index) => [index, axis === values ? valueOf(trial) : trial.places[axis.name]]);
        if (points.some(([, value]) => value === undefined)) continue;
        const node = group(trial, ...line(points.map(([index, value]) => [along(index), up(index, value)])));
        if (trial.number !== data.best) node.lastChild.style.stroke = colour(trial);
        svg.append(node);
      }
      columns.forEach((axis, index) => {
        svg.append(make("line", { x1: along(index), x2: along(index), y1: 20, y2: height - 30, class: "grid" }));
        for (const [tick, text] of scales[index].ticks(5)) svg.append(make("text", { x: along(index) + 5, y: up(index, tick) + 4, class: "over" }, cut(text, 12)));
        svg.append(make("text", { x: along(index) - 8, y: height - 10, class: "label" }, cut(axis.name, Math.floor((width - 90) / (columns.length - 1) / 7))));
      });
      box.style.overflowX = "auto";
      box.append(svg);
    },
    pairs(box) {
      const [along, up] = ["along", "up"].map((id) => data.axes[document.getElementById(id).value]);
      const drawn = frame(box, 360, axisOf(places(along), along), axisOf(places(up), up), { x: along.name, y: up.name, name: "Two keys against each other" });
      const colour = strength();
      for (const trial of worstFirst()) {
        if (trial.places[along.name] === undefined || trial.places[up.name] === undefined) continue;
        const node = group(trial, dot(drawn.along(trial.places[along.name]), drawn.up(trial.places[up.name]), 6));
        if (trial.number !== data.best) node.firstChild.style.fill = colour(trial);
        drawn.svg.append(node);
      }
    },
  };

  const boxes = [...document.querySelectorAll(".chart")];
  const draw = () => {
    for (const box of boxes) {
      box.replaceChildren();
      charts[box.dataset.chart](box);
    }
  };

  // One trial stands out everywhere.
  let chosen = null;
  const choose = (number) => {
    chosen = number;
    for (const node of document.querySelectorAll("[data-trial]")) node.classList.toggle("on", number !== null && Number(node.dataset.trial) === number);
    for (const svg of document.querySelectorAll(".chart svg")) svg.classList.toggle("dim", number !== null);
  };
  document.addEventListener("pointerover", (event) => {
    const target = event.target.closest("[data-trial]");
    choose(target ? Number(target.dataset.trial) : null);
  });
  document.addEventListener("keydown", (event) => {
    const svg = event.target.closest?.(".chart svg");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!svg || !step) return;
    event.preventDefault();
    const numbers = [...new Set([...svg.querySelectorAll(".t:not(.off)")].map((node) => Number(node.dataset.trial)))].sort((a, b) => a - b);
    const at = numbers.indexOf(chosen);
    const next = numbers[at < 0 ? 0 : (at + step + numbers.length) % numbers.length];
    if (next === undefined) return;
    choose(next);
    svg.setAttribute("aria-label", tipOf(trials.get(next)));
  });

  // What the table's filter leaves out, the charts leave out.
  const table = document.querySelector("#trials");
  table?.querySelector("input")?.addEventListener("input", () => {
    hidden.clear();
    for (const row of table.querySelectorAll("tr[data-trial]")) if (row.hidden) hidden.add(Number(row.dataset.trial));
    for (const node of document.querySelectorAll(".chart .t")) node.classList.toggle("off", hidden.has(Number(node.dataset.trial)));
  });
  for (const id of ["along", "up"]) document.getElementById(id)?.addEventListener("change", draw);
  document.getElementById("objective")?.addEventListener("change", (event) => { objective = Number(event.target.value); draw(); });

  let width = 0;
  const onResize = () => { if (innerWidth !== width) { width = innerWidth; draw(); } };
  addEventListener("resize", onResize);
  onResize();
  choose(null);
})();
