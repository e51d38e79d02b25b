/** The items that were rated or skipped and not undone, in the order in which that happened. */
function settledItems(events) {
  return events.reduce((settled, event) => {
    const others = settled.filter((item) => item !== event.item);
    return event.event === "undo" ? others : [...others, event.item];
  }, []);
}

/** What can be done, for keys and buttons alike; all of it changes traits only. */
function raterActions(model) {
  const { items, questions, scale, rater, seed } = model.get("payload");
  const settled = () => settledItems(model.get("events"));
  const current = () => items.find((item) => !settled().includes(item.id));
  const answered = () => questions.every(([name]) => model.get("answers")[name]);
  const add = (event, item, rest = {}) => {
    const time = Math.round(Date.now() / 100) / 10;
    const whole = { rater, seed, event, item: item.id, task_id: item.task_id, time, ...rest };
    model.set("answers", {});
    model.set("fix_shown", false);
    model.set("question", questions[0][0]);
    put(model, "events", [...model.get("events"), whole]);
  };
  const focusBy = (step) => {
    const place = questions.findIndex(([name]) => name === model.get("question"));
    put(model, "question", questions[Math.min(Math.max(0, place + step), questions.length - 1)][0]);
  };
  const answer = (name, number) => {
    if (!current()) return;
    model.set("answers", { ...model.get("answers"), [name]: number });
    model.set("question", (questions.find(([other]) => !model.get("answers")[other]) || [name])[0]);
    model.save_changes();
  };
  const next = () => {
    const said = { answers: model.get("answers"), fix_seen: model.get("fix_shown") };
    if (current() && answered()) add("rate", current(), said);
  };
  const skip = () => current() && add("skip", current());
  const undo = () => settled().length && add("undo", items.find((item) => item.id === settled().at(-1)));
  const fix = () => current() && put(model, "fix_shown", !model.get("fix_shown"));
  const up = () => focusBy(-1);
  const down = () => focusBy(1);
  const pressed = () => document.activeElement?.closest?.(".rr button");
  const enter = () => (pressed() ? pressed().click() : next());
  const byKey = { Enter: enter, ArrowRight: next, s: skip, u: undo, f: fix, ArrowUp: up, ArrowDown: down };
  for (const [number] of scale) byKey[String(number)] = () => answer(model.get("question"), number);
  return { settled, current, answered, answer, next, skip, undo, fix, byKey };
}

/** A program with the numbers of its lines; those that are not in `before`, where it is given, are marked. */
function numberedProgram(text, before = text) {
  const known = new Set(before.split("\n"));
  const numbered = (line) => make("li", known.has(line) ? {} : { class: "rr-changed" }, line || " ");
  return make("ol", { class: "rr-program nk-mono" }, text.split("\n").map(numbered));
}

