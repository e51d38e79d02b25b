const CLAIM_SIGNS = { true: "✓", false: "✗", null: "?" };
const CLAIM_WORDS = { true: "true", false: "false", null: "undecided" };

/** A number as it is read. */
function count(number) {
  return number.toLocaleString("en");
}

/** The samples of a task as { number, label, status, sign }, from the digits of the payload. */
function samplesOf({ labels, statuses, tasks }, place) {
  const rows = tasks[place][1].split("|");
  const all = rows.flatMap((row, n) => [...row].map((digit) => [labels[n] || "", statuses[parseInt(digit, 36)]]));
  return all.map(([label, [status, sign]], number) => ({ number, label, status, sign }));
}

/** What the traits say: the samples of the task, which of them pass the filters, and the one that is shown. */
function reading(model) {
  const payload = model.get("payload");
  const place = Math.min(model.get("task_index"), payload.tasks.length - 1);
  const [status, label] = [model.get("status"), model.get("label")];
  const passes = (sample) => ["all", sample.status].includes(status) && ["all", sample.label].includes(label);
  const shownOf = (task) => samplesOf(payload, task).filter(passes);
  const shown = shownOf(place);
  return { payload, place, shownOf, shown, current: shown[Math.min(model.get("index"), shown.length - 1)] };
}

/** The page that is shown: from Python, or in an exported file from what that holds. */
function pageOf(model) {
  const { payload, place } = reading(model);
  const { tasks, samples, prompts } = payload.kept || model.get("content");
  const at = payload.kept ? place : 0;
  return { task: tasks[at], prompts, holds: (number) => samples[`${at}/${number}`] };
}

/** What can be done, for keys and buttons alike; all of it changes traits only. */
function reviewActions(model) {
  const set = (values) => {
    Object.entries({ step: null, ...values }).forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  };
  const go = (index) => set({ index: Math.max(0, Math.min(index, reading(model).shown.length - 1)) });
  const to = (place) => set({ index: 0, other: null, task_index: place });
  const turn = (by) => {
    const { payload, place, shownOf } = reading(model);
    let next = place + by;
    while (payload.tasks[next] && !shownOf(next).length) next += by;
    if (payload.tasks[next]) to(next);
  };
  const find = (text) => {
    const found = model.get("payload").tasks.findIndex(([id]) => id.includes(text.trim()));
    if (found >= 0) to(found);
    return found >= 0;
  };
  const cycle = () => {
    const names = ["all", ...model.get("payload").statuses.map(([name]) => name)];
    set({ index: 0, status: names[(names.indexOf(model.get("status")) + 1) % names.length] });
  };
  const byKey = {
    ArrowLeft: () => go(model.get("index") - 1),
    ArrowRight: () => go(model.get("index") + 1),
    ArrowUp: () => turn(-1),
    ArrowDown: () => turn(1),
    f: cycle,
  };
  return { set, go, turn, find, byKey };
}

/** The part of a long list around a place: a view of a few hundred things stays quick. */
function around(list, at, most = 300) {
  const start = Math.max(0, Math.min((at || 0) - most / 2, list.length - most));
  return list.slice(start, start + most);
}

