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
  const back = el("button", { type: "button" }, "back to the table");
  const panel = el("section", { class: BAD.has(cell.status) ? "cell bad" : "cell", "data-place": cell.place, "aria-label": pairOf(cell) },
    el("header", {}, title, el("div", { class: "tools" }, el("a", { href: address }, "link to this cell"), back)),
    facts(cell), path(cell), network(cell), ends(step, cell), policies(step, cell),
    repeat(scenario, step, cell), earlier(cell));
  back.addEventListener("click", () => {
    const buttons = [...panel.closest(".step").querySelectorAll("table.grid button")];
    const own = buttons.find((button) => button.dataset.place === String(cell.place));
    const target = own || buttons[0]; // The row of the cell may not be shown.
    if (target) focusCell(target);
  });
  return panel;
}

function headline(cell) {
  if (cell.status === "no verdict") return `no verdict, expected ${cell.expected}`;
  if (cell.status === "wrong") return `observed ${cell.observed}, expected ${cell.expected}`;
  return `${cell.observed} (${cell.status})`;
}

function facts(cell) {
  const flaps = (cell.flapped || []).map((flap) => `${flap.observed} ${during(flap)}`);
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
    ["probe output", cell.raw?.trim() && el("pre", {}, cell.raw.trim())],
  ]);
}

function wrongMoments(cell) {
  if (cell.wrong_until_s === undefined) return "";
  const first = cell.wrong_from_s === undefined ? "" : `first after ${seconds(cell.wrong_from_s)}, `;
  return `${first}last after ${seconds(cell.wrong_until_s)} (since the cluster accepted the state)`;
}

function path(cell) {
  const lines = cell.reasons || cell.path.join("\n");
  if (!lines) return null;
  return [el("h5", {}, `Why ${cell.stated || cell.expected} is expected`), el("pre", {}, lines)];
}

function network(cell) {
  if (!cell.cni) return null;
  return [el("h5", {}, "What the CNI says"), el("pre", {}, cell.cni.says)];
}

function ends(step, cell) {
  const boxes = [endBox(step, "Source", cell.source, cell.from), endBox(step, "Destination", cell.destination, cell.to)];
  return boxes.some(Boolean) ? el("div", { class: "ends" }, boxes) : null;
}

function endBox(step, title, text, end) {
  const [pods, services, externals] = ["pods", "services", "externals"].map((what) => held(step, what));
  const parts = [];
  if (end.service !== null) parts.push(serviceTerms(services[end.service]));
  if (end.external !== null) parts.push(externalTerms(externals[end.external]));
  for (const place of end.pods) parts.push(podTerms(step, pods[place]));
  return parts.length ? el("div", {}, el("h5", {}, `${title} ${text}`), parts) : null;
}

function podTerms(step, pod) {
  const selecting = held(step, "objects").filter((object) => actsOn(object, pod));
  const where = pod.placed_on ? `${pod.placed_on} (worker ${pod.node})` : `worker ${pod.node}`;
  return terms([
    ["pod", mono(nameOf(pod))],
    ["its labels", mono(labelsOf(pod.labels) || "none")],
    ["of its namespace", mono(labelsOf(held(step, "namespaces").find((each) => each.name === pod.namespace)?.labels || {}) || "none")],
    ["kind", pod.kind === "usual" ? "" : pod.kind],
    ["node", mono(where)],
    ["addresses", pod.addresses.length ? mono(pod.addresses.join(", ")) : ""],
    ["ports", pod.ports.length ? mono(portsOf(pod.ports)) : ""],
    ["readiness", pod.readiness],
    ["selected by", selecting.map(selection).join("; ") || "no policy"],
  ]);
}

// An object of which the meaning is not known may act on every pod of its namespace.
function actsOn(object, pod) {
  if (object.selects === null) return !object.namespace || object.namespace === pod.namespace;
  return object.selects.includes(nameOf(pod));
}

function selection(object) {
  if (object.selects === null) return `${object.kind} ${object.name} (may, its meaning is not known)`;
  return object.policy_types.length ? `${object.name} (${object.policy_types.join(", ")})` : `${object.kind} ${object.name}`;
}

function serviceTerms(service) {
  const ports = service.ports.map((port) => `${port.number}/${port.protocol} to ${port.target}`);
  return terms([
    ["Service", mono(`${nameOf(service)} (${service.type})`)],
    ["selector", mono(labelsOf(service.selector) || "none")],
    ["ports", mono(ports.join(", "))],
    ["addresses", service.addresses.length ? mono(service.addresses.join(", ")) : ""],
    ["endpoints", mono(service.endpoints.join(", ") || "none")],
  ]);
}

function externalTerms(host) {
  return terms([
    ["host outside", mono(host.name)],
    ["addresses", mono(host.addresses.join(", "))],
    ["ports", host.ports.length ? mono(portsOf(host.ports)) : ""],
  ]);
}

function portsOf(ports) {
  return ports.map((port) => `${port.number}/${port.protocol}${port.name ? ` (${port.name})` : ""}`).join(", ");
}

function mono(text) {
  return el("span", { class: "mono" }, text);
}

function policies(step, cell) {
  const all = held(step, "pods");
  const pods = [...cell.from.pods, ...cell.to.pods].map((place) => all[place]);
  const found = held(step, "objects").filter((object) => pods.some((pod) => actsOn(object, pod)));
  if (!found.length) return step.pods.length ? el("p", { class: "hint" }, "No policy selects either end.") : null;
  return [el("h5", {}, "Policies that select either end, as applied"), found.map((object) => objectBox(object, BAD.has(cell.status)))];
}

function objectBox(object, isOpen) {
  const where = object.location && el("span", { class: "where" }, object.location);
  return el("details", { class: "object", open: isOpen },
    el("summary", {}, mono(`${object.kind} ${nameOf(object)}`), " ", where), el("pre", {}, object.yaml));
}

function repeat(scenario, step, cell) {
  const explain = ["netpol", "explain", quoted(scenario.file), quoted(cell.source), quoted(cell.destination), "--step", quoted(step.name)];
  return [
    el("h5", {}, "Commands"),
    cell.command && command(cell.command, "repeat the probe"),
    cell.cni?.command && command(cell.cni.command, "ask the CNI"),
    command(stepCommand(scenario, step), "run the step"),
    command(explain.join(" "), "explain the verdict"),
  ];
}

function stepCommand(scenario, step) {
  return `netpol run ${quoted(`${scenario.file}::${step.name}`)} ${DATA.options}`;
}

function earlier(cell) {
  if (!cell.earlier) return null;
  return [el("h5", {}, "Earlier results"),
    el("ul", {}, cell.earlier.map((run) => el("li", {},
      `${run.started} ${run.cluster}: ${run.observed || "no verdict"} `, el("span", { class: `count s-${css(run.status)}` }, run.status))))];
}
