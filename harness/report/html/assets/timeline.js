// What happened over time: when cells were wrong, flaps, and watched pairs.

const WORDS = 3; // The maximum number of times in the text of a line; its bar shows all.
const BARS = 20; // The maximum number of cells in the time line of a step; the slowest are shown.

function timeline(step) {
  return [convergence(step), overTime(step.watched, "Watched pairs", watchedLine), overTime(step.started, "Pairs from the start of a pod", startedLine)];
}

function convergence(step) {
  const late = [];
  for (const [place, more] of Object.entries(step.more)) {
    if (more.wrong_until_s > 0 || more.flapped) late.push(cellOf(step, Number(place)));
  }
  if (!late.length) return null;
  const last = (cell) => Math.max(cell.wrong_until_s || 0, ...(cell.flapped || []).map((flap) => flap.until_s));
  late.sort((one, other) => last(other) - last(one));
  const lines = late.slice(0, BARS).map((cell) => ({
    label: pairOf(cell),
    parts: wrongTimes(cell),
    text: listed(wrongTimes(cell).map((part) => part.text)),
  }));
  const rest = late.length > BARS && el("p", { class: "hint" }, `and ${counted(late.length - BARS, "more cell")}, right earlier`);
  return el("section", {},
    el("h4", {}, `Wrong over time: ${late.length} of ${counted(cellCount(step), "cell")}`),
    bars(lines, Math.max(step.probe_s, ...late.map(last))), rest,
    el("p", { class: "hint" }, "seconds after the cluster accepted the state"));
}

function wrongTimes(cell) {
  const flaps = (cell.flapped || []).map((flap) => ({
    from: flap.from_s, until: flap.until_s, kind: "wrong",
    text: `${flap.observed} again ${during(flap)}`,
  }));
  const isFlap = flaps.some((flap) => flap.until === cell.wrong_until_s);
  if (!cell.wrong_until_s || isFlap) return flaps;
  const from = cell.wrong_from_s || 0;
  return [{ from, until: cell.wrong_until_s, kind: "wrong", text: `wrong until ${seconds(cell.wrong_until_s)}` }, ...flaps];
}

function overTime(pairs, title, line) {
  if (!pairs.length) return null;
  const lines = pairs.map(line);
  const end = Math.max(0.001, ...lines.flatMap((each) => each.parts.map((part) => part.until)));
  return el("section", {}, el("h4", {}, title), bars(lines, end));
}

function gapParts(gaps) {
  return gaps.map((gap) => ({
    from: gap.from_s, until: gap.until_s, kind: gap.tolerated ? "tolerated" : "wrong",
    text: `${gap.observed} ${during(gap)}${gap.tolerated ? " (tolerated)" : ""}`,
  }));
}

function watchedLine(pair) {
  const gaps = gapParts(pair.gaps);
  const observed = { from: 0, until: pair.probes * pair.interval_s, kind: "right" };
  const parts = [gaps.length ? listed(gaps.map((gap) => gap.text)) : `always ${pair.expected}`];
  if (pair.silent) parts.push(`no verdict for ${seconds(pair.silent_s)}`);
  return { label: pair.pair, parts: [observed, ...gaps], text: `${parts.join(", ")}; ${counted(pair.probes, "probe")}` };
}

function startedLine(pair) {
  const phases = [pair.init, pair.main].filter((phase) => phase.until_s !== null);
  const observed = phases.map((phase) => ({ from: phase.from_s, until: phase.until_s, kind: "right" }));
  const words = [pair.connected_s === null ? "never connected" : `first connected after ${seconds(pair.connected_s)}`];
  const lost = gapParts(pair.lost);
  if (lost.length) words.push(listed(lost.map((gap) => gap.text)));
  if (pair.silent) words.push("a phase without a verdict");
  const opened = pair.expected !== "allowed" && pair.connected_s !== null
    ? [{ from: pair.connected_s, until: pair.connected_s, kind: "wrong" }] : [];
  return { label: pair.pair, parts: [...observed, ...opened, ...lost], text: `${words.join(", ")}; expected ${pair.expected}` };
}

function during(times) {
  const [from, until] = [seconds(times.from_s), seconds(times.until_s)];
  return from === until ? `at ${from}` : `from ${from} to ${until}`;
}

function listed(texts) {
  const rest = texts.length - WORDS;
  return [...texts.slice(0, WORDS), ...(rest > 0 ? [`and ${counted(rest, "more time")}`] : [])].join(", ");
}

// Lines of one time axis. The times are in the text of each line; the bars only show them.
function bars(lines, end) {
  const scale = 1000 / (end || 1);
  const shown = lines.map((line) => [
    el("span", { class: "label" }, line.label),
    svg("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", x: 0, y: 3, width: 1000, height: 8 }),
      line.parts.map((part) => svg("rect", {
        class: `bar-${part.kind}`, x: part.from * scale, y: part.kind === "right" ? 5 : 1,
        width: Math.max(4, (part.until - part.from) * scale), height: part.kind === "right" ? 4 : 12,
      }))),
    el("span", {}, line.text),
  ]);
  return el("div", { class: "lines" }, shown, el("span", { class: "label" }),
    el("span", { class: "axis hint" }, el("span", {}, "0 s"), el("span", {}, seconds(end))), el("span"));
}
