// The data of the page, and how elements are made. Text is only ever set as text.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FIELDS = 9; // The numbers of a cell, in the order of `cellOf`.
const BAD = new Set(["wrong", "no verdict", "unproven"]); // The statuses that fail a step.

function el(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children.flat(Infinity).filter(Boolean));
  return made;
}

function css(words) {
  return words.replaceAll(" ", "-");
}

function counted(number, noun) {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

function seconds(value) {
  return `${value.toFixed(2)} s`;
}

function cellOf(step, place) {
  const at = place * FIELDS;
  const [row, column, expected, observed, status, file, line, character, path] = step.cells.slice(at, at + FIELDS);
  const [destination, family] = step.columns[column];
  const where = DATA.texts[file];
  return {
    place, row, column, family, destination,
    source: step.rows[row],
    expected: DATA.texts[expected],
    observed: DATA.texts[observed],
    status: DATA.statuses[status],
    location: line ? `${where}:${line}:${character}` : where,
    path: step.paths[path].map((line) => DATA.texts[line]),
    from: step.row_ends[row],
    to: step.column_ends[column],
    ...step.more[place],
  };
}

// What a step held: "namespaces", "pods", "services", "externals" or "objects".
function held(step, what) {
  return step[what].map((place) => DATA.things[place]);
}

function nameOf(thing) {
  return thing.namespace ? `${thing.namespace}/${thing.name}` : thing.name;
}

function labelsOf(labels) {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(", ");
}

function cellCount(step) {
  return step.cells.length / FIELDS;
}

function statusOf(step, place) {
  return DATA.statuses[step.cells[place * FIELDS + 4]];
}

function pairOf(cell) {
  return `${cell.source} -> ${cell.destination}${cell.family === 6 ? " (IPv6)" : ""}`;
}

// The address of a cell in this page: the same in every run of the scenario.
function addressOf(scenario, step, cell) {
  const parts = { scenario: scenario.file, step: step.name };
  if (cell) Object.assign(parts, { source: cell.source, destination: cell.destination, family: cell.family });
  return `#${new URLSearchParams(parts)}`;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

// A word of a command as a shell reads it.
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function command(text, what) {
  const code = el("pre", {}, text);
  const button = el("button", { type: "button", "aria-label": `Copy the command: ${what}` }, "copy");
  button.addEventListener("click", () => copy(text, code, button));
  return el("div", { class: "command" }, code, button);
}

async function copy(text, shown, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
    say("copied");
  } catch {
    getSelection().selectAllChildren(shown);
    button.textContent = "selected";
    say("selected: copy it with the keyboard");
  }
}

// Names and values, without those that have no value.
function terms(pairs) {
  return el("dl", {}, known(pairs).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

// The same side by side.
function wideTerms(pairs) {
  const shown = known(pairs).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("dl", { class: "measures" }, shown);
}

function known(pairs) {
  return pairs.filter(([, value]) => value);
}
