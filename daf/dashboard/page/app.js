"use strict";
// Everything that is shown comes from /api/board, which sends what has changed since the last time. No text is ever set
// as HTML: names and configs are other people's.

const EVERY_MS = 2000;
const MARKS = { running: "●", finished: "✓", complete: "✓", ok: "✓", failed: "✕", killed: "■", stopped: "■", pruned: "✂",
  lost: "?", silent: "…", waiting: "○", skipped: "→", warning: "!" };
const token = document.querySelector('meta[name="daf-token"]').content;
const $ = (selector, root = document) => root.querySelector(selector);
const board = { version: "", items: new Map(), going: [], ended: [], workers: [], store: "", problem: "" };
const picked = new Set();
const rows = new Map();
let failures = 0;

// --- small tools

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

function duration(seconds) {
  if (!isFinite(seconds) || seconds < 0) return "";
  if (seconds < 90) return `${Math.round(seconds)}\u00a0s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u00a0min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)}\u00a0h`;
  return `${Math.round(seconds / 86400)}\u00a0days`;
}

const ago = (ms) => `${duration((Date.now() - ms) / 1000)} ago`;
const state = (word) => make("span", { class: `state ${word.split(" ")[0]}`, "data-mark": MARKS[word] || "·" }, word);

function path(points, box, size) {
  const [left, right, low, high] = box;
  const x = (step) => ((step - left) / (right - left || 1)) * size[0];
  const y = (value) => size[1] - ((value - low) / (high - low || 1)) * size[1];
  return points.filter((point) => point[1] !== null)
    .map(([step, value], index) => `${index ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}

function bounds(points) {
  const steps = points.map((point) => point[0]);
  const values = points.map((point) => point[1]).filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  return [Math.min(...steps), Math.max(...steps), low - room, high + room];
}

function spark(points, label) {
  if (!points || points.length < 2) return null;
  const last = points[points.length - 1][1];
  return svg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img",
    "aria-label": `${label}: from ${number(points[0][1])} to ${number(last)}` },
  svg("path", { d: path(points, bounds(points), [100, 24]) }));
}

function chart(curves, unit) {
  const all = curves.flatMap((curve) => curve.points);
  if (all.length < 2) return make("p", { class: "small" }, "There is no curve yet.");
  const box = bounds(all);
  const lines = curves.filter((curve) => curve.points.length).map((curve) =>
    svg("path", { class: curve.class || "", d: path(curve.points, box, [400, 160]) }));
  const grid = [0, 80, 160].map((y) => svg("path", { class: "grid", d: `M0 ${y}H400` }));
  const label = curves.map((curve) => `${curve.label}: ${curve.points.length} points, last ` +
    number((curve.points[curve.points.length - 1] || [0, null])[1])).join("; ");
  return make("div", {},
    make("div", { class: "axis" }, make("span", {}, number(box[3])), make("span", {}, unit)),
    svg("svg", { class: "chart", viewBox: "0 0 400 160", preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...grid, ...lines),
    make("div", { class: "axis" }, make("span", {}, number(box[2])),
      make("span", {}, `${number(box[0])} to ${number(box[1])}`)));
}

function bar(parts, total, label) {
  const element = make("div", { class: "bar", role: "img", "aria-label": label });
  for (const [name, count] of parts) {
    if (!count) continue;
    const piece = make("i", { class: name });
    piece.style.width = `${Math.min(100, (100 * count) / (total || 1))}%`;
    element.append(piece);
  }
  return element;
}

// --- the lists

function progress(item) {
  const far = make("div", { class: "far" });
  if (item.sweep) return sweepProgress(item, far);
  const done = item.progress;
  if (item.going && done) {
    const left = done.rate ? (done.total - done.done) / done.rate - (Date.now() - done.at_ms) / 1000 : NaN;
    const text = [`${Math.floor((100 * done.done) / done.total)} %`, `${number(Math.round(done.rate))} steps/s`];
    if (done.done < done.total) text.push(`${duration(Math.max(0, left)) || "?"} left`);
    far.append(bar([["", done.done]], done.total, `${number(done.done)} of ${number(done.total)} steps`),
      make("div", { class: "small" }, text.join(" · ")));
  } else if (item.going) {
    far.append(make("div", { class: "small" }, `for ${duration((Date.now() - item.started_ms) / 1000)}`));
  } else {
    const took = (item.ended_ms - item.started_ms) / 1000;
    far.append(make("div", { class: "small" }, `${ago(item.ended_ms)} · took ${duration(took)}`));
  }
  if (item.state === "silent") {
    far.append(make("div", { class: "small" }, `heard of ${ago(item.heard_ms)}`));
  }
  return far;
}

function sweepProgress(item, far) {
  const sweep = item.sweep;
  if (sweep.problem) {
    far.append(make("div", { class: "small bad" }, sweep.problem));
    return far;
  }
  const counts = ["complete", "pruned", "stopped", "failed", "running"].map((name) => [name, sweep[name]]);
  const total = Math.max(sweep.n_trials, sweep.finished + sweep.running);
  const words = [...counts.slice(1), ["waiting", sweep.waiting], ["interrupted", sweep.interrupted]]
    .filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  if (item.going && sweep.seconds_left) words.push(`${duration(sweep.seconds_left)} left`);
  const text = [`${sweep.finished}/${sweep.n_trials} trials`, ...words].join(" · ");
  far.append(bar(counts, total, text), make("div", { class: "small" }, text));
  if (!item.going) far.append(make("div", { class: "small" }, ago(item.ended_ms)));
  return far;
}

function good(item) {
  const best = item.sweep && item.sweep.best;
  if (best) {
    return make("div", { class: "good value" }, make("b", {}, best.values.map(number).join(", ")),
      make("div", { class: "small" }, `trial ${best.number}`));
  }
  if (!item.value) return make("div", { class: "good" });
  return make("div", { class: "good value" }, make("b", {}, number(item.value[1])),
    make("div", { class: "small" }, item.value[0]));
}

function row(item) {
  const href = `#/${item.kind === "sweep" ? "sweep" : "run"}/${item.id}`;
  const about = [["run", "sweep", item.task].includes(item.kind) ? "" : item.kind, item.task, item.mission, item.experiment].filter(Boolean).join(" · ");
  const pick = make("input", { type: "checkbox", class: "pick", "aria-label": `Pick ${item.name} to compare`,
    onchange: (event) => togglePick(item.id, event.target) });
  pick.checked = picked.has(item.id);
  const curve = item.sweep ? spark(item.sweep.history, "best so far") : spark(item.curve, item.name);
  const line = make("div", { class: "row" }, pick, state(item.state),
    make("div", { class: "what" }, make("a", { class: "name", href }, item.name),
      make("div", { class: "sub" }, about), item.word ? make("div", { class: "small bad" }, item.word) : null),
    make("div", { class: "curve" }, curve), progress(item), good(item));
  const parts = [line];
  if (item.stages && item.stages.length) parts.push(stages(item));
  if (item.sweep && item.going && item.sweep.running_trials && item.sweep.running_trials.length) parts.push(trials(item));
  return make("div", { class: "item", "data-id": item.id }, ...parts);
}

function stages(item) {
  return make("ol", { class: "stages" }, ...item.stages.map((stage) => {
    if (!stage.id) return make("li", {}, state(stage.state), ` ${stage.name}`);
    const took = ((stage.ended_ms || Date.now()) - stage.started_ms) / 1000;
    return make("li", {}, state(stage.state), " ", make("a", { href: `#/run/${stage.id}` }, stage.name),
      make("span", { class: "small" }, ` ${duration(took)}`));
  }));
}

function trials(item) {
  return make("ul", { class: "trials" }, ...item.sweep.running_trials.map((trial) => make("li", {},
    state(trial.stop_asked ? "stopping" : trial.state),
    trial.run_id ? make("a", { href: `#/run/${trial.run_id}` }, `trial ${trial.number}: ${trial.name}`)
      : `trial ${trial.number}: ${trial.name}`,
    trial.last ? make("span", { class: "small" }, `${number(trial.last[1])} at ${number(trial.last[0])}`) : null)));
}

function fill(section, items) {
  const list = $(".list", section);
  section.hidden = items.length === 0 && section.id !== "ended";
  const wanted = items.map((item) => {
    const known = rows.get(item.id);
    if (known && known.item === item && !item.going) return known.element;
    const element = row(item);
    if (known && known.element.contains(document.activeElement)) keepFocus(known.element, element);
    rows.set(item.id, { item, element });
    return element;
  });
  replace(list, wanted);
}

// A row that is drawn anew must not take the keyboard's place away.
function keepFocus(before, after) {
  const which = [...before.querySelectorAll("a, input, button")].indexOf(document.activeElement);
  queueMicrotask(() => { const target = after.querySelectorAll("a, input, button")[which]; if (target) target.focus({ preventScroll: true }); });
}

function replace(list, wanted) {
  wanted.forEach((element, index) => {
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] || null);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
}

function workersList() {
  const section = $("#workers");
  section.hidden = board.workers.length === 0;
  replace($(".list", section), board.workers.map((worker) => make("div", { class: "item" },
    make("div", { class: "row" }, make("span", { class: "pick" }), state(worker.state === "silent" ? "silent" : worker.state),
      make("div", { class: "what" }, `${worker.host} · process ${worker.pid}`),
      make("div", { class: "curve" }), make("div", { class: "far small" }, ...links(worker.runs)),
      make("div", { class: "good right small" }, `heard ${ago(worker.heard_ms)}`)))));
}

function links(runs) {
  return runs.flatMap(([id, name, kind], index) => [index ? ", " : "",
    make("a", { href: `#/${kind === "sweep" ? "sweep" : "run"}/${id}` }, name)]);
}

function draw() {
  const going = board.going.map((id) => board.items.get(id)).filter(Boolean);
  const word = $("#filter").value.trim().toLowerCase();
  const matches = (item) => !word || [item.name, item.kind, item.task, item.mission, item.state].join(" ").toLowerCase().includes(word);
  const ended = board.ended.map((id) => board.items.get(id)).filter(Boolean);
  fill($("#sweeps"), going.filter((item) => item.kind === "sweep"));
  fill($("#pipelines"), going.filter((item) => item.stages));
  fill($("#running"), going.filter((item) => item.kind !== "sweep" && !item.stages));
  fill($("#ended"), ended.filter(matches));
  $("#ended").hidden = ended.length === 0;
  $("#empty").hidden = going.length > 0;
  workersList();
  const day = ended.filter((item) => Date.now() - item.ended_ms < 86400000);
  const bad = day.filter((item) => item.state === "failed" || item.state === "lost").length;
  $("#summary").textContent = `${going.length} running · ${day.length} ended today${bad ? `, ${bad} of them failed or lost` : ""} · ${board.store}`;
  document.title = going.length ? `(${going.length}) DAF` : "DAF";
  $("#problem").hidden = !board.problem;
  $("#problem").textContent = board.problem;
  mark();
}

// --- what is picked to be compared

function togglePick(id, box) {
  if (box.checked) picked.add(id); else picked.delete(id);
  while (picked.size > 2) picked.delete(picked.values().next().value);
  document.querySelectorAll(".item").forEach((element) => {
    const input = $("input.pick", element);
    if (input) input.checked = picked.has(element.dataset.id);
  });
  showPicked();
}

function showPicked() {
  const names = [...picked].map((id) => (board.items.get(id) || { name: id.slice(0, 8) }).name);
  $("#picked").hidden = names.length === 0;
  $("#picked span").textContent = names.length === 2 ? names.join(" and ") : `${names.join("")}: pick one more`;
  $("#compare").hidden = names.length !== 2;
  $("#compare").href = `#/compare/${[...picked].join("/")}`;
}

// --- details

const tags = new Map();
const answers = new Map();

async function ask(url) {
  const known = tags.get(url);
  const response = await fetch(url, { headers: known ? { "If-None-Match": known } : {} });
  if (response.status === 304) return answers.get(url);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.problem || `${response.status}`);
  if (tags.size > 50) { tags.clear(); answers.clear(); }
  tags.set(url, response.headers.get("ETag"));
  answers.set(url, answer);
  return answer;
}

