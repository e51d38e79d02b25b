// The view of a TraceInspector. All that moves with the step is worked out here, so that an exported file has it too.

const TRAITS = ["step", "step_fixed"];
const SPEEDS = [1, 4, 16, 64, 1000]; // steps a second
const COMMENT_VALUE = 32; // characters a value in a comment
const MOST = { exceptions: 20, parts: 12, rows: 80, frames: 12, output: 4000 }; // how many are shown at once
const NUMBER = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/;
const KEYWORDS =
  "False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|" +
  "import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield";
const STRING = `(?:\\b[rbfuRBFU]{1,2})?(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?)`;
const WORDS = new RegExp(`(?<comment>#.*)|(?<string>${STRING})|\\b(?<keyword>${KEYWORDS})\\b|\\b(?<number>\\d[\\w.]*)`, "g");
const SIGNS = { passed: "✓ passed", failed: "✗ failed", error: "✗ raised", timeout: "⧗ stopped" };
const ICONS = {
  first: "M4 3v10M13 3L6 8l7 5z",
  back: "M11 3L5 8l6 5z",
  play: "M4 2.5L13 8l-9 5.5z",
  pause: "M5 3v10M11 3v10",
  forward: "M5 3l6 5-6 5z",
  last: "M12 3v10M3 3l7 5-7 5z",
  up: "M3 10.5L8 5l5 5.5",
  down: "M3 5.5L8 11l5-5.5",
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const total = (distances) => { let sum = 0; return Int32Array.from(distances, (distance) => (sum += distance)); };

/** A literal in about `limit` characters, as naturalize shortens it. */
function shorten(literal, limit) {
  if (literal.length <= limit) return literal;
  const signs = [...literal];
  const end = Math.max(1, Math.floor(limit / 3));
  return signs.length <= limit ? literal : `${signs.slice(0, limit - end - 3).join("")}...${signs.slice(-end).join("")}`;
}

/** How many of the ascending values are at most `limit`. */
function countUpTo(values, limit) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One run: the columns of the payload, and what they tell of a step. */
class Run {
  constructor(data) {
    Object.assign(this, data);
    this.count = this.lines.length;
    this.changed = total(data.changed);
    this.end = new Map(data.ends.map(([position, value, where]) => [position, [this.texts[value], this.texts[where]]]));
    this.prints = new Map(data.printed.map(([position, text, comment]) => [position, [this.texts[text], this.texts[comment]]]));
    this.ambiguous = new Set(data.ambiguous);
    this.visitsOf = new Map();
    this.statesOf = new Map();
    this.unfold(data);
    this.collect();
    this.wholes = new Map();
    this.drawn = new Map();
  }

  /** `call`, `frame` and `index` come as runs, `changed` as positions: one entry a step is what can be asked. */
  unfold(data) {
    for (const column of ["call", "frame"]) {
      const [runs, all] = [data[column], (this[column] = new Int32Array(this.count))];
      for (let at = 0, position = 0; at < runs.length; position += runs[at + 1], at += 2)
        all.fill(runs[at], position, position + runs[at + 1]);
    }
    this.index = Int32Array.from({ length: this.count }, (_, position) => position);
    for (let at = 0; at < data.index.length; at += 2) {
      const until = data.index[at + 2] ?? this.count;
      for (let position = data.index[at]; position < until; position += 1)
        this.index[position] = data.index[at + 1] + position - data.index[at];
    }
    this.first = new Int32Array(this.count + 1); // of the changes of each step
    this.changed.forEach((position) => (this.first[position + 1] += 1));
    for (let position = 0; position < this.count; position += 1) this.first[position + 1] += this.first[position];
  }

  collect() {
    for (let position = 0; position < this.count; position += 1) {
      push(this.visitsOf, this.lines[position], position);
      if (this.hasState(position)) push(this.statesOf, this.placeOf(position), position);
    }
  }

  placeOf(position) {
    return this.places[this.lines[position]] ?? this.lines[position];
  }

  hasState(position) {
    return this.first[position + 1] > this.first[position] || this.end.has(position) || this.prints.has(position);
  }

  changesOf(position) {
    const changes = [];
    for (let at = this.first[position]; at < this.first[position + 1]; at += 1)
      changes.push([this.texts[this.paths[at]], this.texts[this.values[at]]]);
    return changes;
  }

  /** What a step did, as its NExT comment says it. */
  state(position) {
    const parts = this.changesOf(position).map(([path, value]) => `${path}=${shorten(value, COMMENT_VALUE)}`);
    if (this.prints.has(position)) parts.push(`prints ${this.prints.get(position)[1]}`);
    if (this.end.has(position)) parts.push(this.ending(position, COMMENT_VALUE));
    return parts.join("; ");
  }

  /** What a step returned, yielded or raised, in words. */
  ending(position, limit) {
    const [value, where] = this.end.get(position);
    if (this.events[position] !== "x") return `${this.events[position] === "r" ? "return" : "yield"} ${shorten(value, limit)}`;
    const raised = shorten(value, 2 * limit).replaceAll("\n", "\\n").replaceAll("\r", " ");
    return this.ambiguous.has(position) ? `${raised} in ${where}` : raised;
  }

  /** The comment of a line: positions that are shown, and numbers of states left out between them as { skipped }. */
  comment(line, current) {
    const states = this.statesOf.get(line) ?? [];
    const shown = new Set([0, 1, states.length - 1]);
    if (this.raisedIn(states)) this.raisedIn(states).forEach((at) => shown.add(at));
    const here = countUpTo(states, current) - 1;
    if (states[here] === current) shown.add(here);
    const pieces = [];
    let before = -1;
    for (const at of [...shown].filter((at) => at in states).sort((one, other) => one - other)) {
      if (at > before + 1) pieces.push({ skipped: at - before - 1 });
      pieces.push(states[at]);
      before = at;
    }
    return pieces;
  }

  /** Where among a line's states the exceptions are; the first ones, where there are very many. */
  raisedIn(states) {
    states.raised ??= states.flatMap((position, at) => (this.events[position] === "x" ? [at] : [])).slice(0, MOST.exceptions);
    return states.raised;
  }

  /** Places of the changes that a frame has told up to a step, by path: the last one of each. */
  told(position) {
    const told = new Map();
    for (let step = this.opened(position); step <= position; step += 1) {
      if (this.frame[step] !== this.frame[position]) continue;
      for (let at = this.first[step]; at < this.first[step + 1]; at += 1) told.set(this.paths[at], at);
    }
    return told;
  }

  /** Where a step's frame begins. */
  opened(position) {
    this.begins ??= this.frame.reduce((begins, frame, step) => (begins.has(frame) ? begins : begins.set(frame, step)), new Map());
    return this.begins.get(this.frame[position]);
  }

  /** The variables of a step's frame: [{ path, value, was, isNew, isChanged, root }], parts below their wholes. */
  variables(position) {
    const told = this.told(position);
    const roots = new Map();
    for (const [path, at] of told) {
      const wholes = this.wholesOf(path);
      if (wholes.some((whole) => told.get(whole) > at)) continue; // told anew since: this part is old
      push(roots, /^[^[.]*/.exec(this.texts[path])[0], { path, at });
    }
    return [...roots].flatMap(([root, found]) => this.shownOf(root, found, position));
  }

  shownOf(root, found, position) {
    const parts = found.filter(({ path }) => this.texts[path] !== root).sort((one, other) => other.at - one.at);
    const whole = found.filter(({ path }) => this.texts[path] === root);
    const rows = [...whole, ...parts.slice(0, MOST.parts)].map(({ path, at }) => this.variable(root, path, at, position));
    if (parts.length > MOST.parts) rows.push({ root, more: parts.length - MOST.parts });
    return rows;
  }

  variable(root, path, at, position) {
    const isChanged = at >= this.first[position];
    const was = isChanged ? this.before(path, position) : undefined;
    return { root, path: this.texts[path], value: this.texts[this.values[at]], was, isChanged, isNew: isChanged && was === undefined };
  }

  /** The value that a variable had before a step changed it. */
  before(path, position) {
    for (let step = position - 1; step >= this.opened(position); step -= 1) {
      if (this.frame[step] !== this.frame[position]) continue;
      for (let at = this.first[step + 1] - 1; at >= this.first[step]; at -= 1)
        if (this.paths[at] === path) return this.texts[this.values[at]];
    }
    return undefined;
  }

  /** Numbers of the paths that a path is a part of. */
  wholesOf(path) {
    this.numbers ??= new Map(this.texts.map((text, number) => [text, number]));
    if (!this.wholes.has(path)) {
      const text = this.texts[path];
      const ends = [...text.matchAll(/[[.]/g)].map(({ index }) => this.numbers.get(text.slice(0, index)));
      this.wholes.set(path, ends.filter((number) => number !== undefined));
    }
    return this.wholes.get(path);
  }

  /** The open calls, outermost first: [{ name, line, position }]. */
  frames(position) {
    const found = [];
    for (let step = position, depth = Infinity; step >= 0 && depth > 1; step -= 1) {
      const [name, deep] = this.calls[this.call[step]];
      if (deep >= depth) continue;
      depth = deep;
      found.unshift({ name, line: this.lines[step], position: step });
    }
    return found;
  }

  /** What was printed before a step, its end only, and by it. */
  output(position) {
    let before = "";
    for (let at = countUpTo(this.printedAt, position - 1) - 1; at >= 0 && before.length < MOST.output; at -= 1)
      before = this.texts[this.printed[at][1]] + before;
    return { before: before.slice(-MOST.output), now: this.prints.get(position)?.[0] ?? "" };
  }

  get printedAt() {
    return (this.positionsOfOutput ??= this.printed.map(([position]) => position));
  }

  /** The numbers that a variable had: { at: positions, is: values }, for "path" or "path in function". */
  series(watched) {
    if (!this.drawn.has(watched)) this.drawn.set(watched, this.seriesOf(watched));
    return this.drawn.get(watched);
  }

  seriesOf(watched) {
    const cut = watched.lastIndexOf(" in ");
    const [path, name] = cut > 0 ? [watched.slice(0, cut), watched.slice(cut + 4)] : [watched, undefined];
    const found = { path, at: [], is: [] };
    this.changed.forEach((position, at) => {
      if (this.texts[this.paths[at]] !== path) return;
      if (name !== undefined && this.calls[this.call[position]][0] !== name) return;
      if (!NUMBER.test(this.texts[this.values[at]])) return;
      found.at.push(position);
      found.is.push(Number(this.texts[this.values[at]]));
    });
    return found;
  }
}

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

/** Where the steps are, and how they move; with two runs, both together or the one that was touched last. */
class Walk {
  constructor(model, runs) {
    Object.assign(this, { model, runs, active: 0, aligned: model.get("payload").aligned });
  }

  at(which) {
    return clamp(this.model.get(TRAITS[which]), 0, this.runs[which].count - 1);
  }

  last(which) {
    return this.runs[which].count - 1;
  }

  get isTogether() {
    return this.runs.length > 1 && this.model.get("together");
  }

  /** Steps from where the runs part (together), else from the start: what the slider moves. */
  get time() {
    if (!this.isTogether) return this.at(this.active);
    const isLed = this.at(0) > 0 && this.at(0) < this.last(0);
    const times = this.runs.map((_, which) => this.at(which) - this.aligned[which]);
    if (isLed) return times[0];
    return this.at(0) === 0 ? Math.min(...times) : Math.max(...times);
  }

  get range() {
    if (!this.isTogether) return [0, this.last(this.active)];
    const ends = this.runs.map((_, which) => this.last(which) - this.aligned[which]);
    return [-Math.max(...this.aligned), Math.max(...ends)];
  }

  goTo(time) {
    const set = (which, position) => this.model.set(TRAITS[which], clamp(position, 0, this.last(which)));
    const bounded = clamp(time, ...this.range);
    if (this.isTogether) this.runs.forEach((_, which) => set(which, this.aligned[which] + bounded));
    else set(this.active, bounded);
    this.model.save_changes();
  }

  by(distance) {
    this.goTo(this.time + distance);
  }

  /** Go to a position of one run. */
  show(which, position) {
    this.active = which;
    this.goTo(this.isTogether ? position - this.aligned[which] : position);
  }

  /** The visits of a run's current line, and which of them it is at. */
  visits(which) {
    const run = this.runs[which];
    const all = run.visitsOf.get(run.lines[this.at(which)]);
    return { all, now: countUpTo(all, this.at(which)) - 1 };
  }

  byVisit(which, distance) {
    const { all, now } = this.visits(which);
    const next = all[now + distance];
    if (next !== undefined) this.show(which, next);
  }

  /** Go to the next visit of a line, from its last one to its first. */
  toLine(which, line) {
    const all = this.runs[which].visitsOf.get(line);
    if (all) this.show(which, all[countUpTo(all, this.at(which))] ?? all[0]);
  }
}

/** An SVG element; `make` makes those of HTML. */
function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function icon(name) {
  return draw("svg", { class: "ti-icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: ICONS[name] }));
}

function iconButton(name, label, onclick) {
  return make("button", { type: "button", class: "ti-button", title: label, "aria-label": label, onclick }, icon(name));
}

/** The source with its comments; draw(position) marks where the run is. */
class Source {
  constructor(run, onLine, onStep) {
    Object.assign(this, { run, onStep, lines: run.program.split("\n"), rows: new Map(), marked: [], tokens: new Map() });
    this.colours = coloursOf(run.program);
    this.starts = total([0, ...this.lines.map((text) => text.length + 1)]);
    const never = new Set(run.never);
    const numbers = this.lines.map((_, at) => at + 1);
    const from = this.lines.findIndex((text) => text.trim());
    const until = this.lines.findLastIndex((text) => text.trim());
    const rows = numbers.slice(from, until + 1).map((line) => this.row(line, never.has(line), onLine));
    this.element = make("div", { class: "ti-source" }, rows);
    this.shown = new Map([...this.rows.keys()].map((line) => [line, this.comment(line, -1)]));
  }

  row(line, isSilent, onLine) {
    const visits = this.run.visitsOf.get(line)?.length ?? 0;
    const code = make("span", { class: "ti-code" }, this.code(line));
    const comment = make("span", { class: "ti-comment" });
    const indent = /^\s*/.exec(this.lines[line - 1])[0].length;
    const text = make("span", { class: "ti-text", style: `--indent:${indent + 4}ch` }, code, comment);
    const hits = make("span", { class: "ti-hits" }, visits > 1 ? `${visits}×` : "");
    const title = isSilent ? "no step is here" : visits ? `${visits} ${visits > 1 ? "visits" : "visit"}: click for the next` : undefined;
    const row = make("div", { class: `ti-row${isSilent ? " ti-never" : ""}${visits ? " ti-ran" : ""}`, title, "data-line": line,
      onclick: () => String(getSelection()) || onLine(line) },
      make("span", { class: "ti-mark", "aria-hidden": "true" }), make("span", { class: "ti-number" }, String(line)), hits, text);
    this.rows.set(line, { row, code, comment });
    return row;
  }

  /** The coloured pieces of a line; what stands between two places of the program is marked as failing. */
  code(line, [from, until] = [0, 0]) {
    const [start, end] = [this.starts[line - 1], this.starts[line] - 1];
    const pieces = [];
    for (let at = start; at < end; ) {
      const isFailing = at >= from && at < until;
      let next = at + 1;
      while (next < end && this.colours[next] === this.colours[at] && (next >= from && next < until) === isFailing) next += 1;
      const names = [this.colours[at] && `ti-${this.colours[at]}`, isFailing && "ti-failing"].filter(Boolean).join(" ");
      pieces.push(make(isFailing ? "mark" : "span", { class: names }, this.run.program.slice(at, next)));
      at = next;
    }
    return pieces;
  }

  /** Write a line's comment with the state of the current step in it. */
  comment(line, current) {
    const pieces = this.run.comment(line, current);
    const tokens = [];
    const parts = pieces.map((piece) => {
      if (piece.skipped) return make("span", { class: "ti-skipped" }, `... ${piece.skipped} more`);
      const text = `(${this.run.index[piece]}) ${this.run.state(piece)}`;
      const token = make("span", { class: "ti-token", onclick: (event) => (event.stopPropagation(), this.onStep(piece)) }, text);
      tokens.push({ position: piece, token });
      return token;
    });
    this.rows.get(line)?.comment.replaceChildren(...(parts.length ? ["  # "] : []), ...parts.flatMap((part, at) => (at ? ["; ", part] : [part])));
    this.tokens.set(line, tokens);
  }

  draw(position) {
    const place = this.run.placeOf(position);
    new Set([this.place, place]).forEach((line) => this.rows.has(line) && this.comment(line, line === place ? position : -1));
    this.place = place;
    for (const { position: at, token } of [...this.tokens.values()].flat()) {
      token.classList.toggle("ti-now", at === position);
      token.classList.toggle("ti-later", at > position);
    }
    this.markFailing(position);
    this.markLine(this.run.lines[position], place);
  }

  markLine(line, place) {
    this.marked.forEach(({ row }) => (row.classList.remove("ti-here", "ti-with"), row.removeAttribute("aria-current")));
    this.marked = [];
    for (let each = line; each <= place; each += 1) {
      const found = this.rows.get(each);
      if (!found) continue;
      found.row.classList.add(each === line ? "ti-here" : "ti-with");
      this.marked.push(found);
    }
    const row = this.rows.get(line)?.row;
    row?.setAttribute("aria-current", "step");
    if (row) scrollTo(this.element, row);
  }

  /** Mark the expression that raised, where the step raised. */
  markFailing(position) {
    this.failing?.forEach((line) => this.rows.get(line)?.code.replaceChildren(...this.code(line)));
    this.failing = undefined;
    const where = this.run.events[position] === "x" && this.run.end.get(position)[1];
    const from = where ? findWhole(this.run.program, where, this.starts[this.run.lines[position] - 1]) : -1;
    if (from < 0) return;
    const until = from + where.length;
    this.failing = [...this.rows.keys()].filter((line) => this.starts[line] > from && this.starts[line - 1] < until);
    this.failing.forEach((line) => this.rows.get(line).code.replaceChildren(...this.code(line, [from, until])));
  }
}

/** A colour's name for each character of a program. */
function coloursOf(program) {
  const colours = new Array(program.length).fill("");
  for (const match of program.matchAll(WORDS)) {
    const [name] = Object.entries(match.groups).find(([, text]) => text !== undefined);
    colours.fill(name, match.index + match[0].length - match.groups[name].length, match.index + match[0].length);
  }
  return colours;
}

/** Where an expression stands, from some place on: not within a longer name. */
function findWhole(program, text, from) {
  const isName = (sign) => sign !== undefined && /\w/.test(sign);
  let at = program.indexOf(text, from);
  while (at >= 0) {
    const [before, after] = [program[at - 1], program[at + text.length]];
    if (!(isName(before) && isName(text[0])) && !(isName(after) && isName(text.at(-1)))) return at;
    at = program.indexOf(text, at + 1);
  }
  return -1;
}

/** Bring a row into sight within its box; the page itself does not move. */
function scrollTo(box, row) {
  const [top, bottom] = [row.offsetTop - box.offsetTop, row.offsetTop - box.offsetTop + row.offsetHeight];
  if (top < box.scrollTop + 20) box.scrollTop = top - 60;
  else if (bottom > box.scrollTop + box.clientHeight - 20) box.scrollTop = bottom - box.clientHeight + 60;
}

function section(title, ...children) {
  return make("section", { class: "ti-section" }, make("h4", {}, title), ...children);
}

/** The variables as a table; a number's name is a button that draws its course. */
function variableRows(run, position, watched, onWatch) {
  const name = run.calls[run.call[position]][0];
  const all = run.variables(position);
  const rows = all.slice(0, MOST.rows).map((each) => variableRow(each, name, watched, onWatch));
  if (all.length > MOST.rows) rows.push(moreRow(`... ${all.length - MOST.rows} more`));
  return rows.length ? rows : [moreRow("none yet")];
}

const moreRow = (text) => make("tr", { class: "nk-faint" }, make("td"), make("td", { colspan: "2" }, text));

function variableRow({ root, path, value, was, isChanged, isNew, more }, name, watched, onWatch) {
  if (more) return moreRow(`... ${more} more of ${root}`);
  const watch = `${path} in ${name}`;
  const isWatched = watch === watched || path === watched;
  const label = NUMBER.test(value)
    ? make("button", { type: "button", class: "ti-name", "aria-pressed": String(isWatched), title: `draw ${path} over the steps`,
        onclick: () => onWatch(isWatched ? "" : watch) }, path)
    : path;
  const sign = isNew ? "+" : isChanged ? "●" : "";
  const before = was === undefined ? undefined : make("span", { class: "ti-was" }, `was ${shorten(was, 40)}`);
  return make("tr", { class: isChanged ? "ti-changed" : undefined, "data-path": path },
    make("td", { class: "ti-sign", title: isNew ? "new" : isChanged ? "changed" : undefined }, sign),
    make("th", { scope: "row", class: path === root ? undefined : "ti-part" }, label),
    make("td", {}, make("span", { class: "ti-value" }, value), before));
}

/** The open calls, innermost last; a click goes to where a call was made. */
function frameRows(frames, onStep) {
  const skipped = Math.max(0, frames.length - MOST.frames);
  const rows = frames.map(({ name, line, position }, at) => make("li", {},
    make("button", { type: "button", class: "ti-frame", "aria-current": at === frames.length - 1 ? "true" : undefined,
      onclick: () => onStep(position) }, make("span", { class: "ti-name" }, name), make("span", { class: "nk-faint" }, ` line ${line}`))));
  if (skipped) rows.splice(2, skipped, make("li", { class: "nk-faint" }, `... ${skipped} more calls`));
  return rows;
}

/** The course of a number over the steps; at most a few points each pixel. */
class Course {
  constructor(run, onStep) {
    this.run = run;
    this.path = draw("path", { class: "ti-course" });
    this.cursor = make("div", { class: "ti-cursor" });
    this.dot = make("div", { class: "ti-dot" });
    this.caption = make("figcaption", {});
    const picture = draw("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", "aria-hidden": "true" }, this.path);
    const plot = make("div", { class: "ti-plot", onclick: (event) => {
      const box = plot.getBoundingClientRect();
      onStep(Math.round(((event.clientX - box.left) / box.width) * (run.count - 1)));
    } }, picture, this.cursor, this.dot);
    this.element = make("figure", { class: "ti-figure" }, this.caption, plot);
  }

  draw(watched, position) {
    const series = watched ? this.run.series(watched) : { at: [] };
    this.element.hidden = !series.at.length;
    if (this.element.hidden) return;
    if (this.series !== series) this.path.setAttribute("d", this.outline(series));
    const now = countUpTo(series.at, position) - 1;
    const value = series.is[now];
    this.cursor.style.left = `${(100 * position) / Math.max(1, this.run.count - 1)}%`;
    this.dot.style.left = this.cursor.style.left;
    this.dot.style.top = `${this.y(value)}%`;
    this.dot.hidden = value === undefined;
    this.caption.replaceChildren(make("b", {}, series.path), value === undefined ? " not yet known" : ` = ${value}`,
      make("span", { class: "nk-faint" }, `${this.low} to ${this.high}`));
  }

  y(value) {
    return this.high === this.low ? 50 : 92 - (84 * (value - this.low)) / (this.high - this.low);
  }

  outline(series) {
    this.series = series;
    [this.low, this.high] = [Infinity, -Infinity];
    for (const value of series.is) [this.low, this.high] = [Math.min(this.low, value), Math.max(this.high, value)];
    const scale = 600 / Math.max(1, this.run.count - 1);
    const points = new Map(); // pixel -> values there: first, lowest, highest, last
    series.at.forEach((position, at) => {
      const pixel = Math.round(position * scale);
      const y = this.y(series.is[at]);
      const [first, least, most] = points.get(pixel) ?? [y, y, y];
      points.set(pixel, [first, Math.min(least, y), Math.max(most, y), y]);
    });
    const lines = [...points].map(([x, ys], at) => `${at ? "H" : "M"}${x}${at ? "V" : " "}${ys.map((y) => y.toFixed(1)).join("V")}`);
    return `${lines.join("")}H600`;
  }
}

/** What a step is and did, in a line. */
function told(run, position) {
  const name = run.calls[run.call[position]][0];
  const state = run.state(position) || (run.events[position] === "c" ? "is called" : "changes nothing");
  return [make("b", {}, `(${run.index[position]})`), ` line ${run.lines[position]} of `, make("span", { class: "nk-mono" }, name), ": ",
    make("span", { class: `nk-mono${run.events[position] === "x" ? " ti-raised" : ""}` }, state)];
}

/** One run in full: head, source, test, and beside them variables, course, calls and output. */
class Pane {
  constructor(which, walk, model, title) {
    Object.assign(this, { which, walk, model, run: walk.runs[which] });
    const toStep = (position) => walk.show(which, position);
    this.source = new Source(this.run, (line) => walk.toLine(which, line), toStep);
    this.course = new Course(this.run, toStep);
    this.toStep = toStep;
    this.variables = make("tbody");
    this.frames = make("ol", { class: "ti-frames" });
    this.output = make("pre", { class: "ti-output" });
    this.outputSection = section("Output", this.output);
    this.calls = make("h4");
    this.element = make("div", { class: "ti-pane", onpointerdown: () => { walk.active = which; } }, this.head(title),
      make("div", { class: "ti-body" }, make("div", { class: "ti-left" }, this.source.element, this.test()), this.side()));
  }

  head(title) {
    this.status = make("span", { class: "ti-status", "aria-live": "polite" });
    this.visit = make("span", { class: "ti-visit" });
    this.up = iconButton("up", "previous visit of this line (↑)", () => this.walk.byVisit(this.which, -1));
    this.down = iconButton("down", "next visit of this line (↓)", () => this.walk.byVisit(this.which, 1));
    const badge = make("span", { class: `ti-badge ti-${this.run.outcome}` }, SIGNS[this.run.outcome] ?? this.run.outcome);
    return make("div", { class: "ti-head" }, title ? make("b", {}, title) : undefined, badge, this.status,
      make("span", { class: "ti-visits" }, this.visit, this.up, this.down));
  }

  test() {
    const rows = this.run.test.map(([line, came]) => make("div", { class: "ti-row" }, make("span"), make("span"), make("span"),
      make("span", { class: "ti-text", style: "--indent:4ch" }, line, came ? make("span", { class: "ti-came" }, `  # ${came}`) : undefined)));
    return make("div", { class: "ti-test" }, make("h4", {}, "Test"), rows);
  }

  side() {
    return make("div", { class: "ti-side" },
      make("section", { class: "ti-section" }, this.calls, make("table", {}, this.variables), this.course.element),
      section("Calls", this.frames), this.outputSection);
  }

  draw() {
    const { run, walk, which } = this;
    const position = walk.at(which);
    const { all, now } = walk.visits(which);
    this.source.draw(position);
    this.status.replaceChildren(...told(run, position));
    this.visit.textContent = `visit ${now + 1} of ${all.length}`;
    this.up.disabled = now === 0;
    this.down.disabled = now === all.length - 1;
    this.drawSide(position);
  }

  drawSide(position) {
    const { run, model } = this;
    const watched = model.get("watched");
    this.calls.textContent = `Variables of ${run.calls[run.call[position]][0]}`;
    this.variables.replaceChildren(...variableRows(run, position, watched, (name) => put(model, "watched", name)));
    this.course.draw(watched, position);
    this.frames.replaceChildren(...frameRows(run.frames(position), this.toStep));
    const { before, now } = run.output(position);
    this.outputSection.hidden = !run.printed.length;
    this.output.replaceChildren(before, now ? make("b", { class: "ti-printed" }, now) : "");
    this.output.scrollTop = this.output.scrollHeight;
  }
}

/** Buttons, slider and speed. */
class Controls {
  constructor(walk, model) {
    Object.assign(this, { walk, model });
    this.slider = make("input", { type: "range", "aria-label": "step", oninput: () => walk.goTo(Number(this.slider.value)) });
    this.play = make("button", { type: "button", class: "ti-button ti-play", onclick: () => this.toggle() });
    this.count = make("span", { class: "ti-count" });
    this.speed = make("select", { "aria-label": "speed", title: "steps a second", onchange: () => put(model, "speed", Number(this.speed.value)) });
    this.element = make("div", { class: "nk-bar" },
      make("span", { class: "ti-buttons" },
        iconButton("first", "first step (Home)", () => walk.goTo(-Infinity)), iconButton("back", "back (←)", () => walk.by(-1)), this.play,
        iconButton("forward", "on (→)", () => walk.by(1)), iconButton("last", "last step (End)", () => walk.goTo(Infinity))),
      this.slider, this.count, this.speed, walk.runs.length > 1 ? this.both() : undefined);
  }

  both() {
    const { walk, model } = this;
    this.pair = make("button", { type: "button", title: "step both runs at once", onclick: () => put(model, "together", !model.get("together")) }, "step both");
    const parting = make("button", { type: "button", onclick: () => { put(model, "together", true); walk.goTo(0); } }, "first difference");
    parting.disabled = !model.get("payload").parted;
    return make("span", { class: "ti-both" }, this.pair, parting);
  }

  toggle() {
    const isStarting = !this.model.get("playing");
    if (isStarting && this.walk.time === this.walk.range[1]) this.walk.goTo(-Infinity);
    put(this.model, "playing", isStarting);
  }

  draw() {
    const { walk, model, slider } = this;
    [slider.min, slider.max] = walk.range;
    slider.value = walk.time;
    const which = walk.isTogether ? 0 : walk.active;
    const counts = (walk.isTogether ? [0, 1] : [which]).map((each) => `${walk.at(each)} / ${walk.last(each)}`);
    this.count.textContent = `step ${counts.join(" · ")}`;
    slider.setAttribute("aria-valuetext", this.count.textContent);
    const label = model.get("playing") ? "pause (p)" : "play (p)";
    this.play.replaceChildren(icon(model.get("playing") ? "pause" : "play"));
    this.play.title = label;
    this.play.setAttribute("aria-label", label);
    this.pair?.setAttribute("aria-pressed", String(walk.isTogether));
    this.drawSpeed(model.get("speed"));
  }

  drawSpeed(speed) {
    const speeds = [...new Set([...SPEEDS, speed])].sort((one, other) => one - other);
    if (this.speed.options.length !== speeds.length)
      this.speed.replaceChildren(...speeds.map((each) => make("option", { value: each }, `${each} / s`)));
    this.speed.value = speed;
  }
}

/** Moves on while `playing`; armed anew at each change, so that two views of one widget move it only once. */
function player(model, walk) {
  let timer;
  const tick = () => {
    walk.by(Math.max(1, Math.round(model.get("speed") / 30)));
    if (walk.time >= walk.range[1]) put(model, "playing", false);
  };
  const arm = () => {
    clearTimeout(timer);
    if (model.get("playing")) timer = setTimeout(tick, Math.max(1000 / model.get("speed"), 33));
  };
  const stop = follow(model, ["playing", "speed", ...TRAITS], arm);
  return () => (stop(), clearTimeout(timer));
}

function footer(runs) {
  const hint = "← → step · ↑ ↓ visit of the line · Home End · p play · click a line, a state, a number";
  const notes = [...new Set(runs.flatMap((run) => run.notes))];
  return make("div", { class: "ti-foot" }, notes.length ? make("span", { class: "ti-notes" }, `Cut: ${notes.join("; ")}.`) : undefined,
    make("span", { class: "nk-faint" }, hint));
}

function build(model, root) {
  const runs = model.get("payload").runs.map((data) => new Run(data));
  const walk = new Walk(model, runs);
  const titles = runs.length > 1 ? ["buggy", "fixed"] : [runs[0].task];
  const panes = titles.map((title, which) => new Pane(which, walk, model, title));
  const controls = new Controls(walk, model);
  root.append(controls.element, make("div", { class: `ti-panes ti-panes-${runs.length}` }, panes.map((pane) => pane.element)), footer(runs));
  keys(root, {
    ArrowLeft: () => walk.by(-1),
    ArrowRight: () => walk.by(1),
    ArrowUp: () => walk.byVisit(walk.active, -1),
    ArrowDown: () => walk.byVisit(walk.active, 1),
    Home: () => walk.goTo(-Infinity),
    End: () => walk.goTo(Infinity),
    p: () => controls.toggle(),
  });
  const drawAll = () => {
    panes.forEach((pane) => pane.element.classList.toggle("ti-active", runs.length > 1 && !walk.isTogether && pane.which === walk.active));
    [...panes, controls].forEach((part) => part.draw());
  };
  root.addEventListener("pointerup", drawAll);
  const stops = [follow(model, [...TRAITS, "together", "watched", "playing", "speed"], drawAll), player(model, walk)];
  return () => stops.forEach((stop) => stop());
}

const widget = {
  render({ model, el }) {
    const root = make("div", { class: "nk ti" }, errorBox(model));
    el.append(root);
    try {
      return build(model, root);
    } catch (error) {
      root.append(make("div", { class: "nk-error", role: "alert" }, `This view failed: ${error}`));
      throw error;
    }
  },
};
export default widget;
