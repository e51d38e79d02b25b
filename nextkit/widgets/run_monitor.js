/** Seconds in words. */
function spanOf(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** The same, of a number that may not be known. */
function timeOf(seconds) {
  return seconds === null || seconds === undefined ? null : spanOf(seconds);
}

/** An SVG element, as make makes HTML. */
function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A table of rows of cells (text or elements), the first row being its head. */
function tableOf([head, ...rows], rowAttributes = () => ({})) {
  const line = (cells, tag) => cells.map((cell) => make(tag, {}, cell === null || cell === undefined ? "–" : cell));
  const body = rows.map((cells, place) => make("tr", rowAttributes(place), line(cells, "td")));
  return make("table", {}, make("thead", {}, make("tr", {}, line(head, "th"))), make("tbody", {}, body));
}

/** A part of the page with its title. */
function part(title, ...children) {
  return make("section", {}, make("h4", {}, title), children);
}

/** What is going on, in a few words. */
function headline({ stages, now, work }) {
  if (!stages) return "Not read yet";
  if (!stages.length) return "Nothing here yet: the first stage appears when the run begins";
  if (work.state === "ended") return "Ended";
  if (work.state === "stopped") return `Stopped: ${work.why}`;
  if (work.state === "died") return "Broken off: its process is gone";
  const doubt = work.state === "silent" ? "Silent for long. Last seen on " : "Working on ";
  return now ? doubt + now.label : `Done last: ${stages.at(-1).label}`;
}

/** When it began, when it changed last, how long it worked, where in its plan it is, and a guess of what is left. */
function factsOf({ started, changed, worked, left, work, tunings }, read) {
  if (!started) return [];
  const facts = [
    ["begun", `${spanOf(read - started)} ago`],
    ["last change", `${spanOf(read - changed)} ago`],
    ["stages took", spanOf(worked)],
  ];
  const { control, controls, rounds } = work;
  if (control) facts.push([`control ${controls.indexOf(control) + 1} of ${controls.length}`, control]);
  const tuned = tunings.filter(({ state }) => state === "done").length;
  if (rounds) facts.push(["rounds tuned", `${Math.min(tuned, rounds)} of ${rounds}`]);
  const until = left && (left.until > read ? `about ${spanOf(left.until - read)}` : "any moment");
  if (left) facts.push([`left of ${left.of}, a guess`, until]);
  return facts.map(([name, value]) => make("div", {}, make("span", {}, name), make("b", {}, value)));
}

/** How far the stage that is worked on has come. */
function progressOf({ now }) {
  if (!now) return [];
  const unit = now.round ? "steps" : "rows";
  const done = now.expected ? `${now.rows} of ${now.expected} ${unit}` : `${now.rows} ${unit} so far`;
  const bar = { "aria-label": now.label, max: now.expected || 1, value: now.rows };
  const said = make("span", { class: "nk-faint" }, done);
  return now.expected ? [make("progress", bar), said] : [said];
}

/** The loss of each step as a line, with its first, last and lowest numbers at the axes. */
function lossChart(points) {
  const [width, height, left, bottom] = [360, 150, 38, 20];
  const losses = points.map(([, loss]) => loss);
  const [most, last] = [Math.max(...losses), points.at(-1)];
  const x = (step) => left + ((step - 1) / Math.max(1, last[0] - 1)) * (width - left - 44);
  const y = (loss) => 8 + (1 - loss / (most || 1)) * (height - bottom - 8);
  const label = (text, at) => drawn("text", at, text);
  const grid = [0, most / 2, most].flatMap((loss) => [
    drawn("line", { class: "rm-grid", x1: left, x2: x(last[0]), y1: y(loss), y2: y(loss) }),
    label(loss ? loss.toPrecision(2) : "0", { x: left - 6, y: y(loss) + 4, "text-anchor": "end" }),
  ]);
  const path = points.map(([step, loss]) => `${x(step)},${y(loss)}`).join(" ");
  const line = drawn("polyline", { class: "rm-line", points: path });
  const end = drawn("circle", { class: "rm-dot", cx: x(last[0]), cy: y(last[1]), r: 3 });
  const words = [
    label(last[1].toPrecision(3), { class: "rm-last", x: x(last[0]) + 7, y: y(last[1]) + 4 }),
    label("1", { x: left, y: height - 4, "text-anchor": "middle" }),
    label(`step ${last[0]}`, { x: x(last[0]), y: height - 4, "text-anchor": "end" }),
  ];
  const about = { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `loss by step, ${last[1]} at the end` };
  return drawn("svg", about, ...grid, line, end, ...words);
}

/** The model of a tuning or an evaluation: its control, and "base", an adapter from elsewhere by its name, or the round. */
function modelName({ round, adapter, control }) {
  const names = [control, round ? `round ${round}` : adapter || "base"].filter(Boolean);
  return [...new Set(names)].join(", ");
}

/** A share with its interval, drawn and in numbers. */
function rateCell(at) {
  if (!at) return "–";
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const range = make("i", { style: `left:${percent(at.low)};width:${percent(at.high - at.low)}` });
  const dot = make("b", { style: `left:${percent(at.value)}` });
  const title = `95 % interval ${percent(at.low)} to ${percent(at.high)}`;
  const value = make("span", {}, (100 * at.value).toFixed(1));
  return make("div", { class: "rm-rate", title }, value, make("div", {}, range, dot));
}

/** pass@k of each evaluation, a table for each set of tasks. */
function ratesOf({ rates }, chosen) {
  const sets = [...new Set(rates.map((rate) => rate.of))];
  return sets.map((set) => {
    const of = rates.filter((rate) => rate.of === set);
    const rows = of.map((rate) => [modelName(rate), rateCell(rate.ks[0]), rateCell(rate.ks[1])]);
    const mark = (place) => ({ "aria-current": chosen && of[place].adapter === chosen.folder ? "true" : null });
    const title = `Passed, % of ${of[0].tasks} tasks, ${of[0].samples} samples each, 95 % interval`;
    return part(title, tableOf([["model", "pass@1", "pass@8"], ...rows], mark));
  });
}

/** Which tuning is shown. */
function chosenTuning(model) {
  const { tunings = [] } = model.get("payload");
  return tunings[model.get("shown")] || tunings.at(-1);
}

/** The tunings; a click shows another one's loss. */
function tuningsOf(model) {
  const { tunings } = model.get("payload");
  const chosen = chosenTuning(model);
  if (!chosen) return [];
  const last = ({ points }) => (points.length ? points.at(-1)[1].toPrecision(3) : null);
  const row = (t) => [modelName(t), t.examples, t.steps, last(t), timeOf(t.seconds)];
  const attributes = (place) => ({
    class: "rm-pick",
    "aria-current": tunings[place] === chosen ? "true" : null,
    onclick: () => put(model, "shown", place),
  });
  const table = tableOf([["tuning", "kept", "steps", "last loss", "time"], ...tunings.map(row)], attributes);
  const chart = chosen.points.length ? lossChart(chosen.points) : "no loss yet";
  return [part("Tunings", table), part(`Loss, ${modelName(chosen)}`, chart)];
}

/** All stages, the newest first. */
function stagesOf({ stages, earlier }) {
  const named = (s) => [s.control, s.label].filter(Boolean).join(": ");
  const rows = stages.map((s) => [named(s), s.state, s.rows, timeOf(s.seconds)]);
  const more = earlier ? make("p", { class: "nk-faint" }, `${earlier} earlier stages are not listed`) : null;
  const table = tableOf([["stage", "", "rows", "time"], ...rows.reverse()]);
  return part(`Stages, ${stages.length + earlier}`, make("div", { class: "rm-stages", tabindex: 0 }, table, more));
}

const widget = {
  render({ model, el }) {
    const python = Boolean(model.widget_manager); // an exported file cannot read the folder
    const head = make("b", { class: "rm-head" });
    const when = make("span", { class: "nk-faint rm-when" });
    const toggleFollow = () => python && put(model, "follow", !model.get("follow"));
    const readAgain = () => python && put(model, "asked", model.get("asked") + 1);
    const followButton = make("button", { onclick: toggleFollow, title: "f" });
    const readButton = make("button", { onclick: readAgain, title: "r" }, "Read again");
    const bar = make("div", { class: "nk-bar" }, head, when, ...(python ? [readButton, followButton] : []));
    const facts = make("div", { class: "rm-facts" });
    const parts = ["rm-progress", "rm-pair", "rm-pair", "rm-all"].map((name) => make("div", { class: name }));
    const [progress, tunings, rates, stages] = parts;
    const root = make("div", { class: "nk rm", "aria-label": "run" }, bar, errorBox(model), facts, parts);

    const drawTime = () => {
      const [payload, read] = [model.get("payload"), model.get("read")];
      head.textContent = headline(payload);
      const at = read ? `read at ${new Date(read * 1000).toLocaleTimeString()}` : "";
      when.textContent = [payload.folder, at].filter(Boolean).join(" · ");
      facts.replaceChildren(...factsOf(payload, read));
      followButton.textContent = model.get("follow") ? "Following" : "Follow";
      followButton.setAttribute("aria-pressed", String(model.get("follow")));
    };
    const drawFolder = () => {
      const payload = model.get("payload");
      const some = Boolean(payload.stages?.length);
      progress.replaceChildren(...(some ? progressOf(payload) : []));
      tunings.replaceChildren(...(some ? tuningsOf(model) : []));
      rates.replaceChildren(...(some ? ratesOf(payload, chosenTuning(model)) : []));
      stages.replaceChildren(...(some ? [stagesOf(payload)] : []));
    };
    const choose = (step) => {
      const all = model.get("payload").tunings || [];
      const place = Math.min(Math.max(0, all.indexOf(chosenTuning(model)) + step), all.length - 1);
      if (all.length) put(model, "shown", place);
    };
    keys(root, { f: toggleFollow, r: readAgain, ArrowUp: () => choose(-1), ArrowDown: () => choose(1) });
    const stops = [
      follow(model, ["payload", "read", "follow"], drawTime),
      follow(model, ["payload", "shown"], drawFolder),
    ];
    el.append(root);
    return () => stops.forEach((stop) => stop());
  },
};
export default widget;
