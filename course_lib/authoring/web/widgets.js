// Brings the widgets of a page to life that has no kernel: a stand-in for anywidget's model around each saved state.
// WIDGETS, from a script before this one: {model id: {state, buffers: [{path, data}]}}, data in base64.
(() => {
  const TRAINING = "To train on, open the notebook.";
  const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const made = new Map(); // a model with several views is one model
  const modules = new Map(); // and many models may share a module

  function modelOf(id) {
    const { state, buffers } = WIDGETS[id], values = { ...state }, listeners = [];
    for (const { path: [name], data } of buffers) values[name] = view(data);
    const fire = (name, ...args) => { for (const [n, callback] of [...listeners]) if (n === name) callback(...args); };
    return {
      get: (name) => values[name],
      set(name, value) {
        if (values[name] === value) return;
        values[name] = value;
        fire(`change:${name}`);
        fire("change");
      },
      save_changes() {}, // nobody to tell
      send() { throw new Error("this page has no kernel"); },
      on: (name, callback) => { listeners.push([name, callback]); },
      off(name, callback) {
        const k = listeners.findIndex(([n, c]) => n === name && c === callback);
        if (k >= 0) listeners.splice(k, 1);
      },
    };
  }

  function moduleOf(text) {
    if (!modules.has(text)) modules.set(text, import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));
    return modules.get(text);
  }

  // Each widget has a shadow root: the page's styles, and reveal.js with its sections, leave it alone.
  // What the page wants of widgets stands in its <template class="in-widgets">.
  async function show(place) {
    const id = place.dataset.widget, { _esm, _css } = WIDGETS[id].state;
    const { default: widget } = await moduleOf(_esm);
    if (!made.has(id)) {
      made.set(id, modelOf(id));
      await widget.initialize?.({ model: made.get(id) });
    }
    const root = place.attachShadow({ mode: "open" }); // the still picture inside the place is hidden by it
    const el = document.createElement("div"), style = document.createElement("style");
    style.textContent = _css ?? "";
    root.append(style, ...[...document.querySelectorAll("template.in-widgets")].map((t) => t.content.cloneNode(true)), el);
    await widget.render({ model: made.get(id), el });
    for (const button of el.querySelectorAll(".train")) // needs a kernel
      button.replaceWith(Object.assign(document.createElement("div"), { className: "without", textContent: TRAINING }));
    place.classList.add("live");
    place.dispatchEvent(new Event("widget", { bubbles: true })); // for a page that makes room for it
  }

  for (const place of document.querySelectorAll("[data-widget]"))
    show(place).catch((error) => console.error(`widget ${place.dataset.widget}: ${error.stack ?? error}`));
})();