let shown = null;

async function route(anew) {
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const views = { run: showRun, sweep: showSweep, compare: showCompare };
  const view = views[parts[0]];
  $("#columns").classList.toggle("open", Boolean(view));
  $("#main").classList.toggle("columns-narrow", Boolean(view));
  $("#detail").hidden = !view;
  mark();
  if (!view) { shown = null; return; }
  const here = location.hash;
  if (shown !== here) $("#detail").replaceChildren(top("Reading", ""));
  try {
    await view(parts[1], parts[2], here);
  } catch (error) {
    if (location.hash === here && shown !== here) show([top("Not there", ""), make("p", { class: "bad" }, error.message)], here);
  }
  if (anew && location.hash === here) { $("#detail").scrollTop = 0; $("#detail h3").focus({ preventScroll: innerWidth > 992 }); }
}

function show(parts, here) {
  if (location.hash !== here) return;
  shown = here;
  $("#detail").replaceChildren(...parts.filter(Boolean));
}

function top(title, about) {
  return make("div", { class: "top" }, make("div", {}, make("h3", { tabindex: "-1" }, title), make("div", { class: "sub" }, about)),
    make("a", { class: "button", href: "#/", "aria-label": "Close the details" }, "Close"));
}

function table(head, lines, kind = "pairs") {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") }, make("table", { class: kind },
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...lines.map((line) => make("tr", {}, ...line.map((cell, index) =>
      make("td", { class: typeof cell === "number" ? "number" : index === 0 ? "key" : "" },
        typeof cell === "number" ? number(cell) : cell === null ? "–" : cell)))))));
}

