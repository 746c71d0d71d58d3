// Everything about one cell: what was observed and when, why another verdict was expected, how to repeat it.

const MEANING = {
  proven: "as in the file, with evidence for a denial",
  wrong: "another verdict than the expected one, and the API defines the verdict",
  "no verdict": "the probe gave no verdict: nothing was learned about the policies",
  limited: "the verdict of a known limitation of this cluster",
  undefined: "the API leaves the verdict undefined, so any verdict is accepted",
  exempt: "as expected, and the pair is declared never-allowed: it proves nothing about the policies",
  unproven: "a denial as expected, but the pair was never seen connecting",
  "not judged": "as in the file, but the oracle cannot check the file's verdict",
};

function cellPanel(scenario, step, cell) {
  const address = addressOf(scenario, step, cell);
  const sign = BAD.has(cell.status) ? "✗ " : "";
  const title = el("h4", { tabindex: "-1" }, `${sign}${pairOf(cell)}: ${headline(cell)}`);
  const panel = el("section", { class: BAD.has(cell.status) ? "cell bad" : "cell", "data-place": cell.place, "aria-label": pairOf(cell) },
    el("header", {}, title, el("div", { class: "tools" }, el("a", { href: address }, "link to this cell"), toTable(panelTable, cell))),
    facts(cell), path(step, cell), network(cell), ends(step, cell), policies(step, cell),
    repeat(scenario, step, cell), earlier(cell));
  function panelTable() {
    return panel.closest(".step")?.querySelector(`table.grid button[data-place="${cell.place}"]`);
  }
  return panel;
}

function toTable(find) {
  const button = el("button", { type: "button" }, "back to the table");
  button.addEventListener("click", () => {
    const found = find();
    if (found) focusCell(found);
  });
  return button;
}

function headline(cell) {
  if (cell.status === "no verdict") return `no verdict, expected ${cell.expected}`;
  if (cell.status === "wrong") return `observed ${cell.observed}, expected ${cell.expected}`;
  return `${cell.observed} (${cell.status})`;
}

function facts(cell) {
  const flaps = (cell.flapped || []).map((flap) => `${flap.observed} from ${seconds(flap.from_s)} to ${seconds(flap.until_s)}`);
  const control = cell.control && `the same pair without policies: ${cell.control}`;
  return terms([
    ["status", [el("span", { class: `count s-${css(cell.status)}` }, cell.status), ` ${MEANING[cell.status]}`]],
    ["expected in", el("span", { class: "mono" }, cell.location)],
    ["the file says", cell.stated],
    ["reason", cell.reason],
    ["known limitation", cell.limitation],
    ["denied by", cell.rejected && "rejecting: this cluster answers REFUSED"],
    ["wrong", wrongMoments(cell)],
    ["flapped", flaps.join(", ")],
    ["control step", control],
    ["probe output", cell.raw && cell.raw.trim() && el("pre", {}, cell.raw.trim())],
  ].filter(([, value]) => value));
}

function wrongMoments(cell) {
  if (cell.wrong_until_s === undefined) return "";
  const first = cell.wrong_from_s === undefined ? "" : `first after ${seconds(cell.wrong_from_s)}, `;
  return `${first}last after ${seconds(cell.wrong_until_s)} (since the cluster accepted the state)`;
}

function path(step, cell) {
  if (!cell.reasons) return null;
  return [el("h5", {}, `Why ${cell.stated || cell.expected} is expected`), el("pre", {}, cell.reasons)];
}

function network() {
  return null;
}

function ends() {
  return null;
}

function policies() {
  return null;
}

function repeat(scenario, step, cell) {
  const explain = ["netpol", "explain", quoted(scenario.file), quoted(cell.source), quoted(cell.destination), "--step", quoted(step.name)];
  return [
    el("h5", {}, "Commands"),
    cell.command && command(cell.command, "repeat the probe"),
    command(stepCommand(scenario, step), "run the step"),
    command(explain.join(" "), "explain the verdict"),
  ];
}

function stepCommand(scenario, step) {
  return `netpol run ${quoted(`${scenario.file}::${step.name}`)} --cluster=${DATA.cluster}`;
}

function earlier(cell) {
  if (!cell.earlier) return null;
  return [el("h5", {}, "Earlier results"),
    el("ul", {}, cell.earlier.map((run) => el("li", {},
      `${run.started} ${run.cluster}: ${run.observed || "no verdict"} `, el("span", { class: `count s-${css(run.status)}` }, run.status))))];
}
