// The pictures of the two divergences: p and q with a handle to drag, and beneath them where each divergence is paid.

const REACH = 11, SIDES = [46, 12]; // z from −11 to 11; px at the left and right
const PAID = { qp: ["#1f6fba", "#74b6f5"], pq: ["#c04f00", "#ff9f55"] }; // on a light and on a dark page

const across = (width) => (z) => SIDES[0] + (z + REACH) / (2 * REACH) * (width - SIDES[0] - SIDES[1]);

// z at every pixel of the plot
function columns(width) {
  const n = width - SIDES[0] - SIDES[1];
  return Array.from({ length: n + 1 }, (_, k) => (2 * k / n - 1) * REACH);
}

function axis(g, X, floor, ink, labels) {
  g.fillStyle = ink;
  g.globalAlpha = 0.45;
  g.fillRect(X(-REACH), floor, X(REACH) - X(-REACH), 1);
  g.globalAlpha = 1;
  g.textAlign = "center";
  g.textBaseline = "top";
  for (const v of ticks(-REACH, REACH).values) {
    g.fillRect(X(v) - 0.5, floor, 1, 5);
    if (labels) g.fillText(fixed(v, 0), X(v), floor + 8);
  }
}

// view() gives {mu, sigma, h}; move({mu, sigma}) and step(dx, dy, event) are asked for.
// A place in the plot is a q: sideways its mean, upwards narrower, from the widest σ at the foot to the narrowest.
function hillPanel({ view, widths: [least, most], move, step, home, life }) {
  const TOP = 30, FOOT = 28, MARGIN = 14;
  const canvas = h("canvas", { class: "hills", tabindex: 0, role: "application",
    "aria-roledescription": "two-dimensional slider for μ and σ" });
  const rank = (sigma) => Math.log(sigma / least) / Math.log(most / least); // 0 narrowest, 1 widest
  const rows = (height) => [TOP + MARGIN, height - FOOT - MARGIN];

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { mu, sigma, h: hump } = view(), { ink, halo, dark } = look(canvas);
    const font = getComputedStyle(canvas).fontFamily;
    const X = across(width), zs = columns(width), floor = height - FOOT;
    const p = zs.map((z) => Math.exp(logTarget(z, hump)));
    const peak = Math.exp(logGaussian(mu, mu, sigma)), high = 1.12 * Math.max(peak, 0.32, ...p);
    const Y = (density) => floor - density / high * (floor - TOP);
    g.lineJoin = "round";
    g.strokeStyle = g.fillStyle = ink;
    g.font = `14px ${font}`;

    g.beginPath();
    g.moveTo(X(-REACH), floor);
    zs.forEach((z, k) => g.lineTo(X(z), Y(p[k])));
    g.lineTo(X(REACH), floor);
    g.globalAlpha = dark ? 0.34 : 0.22;
    g.fill();
    g.globalAlpha = 0.55;
    g.lineWidth = 1;
    g.stroke();
    g.globalAlpha = 1;

    const curve = new Path2D();
    zs.forEach((z) => curve.lineTo(X(z), Y(Math.exp(logGaussian(z, mu, sigma)))));
    for (const [colour, wide] of [[halo, 5], [ink, 2.5]]) {
      g.strokeStyle = colour;
      g.lineWidth = wide;
      g.stroke(curve);
    }
    axis(g, X, floor, ink, true);

    // The handle: μ, and one σ to both sides.
    const [upper, lower] = rows(height), y = upper + rank(sigma) * (lower - upper);
    const [from, to] = [mu - sigma, mu + sigma].map((z) => X(Math.min(REACH, Math.max(-REACH, z))));
    for (const [colour, wide] of [[halo, 6], [ink, 2]]) {
      g.strokeStyle = colour;
      g.lineWidth = wide;
      g.beginPath();
      g.moveTo(from, y);
      g.lineTo(to, y);
      for (const [x, z] of [[from, mu - sigma], [to, mu + sigma]])
        if (Math.abs(z) < REACH) { g.moveTo(x, y - 6); g.lineTo(x, y + 6); }
      g.stroke();
    }
    g.beginPath();
    g.arc(X(mu), y, 8, 0, 2 * Math.PI);
    g.strokeStyle = halo;
    g.lineWidth = 4;
    g.stroke();
    g.fillStyle = ink;
    g.fill();

    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const v of ticks(0, high).values.slice(0, -1).filter((_, k, all) => k === 0 || k === all.length - 1)) {
      g.fillRect(X(-REACH) - 5, Y(v), 5, 1);
      g.fillText(fixed(v, v === 0 ? 0 : v < 1 ? 1 : 0), X(-REACH) - 8, Y(v));
    }
    legend();

    function legend() {
      let x = X(-REACH);
      g.textAlign = "left";
      g.font = `600 14px ${font}`;
      const entries = [["p, the target", dark ? 0.34 : 0.22, 12], ["q, a Gaussian: drag it", 1, 3]];
      for (const [words, alpha, tall] of entries) {
        g.globalAlpha = alpha;
        g.fillRect(x, 10 - tall / 2, 16, tall);
        g.globalAlpha = 1;
        g.fillText(words, x + 22, 11);
        x += g.measureText(words).width + 44;
      }
    }
  });

  dragging(canvas, life, (fx, fy) => {
    const { clientWidth: width, clientHeight: height } = canvas, X = across(width), [upper, lower] = rows(height);
    const z = ((fx * width - X(-REACH)) / (X(REACH) - X(-REACH)) * 2 - 1) * REACH;
    move({ mu: z, sigma: least * (most / least) ** ((fy * height - upper) / (lower - upper)) });
  });
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }), { signal: life.signal });
  arrowKeys(canvas, life, step, home);
  return { canvas, redraw };
}

