// The story of a scenario, step by step. It is rendered when the scenario is opened.

const PANELS = 10; // The maximum number of failing cells of a step that are explained at first.
const ALL_PANELS = 200; // The maximum number that the button below the table explains, and that is printed.

function renderScenario(details) {
  const body = details.querySelector(".body");
  if (body.firstChild) return;
  const scenario = DATA.scenarios[Number(details.dataset.number)];
  body.append(
    wideTerms([
      ["covers", scenario.covers.join(", ")],
      ["catches", scenario.catches.join(", ")],
      ["weak", scenario.weak && "no step changes any cell"],
      ["tables", scenario.snapshot && `a snapshot: what the policies gave on ${scenario.snapshot}`],
    ]),
    ...scenario.steps.map((step, place) => renderStep(scenario, step, place)));
  applyToScenario(details);
}

function renderStep(scenario, step, place) {
  const bad = [];
  for (let at = 0; at < cellCount(step); at += 1) if (BAD.has(statusOf(step, at))) bad.push(at);
  const panels = el("div", { class: "panels" }, bad.slice(0, PANELS).map((at) => cellPanel(scenario, step, cellOf(step, at))));
  return el("section", { class: "step", "data-step": place, "data-outcome": step.outcome },
    el("header", {},
      el("h3", { tabindex: "-1" }, `${step.index + 1}. ${step.name}`),
      el("span", { class: `outcome s-${css(step.outcome)}` }, step.outcome),
      el("a", { class: "where", href: addressOf(scenario, step) }, `line ${step.line}`)),
    step.actions.length ? el("ul", { class: "actions" }, step.actions.map((action) => el("li", {}, action))) : null,
    step.message && el("pre", {}, step.message),
    measures(step),
    step.applied_as.length > 0 && el("p", { class: "why" }, `applied: ${step.applied_as.join(", ")}`),
    step.rebuilt && el("p", { class: "why" }, `the fixture was made again: ${step.rebuilt}`),
    step.ignored.length ? el("p", { class: "why" }, `no effect on this cluster: ${step.ignored.join(", ")}`) : null,
    step.cells.length ? table(scenario, step) : null,
    picture(step),
    bad.length > PANELS && moreButton(scenario, step, bad, panels),
    panels,
    timeline(step),
    step.objects.length ? [el("h4", {}, "Policies and other objects"), held(step, "objects").map((object) => objectBox(object, false))] : null,
    step.outcome !== "skipped" && [el("h4", {}, "Run this step"), command(stepCommand(scenario, step), "run the step")]);
}

function moreButton(scenario, step, bad, panels) {
  const shown = bad.slice(0, ALL_PANELS);
  const text = shown.length < bad.length ? `Explain the first ${shown.length} of ${bad.length} cells that failed` : `Explain all ${bad.length} cells that failed`;
  const button = el("button", { type: "button", class: "more" }, text);
  button.addEventListener("click", () => {
    panels.replaceChildren(...shown.map((at) => cellPanel(scenario, step, cellOf(step, at))));
    button.remove();
  });
  return button;
}

function measures(step) {
  if (!step.cells.length) return null;
  return wideTerms([
    ["cluster", step.cluster],
    ["change", step.change],
    ["turned to TIMEOUT", step.turned_denied && counted(step.turned_denied, "cell")],
    ["turned to allowed", step.turned_allowed && counted(step.turned_allowed, "cell")],
    ["time-to-deny", step.deny_s !== null && seconds(step.deny_s)],
    ["time-to-allow", step.allow_s !== null && seconds(step.allow_s)],
    ["right for", step.held_s !== null && `${seconds(step.held_s)}, then wrong`],
    ["full rounds", String(step.rounds)],
    ["accepted after", seconds(step.sync_s)],
    ["probed for", seconds(step.probe_s)],
  ]);
}

// Opens what an address names, and moves the focus there.
function openAddress(address) {
  const wanted = new URLSearchParams(address.replace(/^#/, ""));
  const number = DATA.scenarios.findIndex((each) => each.file === wanted.get("scenario"));
  if (number < 0) return;
  const scenario = DATA.scenarios[number];
  const place = scenario.steps.findIndex((each) => each.name === wanted.get("step"));
  const details = document.querySelector(`details.scenario[data-number="${number}"]`);
  if (details.hidden) clearFilters();
  details.open = true;
  renderScenario(details);
  const box = details.querySelector(`.step[data-step="${place}"]`);
  if (!box) {
    reveal(details.querySelector("summary"));
    return;
  }
  if (box.hidden) clearFilters();
  const step = scenario.steps[place];
  const cell = findCell(step, wanted);
  reveal(cell ? openCell(box, scenario, step, cell) : box.querySelector("h3"));
}

function findCell(step, wanted) {
  const row = step.rows.indexOf(wanted.get("source"));
  const column = step.columns.findIndex(([destination, family]) =>
    destination === wanted.get("destination") && String(family) === wanted.get("family"));
  for (let place = 0; place < cellCount(step); place += 1) {
    if (step.cells[place * FIELDS] === row && step.cells[place * FIELDS + 1] === column) return cellOf(step, place);
  }
  return null;
}

function openCell(box, scenario, step, cell) {
  const panels = box.querySelector(".panels");
  let panel = panels.querySelector(`.cell[data-place="${cell.place}"]`);
  if (!panel) {
    panel = cellPanel(scenario, step, cell);
    panels.prepend(panel);
  }
  for (const picked of box.querySelectorAll("button.picked")) picked.classList.remove("picked");
  box.querySelector(`table.grid button[data-place="${cell.place}"]`)?.classList.add("picked");
  return panel.querySelector("h4");
}

function reveal(target) {
  target.focus({ preventScroll: true });
  (target.closest(".cell") || target).scrollIntoView({ block: "start" });
}
