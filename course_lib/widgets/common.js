// What every widget of the course uses. Files are joined by base.py into one ES module, so nothing is imported here.

// A DOM node: h("p", {class: "note"}, "text", child)
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Numbers as the course prints them: a real minus sign, never "−0.00".
function fixed(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

const subscript = (i) => String(i).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

// A synced Bytes trait arrives as a DataView whose offset need not suit a Float32Array: copy.
function bytes(view) {
  return view ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : new ArrayBuffer(0);
}

// A life ends once, with everything that was started in it. Listeners take life.signal; the rest goes to onEnd.
function beginLife() {
  const controller = new AbortController(), { signal } = controller;
  return {
    signal,
    end: () => controller.abort(),
    onEnd: (undo) => signal.addEventListener("abort", undo, { once: true }),
    observe(model, events, callback) {
      for (const event of [].concat(events)) {
        model.on(event, callback);
        this.onEnd(() => model.off(event, callback));
      }
    },
  };
}

// At most one call per animation frame, however often it is asked for; none after the end.
function eachFrame(life, callback) {
  let asked = 0;
  life.onEnd(() => cancelAnimationFrame(asked));
  return () => { asked ||= requestAnimationFrame(() => { asked = 0; callback(); }); };
}

// Calls back once it has been quiet for `wait` ms: for what a screen reader says, and for dear work.
function whenQuiet(life, wait, callback) {
  let timer = 0;
  life.onEnd(() => clearTimeout(timer));
  return () => { clearTimeout(timer); timer = setTimeout(callback, wait); };
}

// The page's own text colour decides whether we draw for a dark or a light page; canvas drawing needs it as a value.
function look(node) {
  const ink = getComputedStyle(node).color;
  const probe = h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  probe.fillStyle = ink;
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue > 127; // light ink: dark page
  return { ink, dark, halo: dark ? "rgb(0 0 0 / .8)" : "rgb(255 255 255 / .9)" };
}

// Calls back when the page changes between its themes, and keeps native controls in step.
function onTheme(root, life, callback) {
  const adapt = () => { root.style.colorScheme = look(root).dark ? "dark" : "light"; };
  const changed = eachFrame(life, () => { adapt(); callback(); });
  const observer = new MutationObserver(changed);
  const what = { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-name", "data-jp-theme-light"] };
  for (const node of [document.documentElement, document.body]) observer.observe(node, what);
  life.onEnd(() => observer.disconnect());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed, { signal: life.signal });
  adapt();
}

// A canvas that stays sharp: one canvas pixel per device pixel, redrawn when its place on the page changes size.
function sharp(canvas, life, draw) {
  const redraw = () => {
    const { clientWidth: width, clientHeight: height } = canvas, scale = window.devicePixelRatio || 1;
    if (!width || !height) return; // not on the page, or in a folded cell
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    draw(g, width, height, scale);
  };
  const observer = new ResizeObserver(redraw);
  observer.observe(canvas);
  life.onEnd(() => observer.disconnect());
  return redraw;
}

// Grey levels as the browser's own image data.
function greyImage(grey, width, height) {
  const image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
  for (let p = 0; p < words.length; p++) words[p] = 0xff000000 | (grey[p] * 0x10101); // opaque, red = green = blue
  return image;
}

// Press, drag and release by mouse, pen or finger: `move` gets the place inside the node as fractions 0..1.
function dragging(node, life, move) {
  const at = (event) => {
    const box = node.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  let pointer = null; // a second finger does not take over
  const listen = (name, callback) => node.addEventListener(name, callback, { signal: life.signal });
  listen("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null) return;
    node.setPointerCapture(pointer = event.pointerId); // the drag goes on outside the node
    at(event);
  });
  listen("pointermove", (event) => { if (event.pointerId === pointer) at(event); });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    listen(name, (event) => { if (event.pointerId === pointer) pointer = null; });
}

// Arrow keys: `step(dx, dy, event)` with dx, dy in -1, 0, 1.
function arrowKeys(node, life, step, home) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (ways[event.key]) step(...ways[event.key], event);
    else if (event.key === "Home" && home) home();
    else return;
    event.preventDefault(); // the page must not scroll
    event.stopPropagation();
  }, { signal: life.signal });
}

// JupyterLab looks for its shortcuts before a widget hears of a key: Shift and an arrow would select cells.
// An attribute stops it; it is set for the keys that are used here and no others: Shift+Enter still runs the cell.
function keepKeys(root, life) {
  window.addEventListener("keydown", (event) => {
    if (!root.contains(event.target)) return;
    const used = /^(Arrow.*|Home|End|PageUp|PageDown| )$/.test(event.key) || (event.key === "Enter" && !event.shiftKey);
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey;
    if (plain && (used || event.target.tagName === "SELECT")) root.setAttribute("data-lm-suppress-shortcuts", "true");
    else root.removeAttribute("data-lm-suppress-shortcuts");
  }, { capture: true, signal: life.signal });
}