/** Text with its code spans set as code. */
function prose(text) {
  const parts = text.split(/`([^`\n]+)`/);
  return parts.map((part, n) => (n % 2 ? make("code", {}, part) : part));
}

/** A choice among options, [value, words], that follows a trait. */
function choice(model, name, words, choose) {
  const select = make("select", { "aria-label": words, onchange: () => choose(select.value) });
  const element = make("label", { class: "rv-choice" }, make("span", { class: "nk-faint" }, words), select);
  const update = (options) => {
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    select.value = model.get(name) ?? "";
  };
  return { element, update };
}

/** Which task: its id, which can be typed, and where it stands. */
function taskChoice(model, actions, button) {
  const { tasks } = model.get("payload");
  if (tasks.length === 1) return { element: make("span", { class: "nk-mono" }, tasks[0][0]), update() {} };
  const field = { type: "search", "aria-label": "task", spellcheck: "false" };
  const search = make("input", { class: "rv-search nk-mono", ...field });
  search.addEventListener("change", () => search.classList.toggle("rv-missing", !actions.find(search.value)));
  const where = make("span", { class: "nk-faint" });
  const up = button("↑", "previous task", actions.byKey.ArrowUp);
  const down = button("↓", "next task", actions.byKey.ArrowDown);
  const update = () => {
    const { place } = reading(model);
    search.value = search.title = tasks[place][0];
    search.classList.remove("rv-missing");
    where.textContent = `${count(place + 1)} of ${count(tasks.length)}`;
    [up.disabled, down.disabled] = [place === 0, place === tasks.length - 1];
  };
  return { element: make("div", { class: "rv-group" }, up, down, search, where), update };
}

/** Which samples: by verdict, by where they come from, and which other one beside. */
function sampleChoices(model, actions) {
  const { statuses, labels, total } = model.get("payload");
  const each = statuses.map(([name, sign, n]) => [name, `${sign} ${name} ${count(n)}`]);
  const verdicts = [["all", `all ${count(total)}`], ...each];
  const status = choice(model, "status", "verdict", (value) => actions.set({ index: 0, status: value }));
  const label = choice(model, "label", "from", (value) => actions.set({ index: 0, label: value }));
  const beside = (value) => actions.set({ other: value === "" ? null : Number(value) });
  const other = choice(model, "other", "beside", beside);
  const update = () => {
    const { payload, place, current } = reading(model);
    const samples = around(samplesOf(payload, place), model.get("other") ?? current?.number);
    status.update(verdicts);
    label.update(["all", ...labels].map((name) => [name, name]));
    other.update([["", "none"], ...samples.map(({ number, sign, label }) => [number, `#${number} ${sign} ${label}`])]);
  };
  return { elements: [status, ...(labels.length ? [label] : []), other].map(({ element }) => element), update };
}

/** The bar: which task, which samples, which of them. Made once and then updated, so that it keeps the focus. */
function reviewBar(model, actions) {
  const button = (text, title, act) =>
    make("button", { type: "button", title, "aria-label": title, onclick: act }, text);
  const [task, choices] = [taskChoice(model, actions, button), sampleChoices(model, actions)];
  const left = button("←", "previous sample", actions.byKey.ArrowLeft);
  const right = button("→", "next sample", actions.byKey.ArrowRight);
  const position = make("span", { class: "rv-position", "aria-live": "polite" });
  const steps = make("div", { class: "rv-group rv-end" }, left, position, right);
  const update = () => {
    const { shown, current } = reading(model);
    const at = shown.indexOf(current);
    task.update();
    choices.update();
    position.textContent = current ? `${count(at + 1)} of ${count(shown.length)}` : "none";
    [left.disabled, right.disabled] = [at <= 0, at === shown.length - 1];
  };
  return { element: make("div", { class: "nk-bar" }, task.element, choices.elements, steps), update };
}

/** What share of a label's samples passes. */
function rates({ passed, n, at }) {
  const rate = (name, value) => make("span", {}, make("span", { class: "nk-faint" }, `${name} `), value);
  const percents = at.map(([k, value]) => rate(`pass@${k}`, `${Math.round(100 * value)} %`));
  return make("span", { class: "rv-rates" }, rate("passed", `${count(passed)} of ${count(n)}`), percents);
}

