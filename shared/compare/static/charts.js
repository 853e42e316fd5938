// Pictures of times.

import { h, ms, quantile, s } from "/static/dom.js";

const BINS = 8; // a decade
const WIDTH = 240;
const HEIGHT = 44;

// The decades that hold all values, as powers of ten; never less than one.
export function decades(values) {
  const low = Math.floor(Math.log10(Math.max(1e-3, Math.min(...values))));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) + 1e-9))];
}

// How often each time was seen, on a logarithmic axis that both services share; the last one is marked.
export function histogram(values, [low, high]) {
  const sorted = [...values].sort((a, b) => a - b);
  const x = (value) => ((Math.log10(Math.max(10 ** low, value)) - low) / (high - low)) * WIDTH;
  const bins = new Array((high - low) * BINS).fill(0);
  for (const value of values) bins[Math.min(bins.length - 1, Math.floor((x(value) / WIDTH) * bins.length))] += 1;
  const most = Math.max(...bins);
  const step = WIDTH / bins.length;
  const bars = bins.map((seen, index) => {
    const height = seen ? Math.max(2, (seen / most) * (HEIGHT - 6)) : 0;
    return seen && s("rect", { class: "bar", x: index * step + 0.5, y: HEIGHT - height, width: step - 1, height });
  });
  const last = x(values.at(-1));
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  const text = `Median ${ms(quantile(sorted, 0.5))}, p99 ${ms(quantile(sorted, 0.99))}, of the last ${values.length}`;
  return h("div", { class: "histogram" },
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `Distribution of times: ${text}` },
      ...ticks.map((tick) => s("line", { class: "tick", x1: x(tick), x2: x(tick), y1: 0, y2: HEIGHT })),
      ...bars.filter(Boolean),
      s("line", { class: "now", x1: last, x2: last, y1: 0, y2: HEIGHT }),
    ),
    h("div", { class: "axis", "aria-hidden": "true" }, ticks.map((tick) => h("span", {}, `${tick}`))),
    h("p", { class: "quiet" }, text),
  );
}

// Every request of a burst as a line from its sending to its answer, coloured by turns of the batch it rode in.
export function staircase(requests, total) {
  const first = Math.min(...requests.map((request) => request.began));
  const ordered = [...requests].sort((a, b) => a.began + a.ms - (b.began + b.ms));
  const lines = ordered.map(({ began, ms: taken, turn }, index) =>
    s("rect", {
      class: turn === null ? "request" : `request turn${turn % 2}`,
      x: ((began - first) / total) * WIDTH, y: index * 3, width: Math.max(1, (taken / total) * WIDTH), height: 2,
    }),
  );
  const height = ordered.length * 3;
  return h("div", { class: "staircase" },
    s("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${ordered.length} requests, from sending to answer, in the order of their answers` }, ...lines),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, ms(total))),
  );
}
