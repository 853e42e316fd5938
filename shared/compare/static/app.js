// Brings the parts together: what the server tells goes to the page, what the reader does goes to the services.

import { Answers } from "/static/answers.js";
import { showBench } from "/static/bench.js";
import { $, h } from "/static/dom.js";
import { Editor } from "/static/editor.js";
import { REFUSED, send, valid } from "/static/requests.js";

const MANY = 50;
const NAMES = { ready: "ready", waiting: "not ready", down: "not reachable", foreign: "unusable" };

const page = await (await fetch("/api/page")).json();
const answers = new Answers(page);
const editor = new Editor(() => ask());
let states = {};
let digest = null;
let busy = false;

async function ask(count = 1, atOnce = false, make = valid) {
  const values = editor.fields.length ? editor.values() : null;
  if (values) await submit(make(values), count, atOnce);
}

async function submit(message, count = 1, atOnce = false) {
  if (busy) return;
  busy = true;
  $("answers").setAttribute("aria-busy", "true");
  try {
    await painted();
    const exchanges = await send(message, count, atOnce);
    answers.show(message, exchanges, atOnce);
  } catch (error) {
    $("verdict").className = "verdict none";
    $("verdict").textContent = error.message;
  } finally {
    busy = false;
    $("answers").removeAttribute("aria-busy");
  }
}

// Resolves when the browser has drawn what a click changed: that would take the processor from what is then timed.
async function painted() {
  if (!document.hidden) await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 30)));
}

function onServices({ states: found, model }) {
  const before = states;
  states = found;
  for (const { variant, label, port, local } of page.services) {
    const state = found[variant];
    const starting = page.started && state.state === "down" && before[variant]?.state !== "ready";
    answers.state(variant, state, starting ? "starting…" : NAMES[state.state], state.state === "down" && local ? command(variant, port) : null);
    if (before[variant] && before[variant].state !== state.state) $("services-state").textContent = `${label} is ${NAMES[state.state]}.`;
  }
  const ready = page.services.filter(({ variant }) => found[variant].state === "ready");
  if (!ready.length && !answers.exchanges) {
    const all = page.services.every(({ variant }) => found[variant].state === "down");
    $("verdict").className = "verdict none";
    $("verdict").textContent = page.started
      ? "Both services are starting."
      : `${all ? "Neither service is up" : "No service is ready"}. Once one is, this page goes on by itself.`;
  }
  showModel(ready.map(({ variant }) => [variant, found[variant].model]));
  if (model && model !== digest) loadModel(ready);
  else again(before, ready);
}

function command(variant, port) {
  if (page.started) return null;
  const traced = page.otlp ? `OTEL_EXPORTER_OTLP_ENDPOINT=${page.otlp} ` : "";
  return `${traced}twinscore serve ${variant} --port ${port}`;
}

function showModel(models) {
  const [first, second] = models.map(([, model]) => model);
  if (!first) return;
  const differ = second && first.sha256 !== second.sha256;
  $("model").className = differ ? "model failed" : "model";
  $("model").replaceChildren(
    ...(differ
      ? [`They serve different models: ${first.name} ${first.version} and ${second.name} ${second.version}`]
      : ["Model ", h("b", {}, `${first.name} ${first.version}`), ` by ${[...new Set(models.map(([, model]) => model.backend))].join(" and ")}, `, h("code", {}, first.sha256.slice(0, 12))]),
  );
}

async function loadModel(ready) {
  const model = await (await fetch("/api/model")).json();
  if (!model || digest === model.card.sha256) return;
  digest = model.card.sha256;
  answers.threshold = model.card.decision_threshold;
  editor.load(model);
  $("controls").disabled = false;
  // The first answers come unasked, as soon as all services that are coming have come.
  if (!answers.exchanges) again({}, ready);
}

// Sends the first transaction, and again what a service missed that has come back.
function again(before, ready) {
  const coming = page.services.some(({ variant }) => states[variant].state === "waiting" || (page.started && states[variant].state === "down"));
  if (!answers.exchanges) {
    if (editor.fields.length && ready.length && !coming) ask();
    return;
  }
  const [exchange, ...more] = answers.exchanges;
  const missed = ready.some(({ variant }) => exchange.answers[variant].error && before[variant]?.state !== "ready");
  if (missed && !more.length) submit(answers.message);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
$("turn").addEventListener("click", () => ask(MANY));
$("burst").addEventListener("click", () => ask(MANY, true));
$("refused").append(
  ...REFUSED.map(([name, make]) => h("button", { type: "button", onclick: () => ask(1, false, make) }, name)),
);

const events = new EventSource("/api/events");
events.addEventListener("services", (event) => onServices(JSON.parse(event.data)));
events.addEventListener("spans", (event) => answers.spans(JSON.parse(event.data)));
events.addEventListener("bench", (event) => showBench(JSON.parse(event.data)));
events.addEventListener("open", () => ($("lost").hidden = true));
events.addEventListener("error", () => {
  $("lost").textContent = "twinscore compare itself does not answer: start it again, this page connects by itself.";
  $("lost").hidden = false;
});
