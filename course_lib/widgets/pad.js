// A square pad over a plane: axes with ticks, a backdrop, a marker, and pointer, touch and keyboard to move it.

const EDGE = 46, RIM = 10; // room for tick labels at the left and below; little at the right and above

// Round numbers that divide [low, high] into at most seven parts.
function ticks(low, high) {
  const rough = (high - low) / 7, ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * ten).find((m) => m >= rough * 0.999);
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++) values.push(k * step);
  return { values, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// view() gives {x: [low, high], y: [low, high], names: [x, y], at: [x, y], step}; move(x, y) is asked for, never done
// here: the caller decides, then calls place() for a new marker or redraw() for everything.
// backdrop(g, X, Y, style) draws under the marker, in CSS pixels; it is drawn once and kept.
function pad({ label, view, move, home, backdrop, life }) {
  const canvas = h("canvas", { class: "pad", tabindex: 0, role: "application", "aria-label": label,
                               "aria-roledescription": "two-dimensional slider" });
  const kept = document.createElement("canvas");
  let plot = null;

  const redraw = sharp(canvas, life, (g, width, height, scale) => {
    const { x, y, names } = view(), style = { ...look(canvas), font: getComputedStyle(canvas).fontFamily };
    const box = { left: EDGE, top: RIM, right: width - RIM, bottom: height - EDGE };
    const X = (v) => box.left + (v - x[0]) / (x[1] - x[0]) * (box.right - box.left);
    const Y = (v) => box.bottom - (v - y[0]) / (y[1] - y[0]) * (box.bottom - box.top);
    plot = { g, box, X, Y, style, width, height };
    kept.width = canvas.width;
    kept.height = canvas.height;
    const under = kept.getContext("2d");
    under.setTransform(scale, 0, 0, scale, 0, 0);
    under.save();
    under.beginPath();
    under.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    under.clip();
    backdrop(under, X, Y, style);
    under.restore();
    axes(under, plot, x, y, names);
    place();
  });

  function axes(g, { box, X, Y, style }, x, y, names) {
    g.font = `14px ${style.font}`;
    g.fillStyle = g.strokeStyle = style.ink;
    g.lineWidth = 1;
    g.globalAlpha = 0.45;
    g.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left - 1, box.bottom - box.top - 1);
    g.globalAlpha = 1;
    g.textAlign = "center";
    g.textBaseline = "top";
    const across = ticks(...x), up = ticks(...y);
    for (const v of across.values) {
      g.fillRect(X(v), box.bottom, 1, 5);
      g.fillText(fixed(v, across.digits), X(v), box.bottom + 8);
    }
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const v of up.values) {
      g.fillRect(box.left - 5, Y(v), 5, 1);
      g.fillText(fixed(v, up.digits), box.left - 8, Y(v));
    }
    g.font = `bold 16px ${style.font}`;
    g.textAlign = "center";
    g.textBaseline = "bottom";
    g.fillText(names[0], (box.left + box.right) / 2, box.bottom + EDGE);
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.fillText(names[1], 0, (box.top + box.bottom) / 2);
  }

  // Only the marker moves: the kept picture is copied, so a move costs the same with 10 or 3000 points behind it.
  function place() {
    if (!plot) return;
    const { g, box, X, Y, style, width, height } = plot, { x, y, at } = view();
    const inside = (v, [low, high]) => Math.min(high, Math.max(low, v));
    const px = X(inside(at[0], x)), py = Y(inside(at[1], y));
    g.clearRect(0, 0, width, height);
    g.drawImage(kept, 0, 0, width, height);
    for (const [colour, wide] of [[style.halo, 3], [style.ink, 1]]) {
      g.strokeStyle = colour;
      g.lineWidth = wide;
      g.globalAlpha = 0.6;
      g.beginPath();
      for (const [a, b] of [[box.left, px - 9], [px + 9, box.right]]) if (b > a) { g.moveTo(a, py); g.lineTo(b, py); }
      for (const [a, b] of [[box.top, py - 9], [py + 9, box.bottom]]) if (b > a) { g.moveTo(px, a); g.lineTo(px, b); }
      g.stroke();
    }
    g.globalAlpha = 1;
    for (const [colour, wide] of [[style.halo, 7], [style.ink, 3]]) {
      g.strokeStyle = colour;
      g.lineWidth = wide;
      g.beginPath();
      g.arc(px, py, 9, 0, 2 * Math.PI);
      g.stroke();
    }
  }

  dragging(canvas, life, (fx, fy) => {
    if (!plot) return;
    const { box, width, height } = plot, { x, y } = view();
    const u = (fx * width - box.left) / (box.right - box.left), v = (box.bottom - fy * height) / (box.bottom - box.top);
    move(x[0] + u * (x[1] - x[0]), y[0] + v * (y[1] - y[0]));
  });
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }), { signal: life.signal });
  arrowKeys(canvas, life, (dx, dy, event) => {
    const { at, step } = view(), size = step * (event.shiftKey ? 5 : 1);
    move(at[0] + dx * size, at[1] + dy * size);
  }, home);
  return { canvas, redraw, place };
}