async function showRun(id, _, here) {
  const run = await ask(`/api/run/${id}`);
  const key = JSON.stringify(run);
  if (shown === here && $("#detail").dataset.key === key) return;
  const metrics = Object.entries(run.metrics).map(([name, [value, step]]) => [name, value, step]);
  const left = run.progress && run.going ? [progress(run)] : [];
  show([top(run.name, [run.kind, run.task, run.mission].filter(Boolean).join(" · ")), state(run.state), ...left,
    run.word ? make("p", { class: "bad" }, run.word) : null,
    run.metric ? make("h4", {}, run.metric) : null,
    run.metric ? chart([{ label: run.metric, points: run.curve }], "by step") : null,
    make("h4", {}, `Metrics (${metrics.length})`), table(["metric", "value", "step"], metrics),
    make("h4", {}, "Config"), table(["key", "value"], Object.entries(run.params)),
    make("h4", {}, "Where it comes from"), table(["tag", "value"], [["run", run.id], ...Object.entries(run.tags)])], here);
  $("#detail").dataset.key = key;
}

async function showSweep(id, _, here) {
  const [run, sweep] = await Promise.all([ask(`/api/run/${id}`), ask(`/api/sweep/${id}`)]);
  const key = JSON.stringify([run.sweep, sweep]);
  const typing = $("#detail").contains(document.activeElement) && document.activeElement.matches("input");
  if (shown === here && ($("#detail").dataset.key === key || typing)) return;
  const steers = sweep.at_work || run.going;
  const counts = sweepProgress(run, make("div", { class: "far" }));
  show([top(run.name, `study ${sweep.study}`), state(run.state), counts,
    run.sweep.verdict ? make("p", {}, run.sweep.verdict) : null,
    run.sweep.history && run.sweep.history.length > 1 ? make("h4", {}, "Best so far") : null,
    run.sweep.history && run.sweep.history.length > 1 ? chart([{ label: "best so far", points: run.sweep.history }], "by trial") : null,
    ...importances(sweep.importances),
    steers ? make("div", { class: "actions" }, make("button", { type: "button", class: "danger", id: "stop-sweep",
      onclick: (event) => steer(event.target, "stop-sweep", { run: id }, "Stop the sweep after its running trials?") },
    "Stop after running trials")) : null,
    ...pointForm(id, sweep.space),
    make("h4", {}, `Trials${sweep.left_out ? ` (${sweep.left_out} older ones left out)` : ""}`),
    trialTable(id, sweep)], here);
  $("#detail").dataset.key = key;
}

