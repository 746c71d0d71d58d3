// The topology of a step as a picture: namespaces, pods, Services, and arrows for who admits whom.

const MANY_PODS = 60; // A larger topology is not drawn.
const MANY_ARROWS = 24; // With more arrows, only those of wrong cells are drawn at first.
const LETTER = 7.3; // The width of a letter of the picture.
const ROW = 24; // The height of a pod or Service.
const GAP = 64; // The room between boxes, for arrows.

let drawn = 0; // The number of pictures so far: each has its own arrow heads.

function picture(step) {
  if (!step.pods.length || !step.cells.length) return null;
  const title = el("h4", {}, "Who connects to whom");
  if (step.pods.length > MANY_PODS) return [title, el("p", { class: "hint" }, `${step.pods.length} pods are too many to draw.`)];
  const items = placeItems(step, document.getElementById("list").clientWidth - 60);
  const arrows = arrowsOf(step, items);
  const id = (drawn += 1);
  const drawing = svg("svg", { width: items.width, height: items.height, viewBox: `0 0 ${items.width} ${items.height}`, role: "img" });
  const choice = arrowChoice(items, arrows, draw);
  function draw(wanted) {
    const shown = arrows.filter((arrow) => wanted === "all" || (wanted === "wrong" ? arrow.isWrong : [arrow.from.key, arrow.to.key].includes(wanted)));
    drawing.setAttribute("aria-label", `${counted(shown.length, "arrow")}: ${shown.map((arrow) => arrow.text).join("; ")}`);
    drawing.replaceChildren(heads(id), ...items.boxes.map(drawBox), ...items.links.map(drawLink), ...shown.map((arrow, place) => drawArrow(arrow, place, id)), ...items.all.map(drawItem), ...shown.map(drawSign));
  }
  draw(choice.querySelector("select").value);
  return [title, choice, el("div", { class: "scroll" }, drawing), el("p", { class: "legend" },
    ["→ connected, as observed", "✗ not as expected", "- - denied, but expected to connect", "I isolated for ingress", "E isolated for egress", "··· endpoint of a Service"]
      .map((text) => el("span", {}, text)))];
}

function arrowChoice(items, arrows, draw) {
  const first = arrows.length <= MANY_ARROWS ? "all" : "wrong";
  const ends = items.all.filter((item) => arrows.some((arrow) => arrow.from === item || arrow.to === item));
  const wrong = arrows.filter((arrow) => arrow.isWrong).length;
  const select = el("select", {}, el("option", { value: "all" }, `all (${arrows.length})`),
    el("option", { value: "wrong" }, `of wrong cells (${wrong})`), ends.map((item) => el("option", { value: item.key }, item.key)));
  select.value = first;
  select.addEventListener("change", () => draw(select.value));
  return el("label", { class: "arrows" }, "Arrows ", select);
}

// Places a box for each namespace, one beside the other, and continues below where there is no room.
function placeItems(step, room) {
  const isolated = new Map();
  for (const object of held(step, "objects")) {
    for (const name of object.selects || []) {
      if (!isolated.has(name)) isolated.set(name, new Set());
      for (const type of object.policy_types) isolated.get(name).add(type[0]);
    }
  }
  const pods = held(step, "pods").map((pod) => ({
    key: nameOf(pod), kind: "pod", box: pod.namespace, text: pod.name,
    note: [...isolated.get(nameOf(pod)) || []].sort().reverse().join(""), more: labelsOf(pod.labels),
  }));
  const services = held(step, "services").map((service) => ({
    key: `svc/${nameOf(service)}`, kind: "service", box: service.namespace, text: `svc ${service.name}`, note: "", more: labelsOf(service.selector), endpoints: service.endpoints,
  }));
  const externals = held(step, "externals").map((host) => ({ key: `external/${host.name}`, kind: "external", box: "outside the cluster", text: host.name, note: "", more: host.addresses.join(", ") }));
  const all = [...pods, ...services, ...externals];
  const names = [...held(step, "namespaces").map((each) => each.name), "outside the cluster"];
  const boxes = names.map((name) => ({ name, items: all.filter((item) => item.box === name) })).filter((box) => box.items.length);
  const size = arrange(boxes, room);
  const byKey = new Map(all.map((item) => [item.key, item]));
  const links = services.flatMap((service) => service.endpoints.map((name) => ({ from: service, to: byKey.get(name) })));
  return { ...size, boxes, all, pods, services, externals, links };
}

function arrange(boxes, room) {
  let [x, y, tallest, width] = [GAP / 2, 4, 0, 0];
  for (const box of boxes) {
    const letters = Math.max(box.name.length, ...box.items.map((item) => item.text.length + (item.note ? item.note.length + 2 : 0)));
    box.width = Math.max(90, letters * LETTER + 34);
    box.height = 26 + box.items.length * (ROW + 6) + 4;
    if (x > GAP / 2 && x + box.width + GAP / 2 > room) [x, y, tallest] = [GAP / 2, y + tallest + 26, 0];
    Object.assign(box, { x, y });
    box.items.forEach((item, place) => Object.assign(item, { x: x + 8, y: y + 26 + place * (ROW + 6), width: box.width - 16 }));
    x += box.width + GAP;
    tallest = Math.max(tallest, box.height);
    width = Math.max(width, x - GAP / 2);
  }
  return { width: Math.ceil(width), height: Math.ceil(y + tallest + 4) };
}

