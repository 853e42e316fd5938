// The transaction: samples to start from, and every feature by its name.

import { $, count, h } from "/static/dom.js";

// What JSON calls a number; anything else in a field is the reader's slip, not a test of the services.
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const GROUP_OF = 6;

export class Editor {
  // `send` is called when a sample was chosen.
  constructor(send) {
    this.send = send;
    this.fields = [];
    this.row = null;
    $("find").addEventListener("input", () => this.find());
    $("find").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    $("undo").addEventListener("click", () => {
      this.choose(this.sample);
      $("find").focus();
    });
    $("features").open = matchMedia("(min-width: 72rem)").matches;
  }

  load(model) {
    this.features = model.card.features;
    this.samples = model.samples;
    this.fields = this.features.map((feature, index) => new Field(feature, index, () => this.tell()));
    $("fields").replaceChildren(...this.groups().map(([title, fields]) => group(title, fields)));
    $("samples").replaceChildren(
      ...this.samples.map((sample) =>
        h("button", { type: "button", "aria-pressed": "false", onclick: () => this.choose(sample) && this.send() }, sample.name),
      ),
    );
    this.choose(this.samples[0]);
  }

  // Features whose names begin alike stand together; the few others come first.
  groups() {
    const byPrefix = Map.groupBy ? Map.groupBy(this.fields, (field) => field.prefix) : groupBy(this.fields);
    const large = [...byPrefix].filter(([, fields]) => fields.length >= GROUP_OF && fields.length < this.fields.length);
    const grouped = new Set(large.flatMap(([, fields]) => fields));
    const rest = this.fields.filter((field) => !grouped.has(field));
    const titled = large.map(([prefix, fields]) => [prefix[0].toUpperCase() + prefix.slice(1), fields]);
    return rest.length ? [[large.length ? "Transaction" : "All", rest], ...titled] : titled;
  }

  choose(sample) {
    this.sample = sample;
    this.fields.forEach((field, index) => field.set(sample.row[index]));
    this.tell();
    return true;
  }

  tell() {
    const edited = this.fields.filter((field) => field.edited).length;
    const outside = this.fields.filter((field) => field.outside).length;
    [...$("samples").children].forEach((button, index) =>
      button.setAttribute("aria-pressed", String(this.samples[index] === this.sample)),
    );
    const about = this.sample.about;
    $("about").textContent = about[0].toUpperCase() + about.slice(1) + (edited ? `; ${count(edited, "value")} edited` : "");
    $("edited").textContent = `${this.fields.length}${outside ? `, ${outside} outside the range seen in training` : ""}`;
    $("undo").hidden = !edited;
  }

  find() {
    const wanted = $("find").value.trim().toLowerCase();
    for (const field of this.fields) field.element.hidden = !field.text.includes(wanted);
    for (const part of $("fields").children) {
      part.hidden = ![...part.querySelectorAll(".field")].some((element) => !element.hidden);
      if (wanted) part.open = true;
    }
  }

  // The values as JSON texts, as typed; null, with the field in focus, where one is no number.
  values() {
    const wrong = this.fields.find((field) => field.wrong);
    if (wrong) {
      $("features").open = true;
      wrong.element.closest("details.group").open = true;
      wrong.element.hidden = false;
      wrong.input.focus();
      return null;
    }
    return this.fields.map((field) => field.json);
  }
}

class Field {
  constructor(feature, index, changed) {
    const id = `feature-${index}`;
    const { name, unit, description, nullable, observed_min: low, observed_max: high } = feature;
    this.prefix = name.split("_")[0];
    this.text = `${name} ${description} ${unit}`.toLowerCase();
    this.low = low;
    this.high = high;
    this.input = h("input", {
      id, type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", placeholder: "null",
      "aria-describedby": `${id}-about`,
      oninput: () => { this.check(); changed(); },
    });
    this.note = h("span", { class: "note" });
    this.mark = h("i");
    const range = low === null || high === null ? "no values in training" : `${short(low)} to ${short(high)}`;
    this.element = h("div", { class: "field" },
      h("label", { for: id }, name),
      h("span", { class: "unit" }, unit),
      this.input,
      h("span", { class: "range" }, h("span", { class: "track", "aria-hidden": "true" }, this.mark)),
      h("p", { id: `${id}-about` }, `${description}. `, h("span", { class: "seen" }, `${range}${nullable ? " or null" : ""}`), " ", this.note),
    );
  }

  set(value) {
    this.initial = value === null ? "" : String(value);
    this.input.value = this.initial;
    this.check();
  }

  check() {
    const text = this.input.value.trim();
    this.json = text === "" || text === "null" ? "null" : text;
    this.edited = text !== this.initial;
    this.wrong = this.json !== "null" && !NUMBER.test(text);
    const number = this.json === "null" || this.wrong ? null : Number(text);
    const cast = Math.fround(number);
    this.outside = number !== null && this.low !== null && (cast < this.low || cast > this.high);
    this.note.textContent = this.wrong ? "Not a number." : this.outside ? "Outside what training saw." : "";
    this.input.setAttribute("aria-invalid", String(this.wrong));
    this.element.classList.toggle("wrong", this.wrong);
    this.element.classList.toggle("outside", this.outside);
    this.element.classList.toggle("edited", this.edited);
    this.mark.hidden = number === null || this.low === null;
    if (!this.mark.hidden) {
      const share = this.high > this.low ? (number - this.low) / (this.high - this.low) : 0.5;
      this.mark.style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
    }
  }
}

function group(title, fields) {
  return h("details", { class: "group", open: fields.length < 12 },
    h("summary", {}, title, " ", h("span", { class: "quiet" }, String(fields.length))),
    fields.map((field) => field.element),
  );
}

function groupBy(fields) {
  const found = new Map();
  for (const field of fields) found.set(field.prefix, [...(found.get(field.prefix) ?? []), field]);
  return found;
}

// Four significant digits: enough to know where a range ends.
function short(number) {
  return Number(number.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}
