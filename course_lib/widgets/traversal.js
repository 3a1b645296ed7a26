// The latent traversal widget: pad, decoded image, one row with strip and slider per latent, training button.

const TUPLE = 4; // up to four latents are read out as one tuple; more of them have their values in the rows

function render({ model, el }) {
  const life = beginLife(), frame = () => model.get("frame"), { d, shape: [height, width], classes } = frame();
  const names = Array.from({ length: d }, (_, i) => `z${subscript(i + 1)}`);
  let axes = [0, 1]; // the latents on the pad
  let pictures, codes, labels, decoding = null;

  // Every way to move ends here. The model tells all its views; the kernel hears at most once a frame.
  const save = eachFrame(life, () => model.save_changes());
  function moveTo(z) {
    const { limit } = frame(), clamp = (v) => Math.round(1e4 * Math.min(limit, Math.max(-limit, v))) / 1e4;
    model.set("z", z.map(clamp));
    save();
  }
  const moveOne = (i, v) => moveTo(model.get("z").map((old, j) => (j === i ? v : old)));
  const home = () => moveTo(Array(d).fill(0));
  const view = () => ({ ...frame(), z: model.get("z") });

  const screen = h("canvas", { class: "screen", width, height, role: "img" });
  const pixels = screen.getContext("2d", { willReadFrequently: true });
  const rows = names.map((name, i) => strip({ i, name, drawn: i < frame().strips, view, set: moveOne, life }));
  const tiles = rows.flatMap((row) => row.tiles);
  const plane = d < 2 ? null : pad({
    label: "Latent plane. Arrow keys move, with Shift by larger steps; Home goes back to 0.",
    view: () => {
      const { limit, step, z } = view(), range = [-limit, limit];
      return { x: range, y: range, step, names: axes.map((a) => names[a]), at: axes.map((a) => z[a]) };
    },
    move: (u, v) => moveTo(model.get("z").map((old, j) => (j === axes[0] ? u : j === axes[1] ? v : old))),
    backdrop: (g, X, Y, style) => drawBackdrop(g, X, Y, style, { ...frame(), codes, labels, axes }),
    home, life,
  });
  const choice = axesChoice(names, axes, life, (chosen) => { axes = chosen; plane.redraw(); show(); });
  const readout = h("div", { class: "readout" }), spoken = h("div", { class: "spoken", "aria-live": "polite" });
  const reset = h("button", { type: "button", class: "reset" }, "Back to 0");
  reset.addEventListener("click", home, { signal: life.signal });
  const missing = h("div", { class: "missing", role: "status" }), say = (text) => { missing.textContent = text; };
  const { button, line } = trainer(model, life, say);

  const info = h("div", { class: "info" }, readout, reset, ...(frame().train ? [button] : []), line, missing, spoken);
  const picture = h("div", { class: "picture" }, screen, info), map = h("div", { class: "map" });
  if (plane) {
    const chips = classes.map((name, c) => h("li", { style: `background: ${paint(c)}; color: ${onPaint(c)}` }, name));
    map.append(plane.canvas);
    if (d > 2) map.append(choice);
    if (chips.length) map.append(h("ul", { class: "legend", "aria-label": "classes" }, ...chips));
    map.append(h("div", { class: "hint" }, "Drag, or arrow keys (Shift: larger steps)."));
  }
  const strips = h("div", { class: "rows" }, ...rows.map((row) => row.node));
  // Two latents: pad left, image and strips right. More: the sliders' rows have the right side to themselves.
  const columns = d > 2 ? [[picture, map], [strips]] : [[map], [picture, strips]];
  const root = h("div", { class: `elbo traversal ${d > 2 ? "many" : ""}` },
    ...columns.map((parts) => h("div", { class: "column" }, ...parts)));

  const tuple = (which) => `(${which.map((i) => fixed(model.get("z")[i])).join(", ")})`;
  const speak = whenQuiet(life, 300, () => { spoken.textContent = `z = ${tuple([...names.keys()])}`; });

  function show() {
    pictures.show(model.get("z"), (grey) => {
      if (grey.length) pixels.putImageData(greyImage(grey, width, height), 0, 0);
    });
    plane?.place();
    rows.forEach((row) => row.place());
    readout.textContent = d > TUPLE
      ? `(${axes.map((i) => names[i]).join(", ")}) = ${tuple(axes)}` : `z = ${tuple([...names.keys()])}`;
    screen.setAttribute("aria-label", `decoded image at z = ${tuple([...names.keys()])}`);
    pictures.fill(tiles);
  }

  // A new version of the model: other weights, other codes, maybe a wider pad.
  function load() {
    decoding?.end();
    decoding = beginLife();
    say("");
    codes = new Float32Array(bytes(model.get("codes")));
    labels = new Uint8Array(bytes(model.get("labels")));
    const packed = model.get("decoder");
    pictures = packed.layers
      ? browserPictures(decoder(packed, bytes(model.get("weights"))), decoding)
      : kernelPictures(model, decoding, readTable(bytes(model.get("table")), d, width * height), say);
    for (const tile of tiles) tile.forget();
    plane?.redraw();
    show();
  }

  el.append(root);
  load();
  life.observe(model, "change:z", () => { show(); speak(); });
  life.observe(model, "change:frame", load);
  keepKeys(root, life);
  onTheme(root, life, () => plane?.redraw());
  life.onEnd(() => { decoding.end(); root.remove(); });
  return life.end;
}

// Two selects for the latents on the pad; taking the other one's latent swaps the two.
function axesChoice(names, axes, life, chosen) {
  const selects = ["across", "up"].map((way, side) => {
    const select = h("select", {}, ...names.map((name, i) => h("option", { value: i }, name)));
    select.value = axes[side];
    select.addEventListener("change", () => {
      const taken = Number(select.value), other = axes[1 - side];
      axes = taken === other ? [axes[1], axes[0]] : axes.map((a, s) => (s === side ? taken : a));
      selects.forEach((each, s) => { each.value = axes[s]; });
      chosen(axes);
    }, { signal: life.signal });
    return select;
  });
  return h("div", { class: "axes" }, h("label", {}, "across ", selects[0]), h("label", {}, "up ", selects[1]));
}

export default { render };