/** The task, and its samples as a row of signs for each label. */
function overview(model, actions) {
  const { payload, place, shown, current } = reading(model);
  const { task } = pageOf(model);
  const places = new Map(shown.map(({ number }, index) => [number, index]));
  const chip = ({ number, status, sign }) => {
    const [kind, name] = [status === "passed" ? "good" : "bad", `sample ${number}, ${status}`];
    const here = { "aria-current": number === current?.number && "true", disabled: !places.has(number) };
    const how = { type: "button", class: `rv-chip rv-${kind}`, title: name, "aria-label": name, ...here };
    return make("button", { ...how, onclick: () => actions.go(places.get(number)) }, sign);
  };
  const row = (rate) => {
    const samples = samplesOf(payload, place).filter(({ label }) => label === rate.label);
    const chips = around(samples, samples.findIndex(({ number }) => number >= current?.number)).map(chip);
    const label = rate.label ? make("span", { class: "rv-label" }, rate.label) : null;
    return make("div", { class: "rv-row" }, label, make("span", { class: "rv-chips" }, chips), rates(rate));
  };
  const asked = make("p", { class: "rv-task" }, prose(task.description));
  return make("div", { class: "rv-overview" }, asked, task.rates.map(row));
}

const MARKS = "the tests in their order: passed, the one that decided, not looked at";

/** Which test said what. */
function verdictLine({ status, sign, number, test, marks, hidden, got, expected, message, how }) {
  const passed = status === "passed";
  const code = (text) => make("code", {}, text);
  const words = passed ? "every test" : message;
  const values = got || expected ? ["got ", code(got), ", expected ", code(expected)] : [words];
  return make(
    "div",
    { class: `rv-verdict rv-${passed ? "good" : "bad"}` },
    make("strong", {}, `${sign} ${status}`),
    marks ? make("span", { class: "rv-marks", title: MARKS }, marks) : null,
    test ? make("span", {}, hidden ? "hidden test " : "test ", `${number} `, code(test)) : null,
    make("span", {}, values),
    how ? make("span", { class: "nk-faint" }, how) : null,
  );
}

/** The rationale with its claims marked, and below it what the trace shows for each. */
function rationalePart(model, sample) {
  const claim = (n, inside) => {
    const { kind, holds, step } = sample.claims[n];
    const title = `${kind}, ${CLAIM_WORDS[holds]}`;
    const how = { type: "button", class: `rv-claim rv-${CLAIM_WORDS[holds]}`, title, "data-step": step };
    return make("button", { ...how, onclick: () => step !== null && put(model, "step", step) }, inside);
  };
  const sign = (n) => CLAIM_SIGNS[sample.claims[n].holds];
  const part = ([text, n]) => (n === null ? prose(text) : claim(n, [...prose(text), make("sup", {}, sign(n))]));
  const seen = ({ seen, text }, n) => {
    const shows = make("span", { class: "nk-mono nk-faint" }, seen);
    return make("li", {}, claim(n, [make("b", {}, sign(n)), ...prose(text)]), shows);
  };
  const unchecked = "Without a trace its claims are not checked.";
  const none = sample.checked ? "It claims nothing that a trace can decide." : unchecked;
  const words = sample.rationale.length ? sample.rationale.flatMap(part) : make("em", { class: "nk-faint" }, "none");
  const list = sample.claims.length ? make("ul", { class: "rv-seen" }, sample.claims.map(seen)) : faintNote(none);
  return make("section", {}, make("h4", {}, "Rationale"), make("p", { class: "rv-rationale" }, words), list);
}

/** The fix as a diff against the buggy program. */
function fixPart({ diff, empty }) {
  const row = ([sign, before, changed, after]) => {
    const kind = { "+": "rv-added", "-": "rv-removed" }[sign];
    const mark = changed ? make("mark", {}, changed) : null;
    return make("div", { class: kind }, make("span", { class: "rv-sign" }, sign), before, mark, after);
  };
  const rows = () => make("div", { class: "rv-diff nk-mono", tabindex: "0" }, diff.map(row));
  const none = empty ? "No program was found in what it wrote." : "The buggy program, unchanged.";
  return make("section", { class: "rv-fix" }, make("h4", {}, "Fix"), diff.length && !empty ? rows() : faintNote(none));
}

function faintNote(text) {
  return make("p", { class: "rv-note nk-faint" }, text);
}