// One arrow for each source and destination that connected, or should have.
function arrowsOf(step, items) {
  const itemOf = (end) => {
    if (end.service !== null) return items.services[end.service];
    if (end.external !== null) return items.externals[end.external];
    return items.pods[end.pods[0]];
  };
  const found = new Map();
  for (let place = 0; place < cellCount(step); place += 1) {
    const cell = cellOf(step, place);
    const [from, to] = [itemOf(cell.from), itemOf(cell.to)];
    const isWrong = cell.status === "wrong";
    if (!from || !to || from === to || (cell.observed !== "allowed" && !isWrong)) continue;
    const key = `${from.key} ${to.key}`;
    const arrow = found.get(key) || { from, to, isWrong: false, isOpen: false, parts: [] };
    arrow.isWrong ||= isWrong;
    arrow.isOpen ||= cell.observed === "allowed";
    arrow.parts.push(`${cell.destination} ${isWrong ? `${cell.observed}, expected ${cell.expected}` : cell.observed}`);
    arrow.text = `${from.key} to ${arrow.parts.join(", ")}`;
    found.set(key, arrow);
  }
  return [...found.values()];
}

function heads(id) {
  const head = (kind) => svg("marker", { id: `head-${kind}-${id}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { d: "M0 1 10 5 0 9z", class: `head-${kind}` }));
  return svg("defs", {}, head("right"), head("wrong"));
}

function drawBox(box) {
  return svg("g", { class: "namespace" }, svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: 4 }),
    lettering(box.x + 8, box.y + 17, box.name));
}

function drawItem(item) {
  const title = svg("title", {});
  title.textContent = item.more ? `${item.key}: ${item.more}` : item.key;
  return svg("g", { class: item.kind }, title,
    svg("rect", { x: item.x, y: item.y, width: item.width, height: ROW, rx: item.kind === "service" ? 12 : 2 }),
    lettering(item.x + 8, item.y + 16, item.text), item.note && lettering(item.x + item.width - 8, item.y + 16, item.note, "end"));
}

function lettering(x, y, text, anchor = "start") {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

function drawLink(link) {
  return link.to ? svg("path", { class: "link", d: curve(link.from, link.to, 0.6).line }) : null;
}

function drawArrow(arrow, place, id) {
  const { line } = curve(arrow.from, arrow.to, bendOf(place));
  const kind = arrow.isWrong ? "wrong" : "right";
  const title = svg("title", {});
  title.textContent = arrow.text;
  return svg("g", { class: `arrow ${kind}${arrow.isOpen ? "" : " shut"}` }, title,
    svg("path", { d: line, "marker-end": `url(#head-${kind}-${id})` }));
}

// The sign of a wrong arrow is drawn last, and beside its source, where it hides no name.
function drawSign(arrow, place) {
  if (!arrow.isWrong) return "";
  const [x, y] = curve(arrow.from, arrow.to, bendOf(place)).early;
  return svg("g", { class: "arrow wrong" }, lettering(x, y + 4, "✗", "middle"));
}

// Arrows of one pair of boxes bend differently, so that they do not lie on each other.
function bendOf(place) {
  return 1 + (place % 5) * 0.12;
}

// A curve between the sides of two items that face each other; in one column, both right sides.
function curve(from, to, bend) {
  const [y1, y2] = [from.y + ROW / 2, to.y + ROW / 2];
  let [x1, x2, c1, c2] = [0, 0, 0, 0];
  if (from.x + from.width < to.x) [x1, x2] = [from.x + from.width, to.x];
  else if (to.x + to.width < from.x) [x1, x2] = [from.x, to.x + to.width];
  else [x1, x2] = [from.x + from.width, to.x + to.width];
  const isBeside = x1 !== from.x + from.width || x2 !== to.x + to.width;
  const reach = (isBeside ? Math.abs(x2 - x1) / 2 : 26) * bend;
  if (isBeside) [c1, c2] = x1 < x2 ? [x1 + reach, x2 - reach] : [x1 - reach, x2 + reach];
  else [c1, c2] = [Math.max(x1, x2) + reach, Math.max(x1, x2) + reach];
  const at = Math.min(0.45, 18 / Math.max(18, Math.abs(c1 - x1) * 3));
  const along = (p0, p1, p2, p3) => (1 - at) ** 3 * p0 + 3 * (1 - at) ** 2 * at * p1 + 3 * (1 - at) * at ** 2 * p2 + at ** 3 * p3;
  return { line: `M${x1} ${y1}C${c1} ${y1} ${c2} ${y2} ${x2} ${y2}`, early: [along(x1, c1, c2, x2), along(y1, y1, y2, y2)] };
}
