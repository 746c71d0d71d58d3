// Connects the elements of the page with what they do.

FILTERS.text.addEventListener("input", applyFilters);
for (const name of ["status", "requirement", "scenario"]) FILTERS[name]?.addEventListener("change", applyFilters);
FILTERS.view.addEventListener("change", changeView);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("filters").addEventListener("reset", () => setTimeout(() => { applyFilters(); changeView(); }));

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-requirement], .totals button");
  if (!target) return;
  if (target.dataset.requirement) {
    FILTERS.requirement.value = target.dataset.requirement;
  } else {
    const status = statusOfButton(target);
    FILTERS.status.value = chosen("status") === status ? "" : status;
  }
  applyFilters();
});

// The addresses of failures are made here, so that they are written only once.
for (const link of document.querySelectorAll(".failed [data-place]")) {
  const [number, place, at = -1] = link.dataset.place.split("/").map(Number);
  const scenario = DATA.scenarios[number];
  const step = scenario.steps[place];
  link.href = addressOf(scenario, step, at < 0 ? null : cellOf(step, at));
}

// A second click on the same link must lead there again, although the address stays.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.getAttribute("href") === location.hash) openAddress(location.hash);
});

document.getElementById("list").addEventListener("toggle", (event) => {
  if (event.target.open && event.target.matches(".scenario")) renderScenario(event.target);
}, true);

addEventListener("hashchange", () => openAddress(location.hash));
addEventListener("beforeprint", () => {
  for (const failed of document.querySelectorAll(".failed")) {
    const details = document.querySelector(`details.scenario[data-number="${failed.dataset.scenario}"]`);
    details.open = true;
    renderScenario(details);
    for (const button of details.querySelectorAll("button.more")) button.click();
  }
});

applyFilters();
if (location.hash) openAddress(location.hash);
document.documentElement.dataset.ready = "yes";