/** A part that opens and closes, and stays so when the sample changes. */
function fold(open, name, hint, inside) {
  const head = make("summary", {}, name, make("span", { class: "nk-faint" }, hint));
  const details = make("details", { open: open.has(name) }, head, make("pre", { class: "nk-mono" }, inside));
  details.addEventListener("toggle", () => (details.open ? open.add(name) : open.delete(name)));
  return details;
}

/** One sample: verdict, rationale, fix, and what it was made from and read out of. */
function card(model, open, sample, { number, label }, prompts) {
  const read = ([kind, text]) =>
    kind ? make("span", { class: `rv-read rv-read-${kind}`, "data-kind": kind }, text) : text;
  const tokens = `${sample.tokens} tokens${sample.finish === "length" ? ", cut off" : ""}`;
  return make(
    "article",
    { class: "rv-card" },
    make("header", {}, make("strong", {}, `#${number} ${label}`), make("span", { class: "nk-faint" }, tokens)),
    verdictLine(sample.verdict),
    make("div", { class: "rv-parts" }, rationalePart(model, sample), fixPart(sample)),
    fold(open, "What the model saw", "the prompt", prompts[sample.prompt]),
    fold(open, "What it wrote", "and what was read as rationale and as fix", sample.wrote.map(read)),
  );
}

/** Draw the page, unless its content is still on the way from Python. */
function drawPage(model, actions, open, body) {
  const { payload, place, current } = reading(model);
  const { holds, prompts } = pageOf(model);
  const samples = samplesOf(payload, place);
  const numbers = [...new Set([current?.number, model.get("other")])].filter((number) => samples[number]);
  if (!payload.kept && !numbers.every(holds)) return;
  const one = (number) =>
    holds(number)
      ? card(model, open, holds(number), samples[number], prompts)
      : faintNote(`Sample #${number} is not in this file.`);
  const none = "No sample of this task passes the filters: ↓ goes to the next task that has one.";
  const cards = current ? numbers.map(one) : faintNote(none);
  body.replaceChildren(
    overview(model, actions),
    make("div", { class: `rv-cards rv-${current ? numbers.length : 0}` }, cards),
  );
}

/** What an exported file holds, where that is not all. */
function heldNote({ held, total, kept }) {
  if (!kept || held === total) return null;
  const which = "those that passed the filters first, and of these the nearest";
  const text = `This file holds ${count(held)} of ${count(total)} samples: ${which}.`;
  return make("p", { class: "rv-held nk-faint" }, text);
}

/** One line of keys and what they do. */
function keyLine({ tasks }) {
  const does = { "← →": "sample", ...(tasks.length > 1 ? { "↑ ↓": "task" } : {}), f: "verdict" };
  const hints = Object.entries(does).map(([key, what]) => make("span", {}, make("kbd", {}, key), ` ${what}`));
  return make("footer", { class: "nk-faint" }, hints);
}

const widget = {
  render({ model, el }) {
    const [payload, actions, open, body] = [model.get("payload"), reviewActions(model), new Set(), make("div")];
    const bar = reviewBar(model, actions);
    const parts = [errorBox(model), bar.element, heldNote(payload), body, keyLine(payload)];
    const root = make("div", { class: "nk rv" }, parts);
    const mark = () =>
      root.querySelectorAll(".rv-claim").forEach((claim) => {
        claim.setAttribute("aria-pressed", String(claim.dataset.step === String(model.get("step"))));
      });
    const draw = () => {
      const focused = body.contains(document.activeElement);
      drawPage(model, actions, open, body);
      if (focused && !body.contains(document.activeElement)) root.focus({ preventScroll: true });
      mark();
    };
    keys(root, actions.byKey);
    const traits = ["task_index", "status", "label", "index", "other"];
    const stops = [
      follow(model, traits, bar.update),
      follow(model, [...traits, "content"], draw),
      follow(model, ["step"], mark),
    ];
    el.append(root);
    return () => stops.forEach((stop) => stop());
  },
};
export default widget;
