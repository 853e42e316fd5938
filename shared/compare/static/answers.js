// The table of both answers. A column is a service, a row a thing to compare.

import { NOTHING, idCell, indented, isProblem, probabilityCell, problemCell, statusCell, timeCell } from "/static/cells.js";
import { staircase } from "/static/charts.js";
import { $, h } from "/static/dom.js";
import { describe } from "/static/requests.js";
import { batchSummary, batches, waterfall } from "/static/trace.js";

const KEPT = 200;
const VIEWS = 2000;
const TRACE_SECONDS = 8; // exporters send every five seconds, unless told otherwise
const ROWS = {
  status: "Status",
  problem: "Problem",
  probability: "Probability",
  bits: "float32 bits",
  time: "Time",
  request: "Request id",
  trace: "Trace id",
  where: "Where the time went",
  batch: "Batch",
};

export class Answers {
  constructor(page) {
    this.page = page;
    this.services = page.services;
    this.threshold = null;
    this.times = Object.fromEntries(this.services.map(({ variant }) => [variant, []]));
    this.views = new Map();
    this.cells = new Map();
    $("heads").append(row(h("th", { role: "columnheader", scope: "col" }, h("span", { class: "hidden" }, "Compared")),
      this.services.map((service) => this.head(service))));
    this.sent = h("td", { role: "cell", colspan: 2, class: "both" }, NOTHING);
    $("rows").append(row(rowHead("Sent"), [this.sent]));
    for (const [key, title] of Object.entries(ROWS)) {
      $("rows").append(row(rowHead(title), this.services.map(({ variant }) => this.cell(key, variant)), `row-${key}`));
    }
    $("row-problem").hidden = true;
  }

  head({ variant, label, url }) {
    const state = h("span", { class: "state" }, "asking…");
    const why = h("span", { class: "why" });
    this.cells.set(`state ${variant}`, state).set(`why ${variant}`, why);
    return h("th", { role: "columnheader", scope: "col", class: variant },
      h("span", { class: "name" }, label, " ", state), h("span", { class: "url" }, url.replace("http://", "")), why);
  }

  cell(key, variant) {
    const cell = h("td", { role: "cell", class: variant, "data-row": key }, NOTHING);
    this.cells.set(`${key} ${variant}`, cell);
    return cell;
  }

  put(key, variant, content) {
    this.cells.get(`${key} ${variant}`).replaceChildren(...[content].flat().filter(Boolean));
  }

  // A service's state in words; `hint` is a command that would help.
  state(variant, { state, reason }, text, hint) {
    this.cells.get(`state ${variant}`).className = `state ${state}`;
    this.put("state", variant, text);
    const why = state !== "ready" && reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : "";
    this.put("why", variant, [why, hint && " Start it: ", hint && h("code", {}, hint)]);
  }

  // `atOnce`: the exchanges are a burst.
  show(message, exchanges, atOnce) {
    Object.assign(this, { message, exchanges, atOnce, shownAt: performance.now() });
    this.verdict();
    this.sent.replaceChildren(...describe(message, this.services, exchanges.length));
    for (const { variant } of this.services) this.keep(variant);
    const all = this.services.flatMap(({ variant }) => this.answers(variant));
    $("row-problem").hidden = !all.some(isProblem);
    $("row-probability").hidden = $("row-bits").hidden = !all.some((answer) => answer.bits) && all.some(isProblem);
    for (const { variant } of this.services) this.column(variant);
    this.headers();
    this.bodies();
    this.traces();
    clearTimeout(this.late);
    this.late = setTimeout(() => this.traces(), (TRACE_SECONDS + 0.1) * 1000);
  }

  verdict() {
    const verdicts = this.exchanges.map(({ verdict }) => verdict);
    const worst = ["none", "one", "differ", "refused", "identical"].find((kind) => verdicts.some((verdict) => verdict.kind === kind));
    const { text } = verdicts.find(({ kind }) => kind === worst);
    const alike = verdicts.filter(({ kind }) => kind === "identical" || kind === "refused").length;
    $("verdict").className = `verdict ${worst}`;
    $("verdict").textContent = verdicts.length > 1 ? `${alike} of ${verdicts.length} pairs alike. ${text}` : text;
  }

  answers(variant) {
    return this.exchanges.map((exchange) => exchange.answers[variant]);
  }

  good(variant) {
    return this.answers(variant).filter((answer) => !answer.error);
  }

  // A burst's times tell of the burst: they stay out of the collection.
  keep(variant) {
    const times = this.good(variant).filter(({ status }) => status === 200).map((answer) => answer.ms);
    if (this.atOnce) this.burst = { ...this.burst, [variant]: times };
    else this.times[variant] = [...this.times[variant], ...times].slice(-KEPT);
  }

