// The pairs of a matrix: filters, and the reasons of the chosen pair.

const GRID = document.getElementById("grid");
const PAIR = document.getElementById("pair");
const FROM = document.getElementById("f-from");
const TO = document.getElementById("f-to");
const WORD = document.getElementById("f-word");
const ROWS = [...GRID.tBodies[0].rows];
const COLUMNS = [...GRID.tHead.rows[0].cells].slice(1).map((head) => head.textContent);

function matches(name, input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => name.toLowerCase().includes(word));
}

function applyPairFilters() {
  const isWanted = (box) => Boolean(box.firstChild) && (!WORD.value || box.firstChild.classList.contains(WORD.value));
  const rows = ROWS.filter((row) => matches(row.cells[0].textContent, TO));
  const columns = COLUMNS.map((name) => matches(name, FROM));
  const boxes = (row) => [...row.cells].slice(1).filter((_, column) => columns[column]);
  const kept = rows.filter((row) => boxes(row).some(isWanted));
  const used = columns.map((is, column) => is && kept.some((row) => isWanted(row.cells[column + 1])));
  for (const row of ROWS) row.hidden = !kept.includes(row);
  for (const row of [GRID.tHead.rows[0], ...ROWS]) {
    used.forEach((is, column) => { row.cells[column + 1].hidden = !is; });
  }
  let shown = 0;
  for (const button of GRID.querySelectorAll("tbody button")) {
    const box = button.parentElement;
    const isShown = !box.hidden && !box.parentElement.hidden;
    const isFaded = WORD.value !== "" && !button.classList.contains(WORD.value);
    button.classList.toggle("faded", isFaded);
    shown += isShown && !isFaded ? 1 : 0;
  }
  document.getElementById("f-count").textContent = `${shown} of ${counted(DATA.pairs.length, "pair")}`;
}

function titleOf(button) {
  const destination = button.closest("tr").cells[0].textContent;
  return `${COLUMNS[button.parentElement.cellIndex - 1]} -> ${destination}`;
}

function showPair(button) {
  for (const other of GRID.querySelectorAll("button.picked")) other.classList.remove("picked");
  button.classList.add("picked");
  const [word, reasons, packets] = DATA.pairs[Number(button.dataset.at)];
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => hidePair(button));
  const lines = DATA.reasons[reasons];
  PAIR.replaceChildren(
    el("header", {}, el("h3", { class: "pair" }, titleOf(button)),
      el("span", { class: `count ${button.classList[0]}` }, DATA.words[word]), el("div", { class: "tools" }, close)),
    lines.length ? el("pre", {}, lines.join("\n")) : "",
    packets < 0 ? "" : el("pre", {}, DATA.packets[packets].join("\n")));
  PAIR.hidden = false;
  history.replaceState(null, "", `#${encodeURIComponent(titleOf(button))}`);
}

function hidePair(button) {
  PAIR.hidden = true;
  button.classList.remove("picked");
  history.replaceState(null, "", location.pathname + location.search);
  focusCell(button);
}

// The pair that the address names, if it names one.
function openPair() {
  let wanted;
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  const found = wanted.includes(" -> ") && [...GRID.querySelectorAll("tbody button")].find((button) => titleOf(button) === wanted);
  if (!found) return;
  showPair(found);
  focusCell(found);
}

for (const button of GRID.querySelectorAll("tbody button")) {
  const label = `${titleOf(button)}: ${DATA.words[DATA.pairs[Number(button.dataset.at)][0]]}`;
  button.setAttribute("aria-label", label);
  button.title = label;
}
GRID.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) { focusCell(button); showPair(button); }
});
GRID.addEventListener("keydown", moveInTable);
addEventListener("keydown", (event) => {
  const picked = GRID.querySelector("button.picked");
  if (event.key === "Escape" && picked && !PAIR.hidden) hidePair(picked);
});
for (const input of [FROM, TO]) input.addEventListener("input", applyPairFilters);
WORD.addEventListener("change", applyPairFilters);
FROM.form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", openPair);
makeReachable(GRID);
applyPairFilters();
openPair();
document.documentElement.dataset.ready = "yes";
