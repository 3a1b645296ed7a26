// Controls with a label and keys: each has a node and `place`, which shows a value, and asks for changes by a callback.

// A row: symbol, range input, value. Arrow keys go by `size`, with Shift five times as far; the pointer by `step`.
// value() is asked at every key: two of them may come within a frame.
function slider({ symbol, label, range: [min, max], step = 0.01, size = 0.1, big = 5 * size, text = fixed, ...rest }) {
  const { value, set, life } = rest;
  const input = h("input", { type: "range", min, max, step, "aria-label": label }), output = h("output", {});
  input.addEventListener("input", () => set(input.valueAsNumber), { signal: life.signal });
  arrowKeys(input, life, (dx, dy, event) => set(value() + (dx + dy) * (event.shiftKey ? big : size)));
  return {
    node: h("div", { class: "slider", title: label }, h("span", { class: "symbol" }, symbol), input, output),
    place() {
      input.value = value();
      output.textContent = text(value());
      input.setAttribute("aria-valuetext", text(value()));
    },
  };
}

// options: [[value, text], ...]; `name` keeps the buttons of two groups apart
function radios(name, legend, options, life, chosen) {
  const inputs = options.map(([value]) => {
    const input = h("input", { type: "radio", name, value });
    input.addEventListener("change", () => chosen(value), { signal: life.signal });
    return input;
  });
  const labels = options.map(([, text], k) => h("label", {}, inputs[k], text));
  return {
    node: h("fieldset", { class: "radios" }, h("legend", {}, legend), ...labels),
    place: (value) => inputs.forEach((input, k) => { input.checked = options[k][0] === value; }),
  };
}

// Tabs: arrow keys go from one to the next; only the chosen one is in the order of the Tab key.
function tabList(label, panel, options, life, chosen) {
  const buttons = options.map(([value, text]) => {
    const button = h("button", { type: "button", role: "tab", "aria-controls": panel }, text);
    button.addEventListener("click", () => chosen(value), { signal: life.signal });
    return button;
  });
  const node = h("div", { class: "tabs", role: "tablist", "aria-label": label }, ...buttons);
  arrowKeys(node, life, (dx, dy) => {
    const now = buttons.indexOf(document.activeElement), next = (now + dx - dy + buttons.length) % buttons.length;
    buttons[next].focus();
    chosen(options[next][0]);
  });
  return {
    node,
    place: (value) => buttons.forEach((button, k) => {
      const here = options[k][0] === value;
      button.setAttribute("aria-selected", here);
      button.tabIndex = here ? 0 : -1;
    }),
  };
}

function checkBox(text, life, chosen) {
  const input = h("input", { type: "checkbox" });
  input.addEventListener("change", () => chosen(input.checked), { signal: life.signal });
  return { node: h("label", {}, input, text), place: (on) => { input.checked = on; } };
}

function choice(symbol, label, options, life, chosen) {
  const select = h("select", { "aria-label": label }, ...options.map(([value, text]) => h("option", { value }, text)));
  select.addEventListener("change", () => chosen(select.value), { signal: life.signal });
  return {
    node: h("label", { class: "choice" }, h("span", { class: "symbol" }, symbol), select),
    place: (value) => { select.value = value; },
  };
}