// Which scale shows values up to `high`: 0.1, 0.15, 0.2, 0.3, 0.5, ...; `before` is kept while it is not far too large.
function roundScale(high, before) {
  if (high <= before && high > 0.3 * before) return before;
  const ten = 10 ** Math.floor(Math.log10(high));
  return Math.max(0.1, Number([1, 1.5, 2, 3, 5, 7, 10].map((m) => m * ten).find((m) => m >= high).toPrecision(2)));
}

// Two strips under the same axis: the integrand of each divergence, on a scale of its own. Its area is the divergence.
function paidPanel(view, life) {
  const canvas = h("canvas", { class: "paid", role: "img" }), scales = { qp: 0.1, pq: 0.1 };
  const WORDS = {
    qp: ["q log (q/p)", "where q is and p is not"], pq: ["p log (p/q)", "where p is and q is not"],
  };

  const redraw = sharp(canvas, life, (g, width, height) => {
    const q = view(), { ink, dark, halo } = look(canvas), font = getComputedStyle(canvas).fontFamily;
    const X = across(width), zs = columns(width), integrands = zs.map((z) => paid(z, q));
    ["qp", "pq"].forEach((which, row) => {
      const top = row * height / 2, foot = top + height / 2 - 8, colour = PAID[which][dark ? 1 : 0];
      const values = integrands.map((each) => each[which]), low = Math.min(0, ...values);
      const scale = scales[which] = roundScale(Math.max(...values, -4 * low, 1e-9), scales[which]);
      // 0 stands a fifth above the foot: where q < p the integrand is negative, gives some of it back.
      const zero = foot - (foot - top - 22) / 5, Y = (v) => zero - v / scale * (zero - top - 26);
      g.beginPath();
      g.moveTo(X(-REACH), zero);
      zs.forEach((z, k) => g.lineTo(X(z), Y(values[k])));
      g.lineTo(X(REACH), zero);
      g.fillStyle = g.strokeStyle = colour;
      g.globalAlpha = 0.45;
      g.fill();
      g.globalAlpha = 1;
      g.lineWidth = 1.5;
      g.lineJoin = "round";
      g.stroke();
      axis(g, X, Math.round(zero), ink, false);

      g.font = `14px ${font}`;
      g.textAlign = "right";
      g.textBaseline = "middle";
      for (const v of [0, scale]) {
        g.fillRect(X(-REACH) - 5, Y(v), 5, 1);
        g.fillText(String(v), X(-REACH) - 8, Y(v));
      }
      const write = (words, x, align, weight, paint) => {
        g.font = `${weight} 14px ${font}`;
        g.textAlign = align;
        g.strokeStyle = halo;
        g.lineWidth = 4;
        g.strokeText(words, x, top + 10);
        g.fillStyle = paint;
        g.fillText(words, x, top + 10);
        return g.measureText(words).width;
      };
      const wide = write(WORDS[which][0], X(-REACH), "left", 600, colour);
      const hidden = beyond(q, which), end = hidden ? `${hidden} ▸` : "";
      const room = X(REACH) - X(-REACH) - wide - 12 - (end ? g.measureText(end).width + 24 : 0);
      g.font = `400 14px ${font}`;
      if (g.measureText(`paid ${WORDS[which][1]}`).width < room)
        write(`paid ${WORDS[which][1]}`, X(-REACH) + wide + 12, "left", 400, ink);
      if (end) write(end, X(REACH), "right", 400, ink);
    });
  });
  return { canvas, redraw };
}

// Nats that lie outside the picture, in words, if they are worth a word.
function beyond({ mu, sigma, h: hump }, which) {
  let inside = 0;
  const step = 0.02;
  for (let z = -REACH + step / 2; z < REACH; z += step) inside += step * paid(z, { mu, sigma, h: hump })[which];
  const outside = divergences({ mu, sigma, h: hump })[which] - inside;
  return outside > 0.05 ? `${fixed(outside, 1)} nats lie beyond` : "";
}
