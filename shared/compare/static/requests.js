// The bodies the page sends, and asking its own server to send them.

import { h } from "/static/dom.js";

export const JSON_TYPE = "application/json";
const SHOWN = 64;

export const valid = (values) => ({ body: `{"features": [${values.join(", ")}]}`, content_type: JSON_TYPE });

// What must be refused, each made from the row in the editor.
export const REFUSED = [
  ["NaN", (values) => valid(["NaN", ...values.slice(1)])],
  ["A string", (values) => valid(['"12.50"', ...values.slice(1)])],
  ["Wrong length", (values) => valid(values.slice(1))],
  ["Broken JSON", (values) => ({ ...valid(values), body: valid(values).body.replace(":", "") })],
  ["Wrong content type", (values) => ({ ...valid(values), content_type: "text/plain" })],
];

// The exchanges, or a thrown Error with a sentence to show.
export async function send(message, count = 1, atOnce = false) {
  let response;
  try {
    response = await fetch("/api/send", {
      method: "POST",
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ ...message, count, at_once: atOnce }),
    });
  } catch {
    throw new Error("Nothing was sent: twinscore compare itself does not answer.");
  }
  if (!response.ok) throw new Error(`Nothing was sent: twinscore compare answers ${response.status}.`);
  return (await response.json()).exchanges;
}

// What was sent, with the same as a command for a shell.
export function describe(message, services, times) {
  const size = new TextEncoder().encode(message.body).length;
  const quoted = message.body.replaceAll("'", "'\\''");
  const lines = services.map(
    ({ url }) => `curl -i ${url}/score -H 'content-type: ${message.content_type}' -d '${quoted}'`,
  );
  const { body } = message;
  return [
    h("p", {}, h("code", {}, body.length > SHOWN ? body.slice(0, SHOWN) + "…" : body)),
    h("details", {},
      h("summary", {}, `POST /score, ${message.content_type}, ${size} bytes${times > 1 ? `, ${times} times` : ""}`),
      h("pre", {}, body), h("pre", {}, lines.join("\n\n"))),
  ];
}
