// Which scenarios, steps and failures are shown: by text, status, requirement and scenario.

const FILTERS = Object.fromEntries(["text", "status", "requirement", "scenario", "view"]
  .map((name) => [name, document.getElementById(`f-${name}`)]));

function chosen(name) {
  return FILTERS[name]?.value.trim() || "";
}

function clearFilters() {
  for (const name of ["text", "status", "requirement", "scenario"]) if (FILTERS[name]) FILTERS[name].value = "";
  applyFilters();
}

// Every text of a scenario that the search finds, in lower case; made when the first search needs it.
function searchText(scenario) {
  scenario.search ??= [scenario.name, scenario.file, ...scenario.covers, ...scenario.catches,
    ...scenario.steps.map(stepText)].join("\n").toLowerCase();
  return scenario.search;
}

function stepText(step) {
  const destinations = step.columns.map(([destination]) => destination);
  const objects = held(step, "objects").map((object) => `${object.kind} ${nameOf(object)}`);
  return [step.name, step.message, ...step.actions, ...step.rows, ...destinations, ...objects].join("\n");
}

function matchesStatus(step, wanted) {
  const [kind, word] = wanted.split(":");
  if (kind !== "cell") return !kind || step.outcome === word;
  const status = DATA.statuses.indexOf(word);
  for (let at = 4; at < step.cells.length; at += FIELDS) if (step.cells[at] === status) return true;
  return false;
}

function matches(scenario, number) {
  const text = chosen("text").toLowerCase();
  const [requirement, wanted] = [chosen("requirement"), chosen("scenario")];
  return (!wanted || wanted === String(number))
    && (!requirement || scenario.covers.includes(requirement))
    && (!text || text.split(/\s+/).every((word) => searchText(scenario).includes(word)))
    && scenario.steps.some((step) => matchesStatus(step, chosen("status")));
}

function applyFilters() {
  const shown = DATA.scenarios.map(matches);
  for (const details of document.querySelectorAll("details.scenario")) {
    details.hidden = !shown[Number(details.dataset.number)];
    applyToScenario(details);
  }
  for (const failed of document.querySelectorAll(".failed")) {
    const scenario = DATA.scenarios[Number(failed.dataset.scenario)];
    const step = scenario.steps[Number(failed.dataset.step)];
    failed.hidden = !shown[Number(failed.dataset.scenario)] || !matchesStatus(step, chosen("status"));
  }
  const number = shown.filter(Boolean).length;
  document.getElementById("none").hidden = number > 0;
  document.getElementById("f-count").textContent = `${number} of ${counted(shown.length, "scenario")}`;
  for (const button of document.querySelectorAll(".totals button")) {
    button.setAttribute("aria-pressed", String(statusOfButton(button) === chosen("status")));
  }
}

// In a scenario that was opened, hides steps of another status and fades cells of another status.
function applyToScenario(details) {
  const scenario = DATA.scenarios[Number(details.dataset.number)];
  const status = chosen("status");
  for (const box of details.querySelectorAll(".step")) box.hidden = !matchesStatus(scenario.steps[Number(box.dataset.step)], status);
  for (const button of details.querySelectorAll("table.grid button")) {
    button.classList.toggle("faded", status.startsWith("cell:") && status !== `cell:${button.dataset.status}`);
  }
}

function statusOfButton(button) {
  return button.dataset.status ? `cell:${button.dataset.status}` : `step:${button.dataset.outcome}`;
}

function changeView() {
  for (const details of document.querySelectorAll("details.scenario")) {
    const scenario = DATA.scenarios[Number(details.dataset.number)];
    for (const button of details.querySelectorAll("table.grid button")) {
      const step = scenario.steps[Number(button.closest(".step").dataset.step)];
      const isPicked = button.classList.contains("picked");
      const isNarrow = step.columns.length >= NARROW_FROM;
      [button.textContent, button.className] = entry(cellOf(step, Number(button.dataset.place)), chosen("view"), isNarrow);
      button.classList.toggle("picked", isPicked);
    }
    applyToScenario(details);
  }
}
