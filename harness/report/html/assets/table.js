// A truth table: sources are rows, destinations are columns, and each cell is a button.

const NARROW_FROM = 13; // With so many columns, heads are vertical and cells have symbols.
const MANY_CELLS = 3000; // A larger table begins with the rows that are not as expected.
const SYMBOLS = { allowed: "✓", TIMEOUT: "✕", REFUSED: "⊘", DNS: "dns", OTHER: "…", "": "?" };

function table(scenario, step) {
  const rows = new Map();
  for (let place = 0; place < cellCount(step); place += 1) {
    const row = step.cells[place * FIELDS];
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push(place);
  }
  const isNarrow = step.columns.length >= NARROW_FROM;
  const heads = step.columns.map(([destination, family]) =>
    el("th", { scope: "col" }, el("span", {}, family === 6 ? `${destination} (IPv6)` : destination)));
  const body = el("tbody");
  const made = el("table", { class: isNarrow ? "grid narrow" : "grid" },
    el("caption", { class: "quiet" }, `Truth table of the step ${step.name}. Arrow keys move between cells, Enter explains one.`),
    el("thead", {}, el("tr", {}, el("td"), heads)), body);
  const shown = [...rows].filter(([, places]) => isShownFirst(step, places));
  body.append(...shown.map(([row, places]) => tableRow(step, row, places)));
  const hidden = rows.size - shown.length;
  made.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) location.hash = addressOf(scenario, step, cellOf(step, Number(button.dataset.place)));
  });
  made.addEventListener("keydown", moveInTable);
  makeReachable(made);
  const box = el("div", { class: "scroll" }, made);
  if (!hidden) return [box, legend(isNarrow)];
  const all = el("button", { type: "button" }, `Show ${counted(hidden, "more row")}, all as expected`);
  all.addEventListener("click", () => {
    body.replaceChildren(...[...rows].map(([row, places]) => tableRow(step, row, places)));
    makeReachable(made);
    all.remove();
  });
  return [box, all, legend(isNarrow)];
}

function isShownFirst(step, places) {
  return cellCount(step) <= MANY_CELLS || places.some((place) => statusOf(step, place) !== "proven");
}

function tableRow(step, row, places) {
  const found = new Map(places.map((place) => [step.cells[place * FIELDS + 1], place]));
  const isNarrow = step.columns.length >= NARROW_FROM;
  const boxes = step.columns.map((_, column) => {
    const box = document.createElement("td");
    if (found.has(column)) box.append(cellButton(cellOf(step, found.get(column)), isNarrow));
    return box;
  });
  return el("tr", {}, el("th", { scope: "row" }, step.rows[row]), boxes);
}

function cellButton(cell, isNarrow) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.place = cell.place;
  button.dataset.status = cell.status;
  const [text, kind] = entry(cell, document.getElementById("f-view").value, isNarrow);
  button.textContent = text;
  button.className = kind;
  if (isNarrow) {
    button.title = `${pairOf(cell)}: ${words(cell)}`;
    button.setAttribute("aria-label", button.title);
  }
  return button;
}

// The text of a cell and its class, in the chosen view.
function entry(cell, view, isNarrow) {
  const word = (verdict) => (isNarrow ? SYMBOLS[verdict] : verdict || "no verdict");
  if (view === "expected") return [word(cell.expected), verdictClass(cell.expected)];
  if (view === "observed") return [word(cell.observed), verdictClass(cell.observed)];
  const flap = cell.flapped ? " ~" : "";
  if (cell.status === "proven") return [`${word(cell.observed)}${flap}`, verdictClass(cell.observed)];
  if (cell.status === "wrong") {
    return [isNarrow ? `≠${word(cell.observed)}` : `✗ ${cell.observed} ≠ ${cell.expected}`, "c-wrong"];
  }
  if (cell.status === "no verdict") return [isNarrow ? "?" : `? no verdict ≠ ${cell.expected}`, "s-no-verdict"];
  return [isNarrow ? `${word(cell.observed)}*` : `${cell.observed} (${cell.status})${flap}`, `s-${css(cell.status)}`];
}

function words(cell) {
  const observed = cell.observed ? `observed ${cell.observed}` : "no verdict";
  return `${observed}, expected ${cell.expected}, ${cell.status}`;
}

function verdictClass(verdict) {
  return verdict === "allowed" ? "v-allowed" : verdict ? "v-denied" : "v-none";
}

function legend(isNarrow) {
  const symbols = isNarrow
    ? ["✓ allowed", "✕ TIMEOUT", "⊘ REFUSED", "? no verdict", "≠ before a symbol: not as expected", "* after a symbol: see the cell", "~ flapped"]
    : ["✗ observed ≠ expected", "(status) the cell proves nothing", "~ flapped"];
  return el("p", { class: "legend" }, symbols.map((text) => el("span", {}, text)));
}

// One cell of a table is in the tab order: the last one that had the focus.
function makeReachable(made) {
  const first = made.querySelector("button.c-wrong, button.s-no-verdict, button.s-unproven") || made.querySelector("td button");
  if (first) first.tabIndex = 0;
}

function moveInTable(event) {
  const button = event.target.closest("td button");
  if (!button) return;
  const box = button.parentElement;
  const row = box.parentElement;
  const rows = [...row.parentElement.rows];
  const at = box.cellIndex;
  const along = (cells) => cells.find((each) => each && !each.hidden && !each.parentElement.hidden && each.querySelector("button"));
  const targets = {
    ArrowRight: () => along([...row.cells].slice(at + 1)),
    ArrowLeft: () => along([...row.cells].slice(1, at).reverse()),
    ArrowDown: () => along(rows.slice(row.sectionRowIndex + 1).map((each) => each.cells[at])),
    ArrowUp: () => along(rows.slice(0, row.sectionRowIndex).reverse().map((each) => each.cells[at])),
    Home: () => along([...row.cells].slice(1)),
    End: () => along([...row.cells].slice(1).reverse()),
  };
  const target = targets[event.key]?.();
  if (!target) return;
  event.preventDefault();
  focusCell(target.querySelector("button"));
}

function focusCell(button) {
  for (const other of button.closest("table").querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}