function importances(found) {
  const entries = Object.entries(found);
  if (!entries.length) return [];
  return [make("h4", {}, "What mattered (PED-ANOVA)"), make("div", { class: "meters" }, ...entries.map(([name, share]) =>
    make("div", { class: "meter" }, make("span", {}, name), bar([["", share]], 1, `${Math.round(share * 100)} %`),
      make("span", { class: "right" }, `${Math.round(share * 100)} %`))))];
}

function trialTable(id, sweep) {
  const lines = [...sweep.trials].reverse().map((trial) => {
    const name = trial.run_id ? make("a", { href: `#/run/${trial.run_id}` }, trial.name) : trial.name;
    const notes = [sweep.best.includes(trial.number) ? "★ best" : "", trial.baseline ? "baseline" : "", trial.enqueued ? "enqueued" : ""].filter(Boolean);
    const value = trial.values.length ? trial.values.map(number).join(", ")
      : trial.last ? `${number(trial.last[1])} at ${number(trial.last[0])}` : "–";
    const open = (trial.state === "running" || trial.state === "waiting") && !trial.stop_asked;
    const stop = open ? make("button", { type: "button", class: "danger", "data-trial": trial.number,
      onclick: (event) => steer(event.target, "stop-trial", { run: id, trial: trial.number }, `Stop trial ${trial.number}?`) }, "Stop") : "";
    return [String(trial.number), make("span", {}, name, notes.length ? make("div", { class: "small" }, notes.join(", ")) : ""),
      state(trial.stop_asked && trial.state === "running" ? "stopping" : trial.state), value, stop];
  });
  return table(["trial", "what varied", "state", "objective", ""], lines, "trials-table");
}

