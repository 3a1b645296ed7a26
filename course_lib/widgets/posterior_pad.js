// The exact posterior as a picture, and over it q as an ellipse: drag its middle, or a handle on either axis.

const GAUSSIANS = { // on a light and on a dark page; dashes, so that colour is not all that tells them apart
  you: { hues: ["#c04f00", "#ffa45c"], dash: [] },
  network: { hues: ["#832db6", "#d2a0f0"], dash: [9, 5] },
  best: { hues: ["#1a7a3c", "#6fdc96"], dash: [3, 4] },
};
const NEAREST = 26, GRAB = 22; // px: a handle's least distance from the middle; how near a finger must come

// view() gives {q, others: [[name, {mean, sd}], ...], limit, n, table, key, zoom}; drag(name, [v1, v2]) is asked for,
// with name "mean", or "sd" with null for the one that stays. step(dx, dy, event) and home() for keys.
function posteriorPad({ view, drag, step, home, life }) {
  const canvas = h("canvas", { class: "posterior", tabindex: 0, role: "application",
    "aria-roledescription": "two-dimensional slider for the mean of q" });
  const heat = document.createElement("canvas");
  let plot = null, known = {}, painted = "", grip = null;

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { q, others, limit, n, table, key, zoom } = view(), { ink, dark, halo } = look(canvas);
    const font = getComputedStyle(canvas).fontFamily;
    const box = { left: EDGE, top: RIM, right: width - RIM, bottom: height - EDGE };
    if (known.key !== key) {
      const found = posterior(table), lines = found.levels.map((level) => contour(found.density, n, level));
      known = { key, ...found, lines, near: closeUp(found.density, n, limit) };
    }
    const [x, y] = zoom ? known.near : [[-limit, limit], [-limit, limit]];
    const X = (v) => box.left + (v - x[0]) / (x[1] - x[0]) * (box.right - box.left);
    const Y = (v) => box.bottom - (v - y[0]) / (y[1] - y[0]) * (box.bottom - box.top);
    plot = { box, x, y, X, Y, unit: X(1) - X(0), width, height };
    if (painted !== `${key} ${dark}`) {
      paintHeat(heat, known.density, n, dark);
      painted = `${key} ${dark}`;
    }

    g.save();
    g.beginPath();
    g.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    g.clip();
    g.imageSmoothingQuality = "high";
    g.drawImage(heat, X(-limit), Y(limit), X(limit) - X(-limit), Y(-limit) - Y(limit));
    const place = (i) => (i + 0.5) * 2 * limit / n - limit;
    g.strokeStyle = dark ? "#a8d1ff" : "#104a86";
    g.lineWidth = 1;
    g.globalAlpha = 0.75;
    for (const pieces of known.lines) {
      g.beginPath();
      for (const [a, b, c, d] of pieces) {
        g.moveTo(X(place(a)), Y(place(b)));
        g.lineTo(X(place(c)), Y(place(d)));
      }
      g.stroke();
    }
    g.globalAlpha = 1;
    for (const [name, each] of [...others, ["you", q]]) ellipses(name, each);
    handles();
    g.restore();
    axes();

    function ellipses(name, { mean, sd }) {
      const colour = GAUSSIANS[name].hues[dark ? 1 : 0];
      for (const times of [2, 1]) {
        const shape = new Path2D();
        shape.ellipse(X(mean[0]), Y(mean[1]), times * sd[0] * plot.unit, times * sd[1] * plot.unit, 0, 0, 2 * Math.PI);
        g.strokeStyle = halo;
        g.setLineDash([]);
        g.lineWidth = 4;
        g.globalAlpha = 0.7;
        g.stroke(shape);
        g.globalAlpha = 1;
        g.strokeStyle = colour;
        g.setLineDash(GAUSSIANS[name].dash);
        g.lineWidth = times === 1 ? 2.5 : 1.75;
        g.stroke(shape);
        g.setLineDash([]);
      }
    }

    function handles() {
      const colour = GAUSSIANS.you.hues[dark ? 1 : 0], middle = [X(q.mean[0]), Y(q.mean[1])];
      for (const d of [0, 1]) {
        const end = handle(d);
        for (const [paint, wide] of [[halo, 4], [colour, 1.5]]) {
          g.strokeStyle = paint;
          g.lineWidth = wide;
          g.beginPath();
          g.moveTo(...middle);
          g.lineTo(...end);
          g.stroke();
        }
        dot(end, 7, dark ? "#111" : "#fff", colour);
      }
      dot(middle, 8, colour, halo);
    }
    function dot([x, y], radius, fill, rim) {
      g.beginPath();
      g.arc(x, y, radius, 0, 2 * Math.PI);
      g.fillStyle = fill;
      g.fill();
      g.strokeStyle = rim;
      g.lineWidth = 2.5;
      g.stroke();
    }

    function axes() {
      g.font = `14px ${font}`;
      g.fillStyle = g.strokeStyle = ink;
      g.lineWidth = 1;
      g.globalAlpha = 0.45;
      g.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left - 1, box.bottom - box.top - 1);
      g.globalAlpha = 1;
      const across = ticks(...x), up = ticks(...y);
      g.textAlign = "center";
      g.textBaseline = "top";
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
      g.font = `bold 16px ${font}`;
      g.textAlign = "center";
      g.textBaseline = "bottom";
      g.fillText("z₁", (box.left + box.right) / 2, box.bottom + EDGE);
      g.textAlign = "left";
      g.textBaseline = "middle";
      g.fillText("z₂", 0, (box.top + box.bottom) / 2);
    }
  });

  // The handle of σ_d stands at 2σ, towards the middle of the picture, never on q's own middle nor outside.
  const side = (d) => (view().q.mean[d] > (plot[d ? "y" : "x"][0] + plot[d ? "y" : "x"][1]) / 2 ? -1 : 1);
  function handle(d) {
    const { mean, sd } = view().q, { box, X, Y, unit } = plot, middle = [X(mean[0]), Y(mean[1])];
    const away = side(d) * Math.max(NEAREST, 2 * sd[d] * unit), rim = 9;
    if (d === 0) return [Math.min(box.right - rim, Math.max(box.left + rim, middle[0] + away)), middle[1]];
    return [middle[0], Math.min(box.bottom - rim, Math.max(box.top + rim, middle[1] - away))];
  }

  // What the pointer took hold of stays as far from it as it was: nothing jumps, unless one presses far from q.
  function take(x, y) {
    const { mean, sd } = view().q, { X, Y, unit } = plot, from = ([a, b]) => Math.hypot(a - x, b - y);
    const middle = [X(mean[0]), Y(mean[1])], [d] = [0, 1].sort((a, b) => from(handle(a)) - from(handle(b)));
    if (from(handle(d)) < Math.min(GRAB, from(middle))) return { d, way: side(d), start: [x, y], sd: sd[d] };
    const inside = Math.hypot((x - middle[0]) / sd[0], (y - middle[1]) / sd[1]) < 2 * unit || from(middle) < GRAB;
    return { offset: inside ? [middle[0] - x, middle[1] - y] : [0, 0] };
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.isPrimary) grip = null;
    canvas.focus({ preventScroll: true });
  }, { signal: life.signal });
  dragging(canvas, life, (fx, fy) => {
    if (!plot) return;
    const { box, width, height, unit } = plot, x = fx * width, y = fy * height;
    grip ??= take(x, y);
    if (grip.offset) {
      const [px, py] = [x + grip.offset[0], y + grip.offset[1]];
      drag("mean", [(px - box.left) / unit + plot.x[0], (box.bottom - py) / unit + plot.y[0]]);
    } else {
      const moved = grip.way * (grip.d === 0 ? x - grip.start[0] : grip.start[1] - y);
      drag("sd", [0, 1].map((d) => (d === grip.d ? grip.sd + moved / (2 * unit) : null)));
    }
  });
  canvas.addEventListener("pointermove", (event) => { // the cursor tells what a press would take
    if (!plot || event.buttons) return;
    const { d } = take(event.offsetX, event.offsetY);
    canvas.style.cursor = d === undefined ? "move" : d === 0 ? "ew-resize" : "ns-resize";
  }, { signal: life.signal });
  arrowKeys(canvas, life, step, home);
  return { canvas, redraw };
}

// A square around what there is of the posterior, no wider than the grid: [[left, right], [low, high]]
function closeUp(density, n, limit) {
  const ends = [[n, 0], [n, 0]];
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
    if (density[i * n + j] < 1e-3) continue;
    [i, j].forEach((k, d) => { ends[d] = [Math.min(ends[d][0], k), Math.max(ends[d][1], k + 1)]; });
  }
  const half = Math.min(n / 2, 0.7 * Math.max(...ends.map(([from, to]) => to - from)));
  return ends.map(([from, to]) => {
    const middle = Math.min(n - half, Math.max(half, (from + to) / 2));
    return [middle - half, middle + half].map((k) => k * 2 * limit / n - limit);
  });
}

function paintHeat(canvas, density, n, dark) {
  canvas.width = canvas.height = n;
  const g = canvas.getContext("2d"), image = g.createImageData(n, n), rgb = dark ? [109, 177, 240] : [40, 120, 196];
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) // first latent to the right, second upwards
    image.data.set([...rgb, Math.round(215 * density[i * n + j] ** 0.6)], 4 * ((n - 1 - j) * n + i));
  g.putImageData(image, 0, 0);
}
