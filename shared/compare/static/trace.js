// What the traces tell: where the time of a request went, and the batches.

import { count, h, ms } from "/static/dom.js";

const SQUARES = 128;

// Bars of one request on a time axis of `total` milliseconds, which both services share.
export function waterfall(answer, view, total) {
  const begin = answer.began;
  const rows = [["at this page", begin, answer.ms, "here"]];
  if (view?.server) rows.push(["POST /score", view.server.began, view.server.ms, "server"]);
  if (view?.inference) {
    const { began, ms: taken, queue_ms: queue } = view.inference;
    rows.push(["inference", began, taken, "inference"]);
    if (queue !== null) rows.push(["queued", began, queue, "queue"]);
  }
  if (view?.batch) rows.push(["batch", view.batch.began, view.batch.ms, "batch"]);
  return h("ul", { class: "waterfall" },
    rows.map(([label, began, taken, kind]) => {
      const bar = h("i", { class: `span-${kind}` });
      // The clocks of two machines may differ: nothing is drawn outside its request.
      const left = Math.min(Math.max(0, began - begin), Math.max(0, answer.ms - taken));
      bar.style.left = `${(100 * left) / total}%`;
      bar.style.width = `max(1px, ${(100 * Math.min(taken, total)) / total}%)`;
      return h("li", {}, h("span", {}, label), h("span", { class: "lane", "aria-hidden": "true" }, bar), h("b", {}, ms(taken)));
    }),
  );
}

// The batches that the traces rode in, in order of time: [{id, rows, ours, began}].
export function batches(views) {
  const found = new Map();
  for (const view of views) {
    if (!view?.batch) continue;
    const batch = found.get(view.batch.id) ?? { id: view.batch.id, rows: view.batch.rows, ours: 0, began: view.batch.began };
    batch.ours += 1;
    found.set(batch.id, batch);
  }
  return [...found.values()].sort((a, b) => a.began - b.began);
}

// A batch as squares, one a row; those of other clients are hollow.
export function squares(batch, index) {
  const shown = Math.min(batch.rows, SQUARES);
  return h("span", { class: `batch turn${index % 2}`, "aria-hidden": "true" },
    Array.from({ length: shown }, (_, row) => h("i", { class: row < batch.ours ? "" : "other" })));
}

export function batchSummary(found, asked) {
  if (asked === 1) {
    const [batch] = found;
    const others = batch.rows - 1;
    return [
      h("p", {}, others ? `In a batch of ${batch.rows}, with ${count(others, "other row")}` : "Alone: a batch of 1 row"),
      h("div", { class: "batches" }, squares(batch, 0)),
      h("p", { class: "quiet id" }, "span ", h("code", {}, batch.id)),
    ];
  }
  const rows = found.reduce((sum, batch) => sum + batch.ours, 0);
  const largest = Math.max(...found.map((batch) => batch.rows));
  return [
    h("p", {}, h("strong", {}, `${count(rows, "row")} in ${count(found.length, "batch", "batches")}`), `, the largest of ${largest}`),
    h("div", { class: "batches" }, found.map(squares)),
    rows < asked && h("p", { class: "quiet" }, `${asked - rows} still to come`),
  ];
}
