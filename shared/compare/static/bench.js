// The results of a running `twinscore bench`, drawn as they come.

import { $, count, h, ms } from "/static/dom.js";

const OURS = { fastapi: "FastAPI", bento: "BentoML" };
const KINDS = {
  closed: (load) => `${count(load, "connection")}, closed loop`,
  after: (load) => `${count(load, "connection")} after the burst`,
  open: (load) => `${load.toLocaleString("en")} requests/s, open loop`,
  users: (load) => count(load, "user"),
};

let shown = null;
let chosen = null;

export function showBench(results) {
  shown = results;
  const { state, path } = results;
  $("bench-choice").hidden = state !== "results";
  if (state === "results") {
    draw();
    return;
  }
  $("bench-charts").replaceChildren();
  $("bench-state").replaceChildren(
    ...(state === "none"
      ? ["There is no results file to follow: start this page with ", h("code", {}, "--bench FILE"), "."]
      : state === "absent"
        ? ["Nothing measured yet. Run ", h("code", {}, "twinscore bench --quick"), " in another terminal: its results appear here. Following ", h("code", {}, path), "."]
        : [h("code", {}, path), ` cannot be shown: ${results.reason}.`]),
  );
}

function draw() {
  const measurements = shown.measurements;
  const groups = [...new Set(measurements.map(groupOf))];
  const current = groups.includes(chosen) ? chosen : groups.at(-1);
  const written = new Date(shown.written).toLocaleTimeString("en-GB");
  $("bench-state").replaceChildren(
    `${count(measurements.length, "start")} measured, the last at ${written}. `, h("code", {}, shown.command || shown.path));
  $("bench-choice").hidden = groups.length < 2;
  $("bench-choice").replaceChildren(
    ...groups.map((group) =>
      h("button", { type: "button", "aria-pressed": String(group === current), onclick: (event) => {
        chosen = group;
        draw();
        [...$("bench-choice").children].find((button) => button.textContent === event.target.textContent)?.focus();
      } }, group)),
  );
  $("bench-charts").replaceChildren(...charts(measurements.filter((item) => groupOf(item) === current)));
}

const groupOf = ({ suite, model }) => `${suite}, ${model} model`;

// One chart for each load; the latest round of each server.
function charts(measurements) {
  const latest = new Map();
  for (const item of measurements) latest.set(`${item.contender} ${item.predictor}`, item);
  const loads = new Map();
  for (const item of latest.values()) {
    for (const phase of item.phases) {
      const key = KINDS[phase.kind]?.(phase.load) ?? `${phase.kind} ${phase.load}`;
      loads.set(key, [...(loads.get(key) ?? []), { ...phase, ...label(item), newest: item === measurements.at(-1) }]);
    }
  }
  const failures = [...latest.values()].filter((item) => item.failure);
  const all = [...loads.values()].flat();
  const slowest = Math.max(1, ...all.map((phase) => phase.p99 ?? 0));
  const quickest = Math.min(slowest / 10, ...all.filter((phase) => phase.p50 > 0).map((phase) => phase.p50));
  const x = (value) => (100 * Math.log(Math.max(value, quickest) / quickest)) / Math.log(slowest / quickest);
  return [
    ...[...loads].map(([title, phases]) => chart(title, phases, x)),
    ...failures.map((item) => h("p", { class: "failed" }, `${label(item).name}: ${item.failure}`)),
    h("p", { class: "quiet key" }, "Bars run from the median to p99 on one logarithmic scale, ", ms(quickest), " to ", ms(slowest), "."),
  ];
}

function label({ contender, predictor }) {
  const name = OURS[contender] ?? contender;
  return { name: contender in OURS ? name : `${name} (${predictor})`, variant: contender in OURS ? contender : "" };
}

function chart(title, phases, x) {
  const rows = phases.toSorted((a, b) => b.per_second - a.per_second).flatMap((phase) => {
    const bar = h("i", { class: phase.variant });
    bar.style.left = `${x(phase.p50)}%`;
    bar.style.width = `max(3px, ${x(phase.p99) - x(phase.p50)}%)`;
    return [
      h("tr", { class: phase.newest ? "newest" : "" },
        h("th", { scope: "row" }, phase.name, phase.newest && h("span", { class: "hidden" }, " (newest)")),
        h("td", {}, ms(phase.p50)),
        h("td", {}, ms(phase.p99)),
        h("td", {}, Math.round(phase.per_second).toLocaleString("en")),
        h("td", { class: phase.errors ? "failed" : "" }, phase.errors.toLocaleString("en"))),
      h("tr", { class: "bars", "aria-hidden": "true" }, h("td", { colspan: 5 }, h("span", { class: "lane" }, bar))),
    ];
  });
  return h("div", { class: "chart" },
    h("h3", {}, title),
    h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Server"), ["p50", "p99", "answers/s", "errors"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows)),
  );
}
