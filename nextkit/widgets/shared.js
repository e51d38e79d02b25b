// What all views share. No imports: this text is also written into exported files.

/** An element: make("div", { class: "x", onclick: f }, child, "text", ...). Text is never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

/** Set a trait from the view, and tell Python. */
function put(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

/** Call draw now and whenever one of the traits changes; returns a function that stops it. */
function follow(model, names, draw) {
  const events = names.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, draw));
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/** Where the widget's `error` is shown. */
function errorBox(model) {
  const box = make("div", { class: "nk-error", role: "alert" });
  follow(model, ["error"], () => {
    box.textContent = model.get("error");
    box.hidden = !model.get("error");
  });
  return box;
}

/** Keys for a widget that has the focus: { ArrowRight: f, ... }; not while somebody types into a field. */
function keys(element, actions) {
  element.tabIndex = 0;
  element.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes them first, and arrows leave the cell
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "range") return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
}

/** A model without Python, for exported files: get, set, on, off, save_changes. */
function standalone(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      (listeners[`change:${name}`] || []).slice().forEach((listener) => listener());
    },
    on: (event, listener) => (listeners[event] ||= []).push(listener),
    off: (event, listener) => (listeners[event] = (listeners[event] || []).filter((each) => each !== listener)),
    save_changes() {},
    send() {},
  };
}