/** A rationale, what stands between backticks as code. */
function proseOf(text) {
  return text.split(/`([^`]+)`/).map((piece, place) => (place % 2 ? make("code", {}, piece) : piece));
}

/** The fix of an item. */
function fixOf({ fix, program }) {
  if (!fix) return make("p", { class: "nk-faint" }, "There is no program.");
  return fix === program ? make("p", { class: "nk-faint" }, "The program, unchanged.") : numberedProgram(fix, program);
}

/** One line of keys and what they do. */
function keyHints(scale) {
  const numbers = `${scale[0][0]}–${scale.at(-1)[0]}`;
  const does = { [numbers]: "answer", "↑ ↓": "question", Enter: "next", f: "fix", s: "skip", u: "undo" };
  const hints = Object.entries(does).map(([key, what]) => make("span", {}, make("kbd", {}, key), ` ${what}`));
  return make("div", { class: "rr-keys nk-faint" }, hints);
}

/** Hand out the events as a file, for where no Python stores them. */
function download(model) {
  const lines = model.get("events").map((event) => `${JSON.stringify(event)}\n`);
  const href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  make("a", { href, download: `ratings-${model.get("payload").rater}.jsonl` }).click();
}

/** The task on one side: what the program should do, the program, its test. */
function taskSide(item) {
  return make(
    "section",
    {},
    make("h4", {}, "Task"),
    make("p", { class: "rr-description" }, item.description),
    make("h4", {}, "Program"),
    numberedProgram(item.program),
    make("h4", {}, item.failing ? "Failing test" : "Tests"),
    make("pre", { class: "nk-mono" }, item.tests.join("\n")),
  );
}

/** A question with a button for each number of the scale. */
function questionRow(model, actions, name, question) {
  const { scale } = model.get("payload");
  const choice = ([number, words]) => {
    const onclick = () => actions.answer(name, number);
    return make("button", { onclick }, make("b", {}, number), make("span", {}, words));
  };
  const buttons = scale.map(choice);
  const ask = make("div", { class: "rr-ask" }, question);
  const group = { class: "rr-question", role: "group", "aria-label": question };
  const row = make("div", group, ask, make("div", { class: "rr-scale" }, buttons));
  const draw = () => {
    row.classList.toggle("rr-focus", model.get("question") === name);
    const given = model.get("answers")[name];
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(scale[place][0] === given)));
  };
  return { row, draw };
}

/** What is left to say when nothing is left to rate. */
function thanks(events, settled) {
  const lastOf = (item) => events.findLast((event) => event.item === item).event;
  const skipped = settled.filter((item) => lastOf(item) === "skip").length;
  const counts = `${settled.length - skipped} rated, ${skipped} skipped.`;
  return make("div", { class: "rr-done" }, make("b", {}, "All done, thank you."), make("div", {}, counts));
}

/** The rationale, on request the fix, the questions, and what to do next; `draw` follows what is answered. */
function judgedSide(model, actions) {
  const quote = make("blockquote");
  const fix = make("div", { class: "rr-fix" });
  const toggle = make("button", { class: "rr-toggle", onclick: actions.fix, title: "f" });
  const skip = make("button", { onclick: actions.skip, title: "s" }, "Skip");
  const next = make("button", { class: "rr-next", onclick: actions.next, title: "Enter" }, "Next");
  const rows = model.get("payload").questions.map(([name, ask]) => questionRow(model, actions, name, ask));
  const last = make("div", { class: "rr-actions" }, skip, next);
  const side = make("section", {}, make("h4", {}, "Rationale"), quote, toggle, fix, rows.map(({ row }) => row), last);
  const draw = () => {
    const [item, shown] = [actions.current(), model.get("fix_shown")];
    quote.replaceChildren(...(item ? proseOf(item.rationale) : []));
    toggle.textContent = shown ? "Hide the fix" : "Show the fix";
    toggle.setAttribute("aria-expanded", String(shown));
    fix.replaceChildren(...(item && shown ? [fixOf(item)] : []));
    rows.forEach((row) => row.draw());
    next.disabled = !actions.answered();
  };
  return { side, draw };
}

/** Who rates, how far they are, and what is not about one rationale. */
function raterBar(model, actions) {
  const { items, rater } = model.get("payload");
  const count = make("span", { class: "rr-count" });
  const progress = make("progress", { max: items.length, "aria-label": "progress" });
  const undo = make("button", { onclick: actions.undo, title: "u" }, "Undo");
  const exported = !model.widget_manager; // no Python: the ratings leave as a file
  const save = exported ? make("button", { onclick: () => download(model) }, "Download ratings") : null;
  const bar = make("div", { class: "nk-bar" }, make("b", {}, rater), count, progress, undo, save);
  const draw = () => {
    const settled = actions.settled().length;
    count.textContent = `${Math.min(settled + 1, items.length)} of ${items.length}`;
    progress.value = settled;
    undo.disabled = !settled;
  };
  return { bar, draw };
}

const widget = {
  render({ model, el }) {
    const actions = raterActions(model);
    const { bar, draw: drawBar } = raterBar(model, actions);
    const { side, draw: drawJudged } = judgedSide(model, actions);
    const body = make("div", { class: "rr-body" });
    const root = make("div", { class: "nk rr", "aria-label": "rate rationales" }, bar, errorBox(model), body);
    const drawItem = () => {
      drawBar();
      const item = actions.current();
      const done = () => [thanks(model.get("events"), actions.settled())];
      const parts = () => [taskSide(item), side, keyHints(model.get("payload").scale)];
      body.replaceChildren(...(item ? parts() : done()));
    };
    keys(root, actions.byKey);
    root.addEventListener("click", () => root.focus({ preventScroll: true })); // a button may be gone or off by now
    const stops = [
      follow(model, ["events"], drawItem),
      follow(model, ["events", "answers", "question", "fix_shown"], drawJudged),
    ];
    el.append(root);
    return () => stops.forEach((stop) => stop());
  },
};
export default widget;