  column(variant) {
    const good = this.good(variant);
    const last = good.at(-1);
    const asked = this.exchanges.length;
    const times = this.atOnce ? this.burst : this.times;
    this.put("status", variant, statusCell(this.answers(variant)));
    this.put("problem", variant, last && isProblem(last) ? problemCell(last) : NOTHING);
    this.put("probability", variant, last?.bits ? probabilityCell(last, this.threshold) : NOTHING);
    this.put("bits", variant, last?.bits ? h("code", {}, `0x${last.bits}`) : NOTHING);
    this.put("time", variant, timeCell(good, times[variant], Object.values(times).flat()));
    this.put("request", variant, idCell(last?.headers.find(([name]) => name === "x-request-id")?.[1], asked));
    this.put("trace", variant, idCell(last?.trace_id, asked));
  }

  headers() {
    const last = this.services.map(({ variant }) => new Map(this.good(variant).at(-1)?.headers));
    const names = [...new Set(last.flatMap((headers) => [...headers.keys()]))].sort();
    $("headers").replaceChildren(heading("Response headers"), ...names.map((name) => {
      const values = last.map((headers) => headers.get(name));
      // The two are asked one after the other: a second may begin in between.
      const differ = name !== "date" && last.every((headers) => headers.size) && values[0] !== values[1];
      return row(rowHead(h("code", {}, name), differ && h("span", { class: "differs" }, " differs")),
        values.map((value, index) => this.plain(index, value === undefined ? NOTHING : h("code", {}, value))));
    }));
  }

  bodies() {
    const bodies = this.services.map(({ variant }) => this.good(variant).at(-1)?.body);
    $("bodies").replaceChildren(heading("Response body"), row(rowHead("As received"),
      bodies.map((body, index) => this.plain(index, body === undefined ? NOTHING : h("pre", { "data-row": "body" }, indented(body))))));
  }

  plain(index, content) {
    return h("td", { role: "cell", class: this.services[index].variant }, content);
  }

  spans(views) {
    for (const view of views) this.views.set(view.trace_id, view);
    while (this.views.size > VIEWS) this.views.delete(this.views.keys().next().value);
    if (!this.exchanges || this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.traces();
    });
  }

  // The two rows that traces fill, as far as they have come.
  traces() {
    const total = Math.max(...this.services.map(({ variant }) =>
      this.atOnce ? spread(this.good(variant)) : this.good(variant).at(-1)?.ms ?? 0));
    for (const { variant } of this.services) {
      const good = this.good(variant);
      const views = good.map((answer) => this.views.get(answer.trace_id));
      const found = batches(views);
      if (!good.length) this.put("where", variant, NOTHING);
      else if (this.atOnce) this.put("where", variant, this.stairs(good, views, found, total));
      else this.put("where", variant, waterfall(good.at(-1), views.at(-1), total));
      this.put("batch", variant, this.batch(good, views, found));
    }
  }

  stairs(good, views, found, total) {
    const turns = new Map(found.map((batch, index) => [batch.id, index]));
    const requests = good.map((answer, index) => ({ ...answer, turn: turns.get(views[index]?.batch?.id) ?? null }));
    const shades = found.length ? "; batches alternate in shade" : "";
    return [staircase(requests, total), h("p", { class: "quiet" }, `A line is a request, from sending to answer${shades}`)];
  }

  batch(good, views, found) {
    const computed = good.filter((answer) => answer.status === 200).length;
    if (!good.length) return NOTHING;
    if (!computed) return "None: refused before it was queued";
    if (found.length) return batchSummary(found, computed);
    return h("p", { class: "quiet" }, this.missing(views));
  }

  missing(views) {
    const late = performance.now() - this.shownAt > TRACE_SECONDS * 1000;
    if (!this.page.otlp) return "Traces are not received: install the otlp extra and leave --otlp-port 0 out";
    if (!late) return "Waiting for the trace…";
    if (views.some((view) => view?.server)) return "The trace tells of no batch";
    return ["No trace came: start the service with ", h("code", {}, `OTEL_EXPORTER_OTLP_ENDPOINT=${this.page.otlp}`)];
  }
}

// Milliseconds from the first sending to the last answer.
function spread(answers) {
  if (!answers.length) return 0;
  return Math.max(...answers.map(({ began, ms }) => began + ms)) - Math.min(...answers.map(({ began }) => began));
}

const rowHead = (...content) => h("th", { role: "rowheader", scope: "row" }, ...content);
const row = (head, cells, id = null) => h("tr", { role: "row", id }, head, cells);
const heading = (text) => h("tr", { role: "row", class: "heading" }, h("th", { role: "rowheader", scope: "rowgroup", colspan: 3 }, text));
