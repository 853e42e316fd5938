// What stands in the cells of the table of answers.

import { decades, histogram } from "/static/charts.js";
import { h, ms, quantile } from "/static/dom.js";

export const NOTHING = "–";

// The status of every answer, alike ones together.
export function statusCell(answers) {
  const tally = new Map();
  for (const { error, status, reason } of answers) {
    const text = error ? `No answer: ${error}` : `${status} ${reason}`;
    tally.set(text, { error, times: (tally.get(text)?.times ?? 0) + 1 });
  }
  return [...tally].map(([text, { error, times }]) =>
    h("p", { class: error ? "failed" : "figure" }, answers.length > 1 && `${times} × `, text));
}

// The digits as the service wrote them, and where they lie.
export function probabilityCell(answer, threshold) {
  const digits = /"probability":\s*([^,}\s]+)/.exec(answer.body)[1];
  const level = h("i", { class: "level" });
  level.style.width = `${100 * answer.probability}%`;
  const scale = h("div", { class: "scale", "aria-hidden": "true" }, level);
  if (threshold !== null) {
    const mark = h("i", { class: "threshold" });
    mark.style.left = `${100 * threshold}%`;
    scale.append(mark);
  }
  const side = answer.probability >= threshold ? "At or above" : "Below";
  return [
    h("p", { class: "large digits" }, digits),
    scale,
    threshold !== null && h("p", { class: "quiet" }, `${side} the model's threshold, ${Number(threshold.toPrecision(3))}`),
  ];
}

// A problem document in words.
export function problemCell(answer) {
  const { title, detail, errors = [] } = parse(answer.body) ?? {};
  return [
    h("p", { class: "figure" }, title ?? "No problem document"),
    detail && h("p", {}, detail),
    errors.length > 0 && h("ul", { class: "errors" },
      errors.map(({ loc, msg }) => h("li", {}, h("code", {}, loc.join(".")), ` ${msg}`))),
  ];
}

export const isProblem = ({ headers }) =>
  headers?.some(([name, value]) => name === "content-type" && value === "application/problem+json");

// `times` are those to draw, `both` all on the axis that the services share.
export function timeCell(good, times, both) {
  const last = good.at(-1);
  if (!last) return [NOTHING];
  const sorted = good.map((answer) => answer.ms).sort((a, b) => a - b);
  const one = good.length === 1;
  return [
    h("p", { class: "large" }, ms(one ? last.ms : quantile(sorted, 0.5))),
    h("p", { class: "quiet" }, one ? `On a ${last.reused ? "connection kept open" : "new connection"}` : `Median of ${good.length}`),
    last.status === 200 && times.length > 1 && histogram(times, decades(both)),
  ];
}

export function idCell(id, of) {
  return [h("code", {}, id ?? NOTHING), of > 1 && h("p", { class: "quiet" }, `The last of ${of}`)];
}

// A body as text: parsing and writing numbers again might change their digits.
export function indented(body) {
  if (!/^[[{]/.test(body) || body.length > 20_000) return body;
  let depth = 0;
  let out = "";
  for (const [token] of body.matchAll(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^"{}[\],:\s]+/g)) {
    if (token === "{" || token === "[") out += token + "\n" + "  ".repeat(++depth);
    else if (token === "}" || token === "]") out += "\n" + "  ".repeat(Math.max(0, --depth)) + token;
    else if (token === ",") out += ",\n" + "  ".repeat(Math.max(0, depth));
    else out += token === ":" ? ": " : token;
  }
  return out;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
