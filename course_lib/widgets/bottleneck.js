// Bottleneck: images, what each method makes of them from k numbers, and the error over all widths. k is a slider.

// One method after the other: mark, colour on a light and on a dark page, dashes. Two curves may be one: linear
// autoencoders end at PCA. So the second mark leaves room for the first inside, and dashes let the line below be seen.
const METHODS = [
  ["●", "#1f6fba", "#74b6f5", []], ["□", "#c04f00", "#ff9f55", [7, 6]],
  ["▲", "#832db6", "#d2a0f0", []], ["◇", "#1a7a3c", "#6fdc96", [3, 5]],
];
const SIDES = [46, 50], TOP = 6, FOOT = 24; // px around the curves; the slider's thumb stands above its k
const ACROSS = 8; // images in a row of a narrow page

function render({ model, el }) {
  const life = beginLife(), { names, widths, errors, digits, count, shape: [height, width] } = model.get("frame");
  const grey = new Uint8Array(bytes(model.get("pictures"))), size = height * width, pitch = width + 1;
  const index = () => widths.indexOf(model.get("k")), last = widths.length - 1;
  let held = -1; // the column in which every row shows the original

  // Every way to move ends here. The model tells all its views; the kernel hears at most once a frame.
  const save = eachFrame(life, () => model.save_changes());
  function move(i) {
    model.set("k", widths[Math.min(last, Math.max(0, Math.round(i)))]);
    save();
  }

  // --- parts ---

  // Row 0 has the originals, row m + 1 method m.
  const rows = ["originals", ...names].map((name, r) => {
    const [mark, light, dark] = METHODS[r - 1] ?? [];
    const canvas = h("canvas", { class: "screen", width: count * pitch - 1, height, role: "img" });
    const value = h("span", { class: r ? "error number" : "error" }, "squared error per image");
    const hue = r ? { style: `--hue: ${light}; --hue: light-dark(${light}, ${dark})` } : {};
    const node = h("div", { class: "row", ...hue },
      h("span", { class: "name" }, ...(r ? [h("span", { class: "mark", "aria-hidden": "true" }, mark), " "] : []), name),
      h("div", { class: "strip" }, canvas), value);
    const listen = (event, does) => canvas.addEventListener(event, does, { signal: life.signal });
    listen("pointerdown", (event) => {
      const box = canvas.getBoundingClientRect();
      if (event.button === 0) hold(Math.floor((event.clientX - box.left) / box.width * count));
    });
    for (const event of ["pointerup", "pointercancel", "pointerleave"]) listen(event, () => hold(-1));
    return {
      node,
      paint(i) {
        const g = canvas.getContext("2d", { willReadFrequently: true }), of = r ? 1 + (r - 1) * widths.length + i : 0;
        for (let c = 0; c < count; c++) {
          const start = ((c === held ? 0 : of) * count + c) * size;
          g.putImageData(greyImage(grey.subarray(start, start + size), width, height), c * pitch, 0);
        }
        canvas.setAttribute("aria-label", r ? `their reconstructions by ${name}` : `${count} original images`);
        if (r) value.textContent = fixed(errors[r - 1][i], digits);
      },
    };
  });
  function hold(column) {
    if (column === held) return;
    held = column;
    rows.forEach((row) => row.paint(index()));
  }

  const curves = errorCurves({ ...model.get("frame"), index, move, life });
  const wide = slider({
    symbol: "k", label: "k, numbers in the code", range: [0, last], step: 1, size: 1, big: 2,
    text: (i) => String(widths[i]), value: index, set: move, life,
  });
  // After a press on the curves the arrow keys go on from there.
  curves.canvas.addEventListener("click", () => wide.node.querySelector("input").focus({ preventScroll: true }),
    { signal: life.signal });
  const line = h("div", { class: "line" }), spoken = h("div", { class: "spoken", "aria-live": "polite" });
  const root = h("div", { class: "elbo bottleneck" }, line, h("div", { class: "rows" }, ...rows.map(({ node }) => node)),
    h("div", { class: "below" }, wide.node, curves.canvas,
      h("div", { class: "hint" }, "Slide k, or drag along the curves. Hold an image: its original takes its place.")),
    spoken);
  root.style.setProperty("--count", count);
  root.style.setProperty("--stretch", Math.max(1, (count * pitch - 1) / (ACROSS * pitch - 1)));

  const numbers = (k) => `${k} ${k === 1 ? "number" : "numbers"}`;
  function sentence(i) {
    const each = names.map((name, m) => `${name} ${fixed(errors[m][i], digits)}`);
    return `A code of ${numbers(widths[i])}. Squared error per image: ${each.join(", ")}.`;
  }
  const speak = whenQuiet(life, 400, () => { spoken.textContent = sentence(index()); });

  function show() {
    const i = index();
    rows.forEach((row) => row.paint(i));
    wide.place();
    curves.redraw();
    line.replaceChildren(`From ${size} pixels to `, h("b", {}, numbers(widths[i])), " and back");
    curves.canvas.setAttribute("aria-label", `Error against k. ${sentence(i)}`);
  }

  el.append(root);
  onTheme(root, life, show);
  show();
  const changed = eachFrame(life, () => { show(); speak(); });
  life.observe(model, "change:k", changed);
  keepKeys(root, life);
  life.onEnd(() => root.remove());
  return life.end;
}