function pointForm(id, space) {
  const keys = Object.entries(space);
  if (!keys.length) return [];
  const fields = keys.flatMap(([key, range]) => [make("label", { for: `point-${key}` }, key),
    make("input", { id: `point-${key}`, name: key, placeholder: "sampled", autocomplete: "off", spellcheck: "false", "aria-describedby": `range-${key}` }),
    make("span", { class: "small", id: `range-${key}` }, range)]);
  const submit = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, value]) => value.trim());
    steer($("button", event.target), "enqueue", { run: id, point: given.map(([key, value]) => `${key}=${value.trim()}`) }, "");
  };
  return [make("h4", {}, "Try a point next"), make("form", { class: "point", onsubmit: submit }, ...fields,
    make("span", {}), make("button", { type: "submit" }, "Enqueue"))];
}

let metricChosen = "";

async function showCompare(one, other, here) {
  const query = metricChosen ? `?metric=${encodeURIComponent(metricChosen)}` : "";
  const both = await ask(`/api/compare/${one}/${other}${query}`);
  const key = JSON.stringify(both);
  if (shown === here && $("#detail").dataset.key === key) return;
  const [first, second] = both.runs;
  const curves = [{ label: first.name, points: both.curves[0] }, { label: second.name, points: both.curves[1], class: "other" }];
  const choose = make("select", { id: "metric", "aria-label": "Metric of the curves", onchange: (event) => { metricChosen = event.target.value; route(false); } },
    ...both.choices.map((name) => make("option", { value: name, selected: name === both.metric }, name)));
  show([top("Two runs", ""),
    make("div", { class: "legend" }, make("a", { class: "one", href: `#/run/${first.id}` }, `— ${first.name}`),
      make("a", { class: "other", href: `#/run/${second.id}` }, `- - ${second.name}`)),
    make("h4", {}, "Curves"), both.choices.length ? choose : null, chart(curves, both.metric),
    make("h4", {}, `Config that differs (${both.config.length})`),
    both.config.length ? table(["key", first.name, second.name], both.config) : make("p", { class: "small" }, "Nothing differs."),
    make("h4", {}, "Metrics"), table(["metric", first.name, second.name], both.metrics)], here);
  $("#detail").dataset.key = key;
}

function mark() {
  const parts = location.hash.split("/").slice(2);
  document.querySelectorAll(".item").forEach((element) => element.classList.toggle("shown", parts.includes(element.dataset.id)));
}

// --- steering

async function steer(button, what, body, question) {
  if (question && !confirm(question)) return;
  button.disabled = true;
  const told = $("#told");
  try {
    const response = await fetch(`/api/steer/${what}`, { method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "X-DAF-Token": token } });
    const answer = await response.json();
    told.textContent = response.ok ? answer.done : answer.problem;
    told.classList.toggle("refused", !response.ok);
    if (response.ok && what === "enqueue") button.form.reset();
  } catch (error) {
    told.textContent = `Nothing was done: ${error.message}`;
    told.classList.add("refused");
  }
  told.hidden = false;
  button.disabled = false;
  button.blur();
  poll();
}

// --- the pulse

async function look() {
  const response = await fetch("/api/board", { headers: board.version ? { "If-None-Match": `"${board.version}"` } : {} });
  if (response.status === 401) throw new Error("open the address that daf watch printed");
  if (response.status !== 304) take(await response.json());
}

function take(changes) {
  if (changes.whole) board.items.clear();
  for (const [id, item] of Object.entries(changes.items)) board.items.set(id, item);
  const kept = new Set([...changes.going, ...changes.ended]);
  for (const id of [...board.items.keys()]) if (!kept.has(id)) { board.items.delete(id); rows.delete(id); }
  for (const key of ["version", "going", "ended", "workers", "store", "problem"]) board[key] = changes[key];
}

let timer = 0;

async function poll() {
  clearTimeout(timer);
  const pulse = $("#pulse");
  try {
    await look();
    failures = 0;
    draw();
    await route(false);
    pulse.className = "fresh";
    $("b", pulse).textContent = "live";
  } catch (error) {
    failures += 1;
    pulse.className = "away";
    $("b", pulse).textContent = error instanceof TypeError ? "daf watch has ended" : error.message;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, Math.min(EVERY_MS * 2 ** failures, 30000));
}

function theme() {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const saved = localStorage.getItem("daf-theme");
  if (saved) root.dataset.theme = saved;
  const button = $("#theme");
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; localStorage.setItem("daf-theme", root.dataset.theme); label(); });
  label();
}

theme();
$("#filter").addEventListener("input", draw);
$("#unpick").addEventListener("click", () => { picked.clear(); document.querySelectorAll("input.pick").forEach((box) => { box.checked = false; }); showPicked(); });
addEventListener("hashchange", () => { metricChosen = ""; route(true); });
addEventListener("keydown", (event) => { if (event.key === "Escape" && location.hash.length > 2) location.hash = "#/"; });
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