// The error of each method at every width, the same step apart as on the slider, with a line at the width shown.
function errorCurves({ names, widths, errors, index, move, life }) {
  const canvas = h("canvas", { class: "curves", role: "img" }), last = widths.length - 1;
  const most = 1.06 * Math.max(...errors.flat()) || 1;

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { ink, dark, halo } = look(canvas), font = getComputedStyle(canvas).fontFamily;
    const floor = height - FOOT, right = width - SIDES[1], now = index();
    const X = (i) => SIDES[0] + (last ? i / last : 0.5) * (right - SIDES[0]), Y = (v) => floor - v / most * (floor - TOP);
    g.fillStyle = ink;
    g.textBaseline = "middle";
    g.textAlign = "right";
    g.font = `14px ${font}`;
    const { values, digits } = ticks(0, 2 * most); // half as many lines: the picture is low
    for (const v of values.filter((each) => each <= most)) {
      g.globalAlpha = v ? 0.15 : 0.5;
      g.fillRect(SIDES[0] - 8, Math.round(Y(v)), right - SIDES[0] + 16, 1);
      g.globalAlpha = 1;
      g.fillText(fixed(v, digits), SIDES[0] - 14, Y(v));
    }
    g.textAlign = "center";
    widths.forEach((k, i) => {
      g.font = `${i === now ? 700 : 400} 14px ${font}`;
      g.fillText(String(k), X(i), floor + 14);
    });
    g.globalAlpha = 0.5;
    g.fillRect(X(now) - 1, 0, 2, floor);
    g.globalAlpha = 1;

    g.strokeStyle = halo;
    g.lineWidth = 4;
    g.textAlign = "right";
    g.font = `14px ${font}`;
    g.strokeText("squared error per image", right + 8, TOP + 6);
    g.fillText("squared error per image", right + 8, TOP + 6);

    METHODS.slice(0, names.length).forEach(([, light, deep, dashes], m) => {
      g.fillStyle = g.strokeStyle = dark ? deep : light;
      g.lineWidth = 2;
      g.setLineDash(dashes);
      g.beginPath();
      errors[m].forEach((v, i) => g.lineTo(X(i), Y(v)));
      g.stroke();
    });
    g.textAlign = "center";
    g.textBaseline = "alphabetic"; // from which a letter's real height is measured
    METHODS.slice(0, names.length).forEach(([mark, light, deep], m) => {
      g.fillStyle = dark ? deep : light;
      errors[m].forEach((v, i) => {
        g.font = `${("□◇".includes(mark) ? 18 : 12) + (i === now ? 4 : 0)}px ${font}`;
        const { actualBoundingBoxAscent: up, actualBoundingBoxDescent: down } = g.measureText(mark);
        g.fillText(mark, X(i), Y(v) + (up - down) / 2);
      });
    });
  });

  dragging(canvas, life, (fx) => {
    const { clientWidth: width } = canvas;
    move((fx * width - SIDES[0]) / (width - SIDES[0] - SIDES[1]) * last);
  });
  return { canvas, redraw };
}

export default { render };
