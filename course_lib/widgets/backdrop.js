// What lies behind the marker: the prior's circles, codes coloured by class, and a pin with each class's name.

// Petroff's ten colours (arXiv:2107.02270): told apart with the common colour blindnesses, on light and on dark.
const COLOURS = [
  "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
];
const DARK = [2, 4, 5, 8]; // white text on these, black on the others
const paint = (c) => COLOURS[c % COLOURS.length];
const onPaint = (c) => (DARK.includes(c % COLOURS.length) ? "#fff" : "#000");

// Where each class stands out: the cell of a coarse grid with most of its codes and fewest others.
// Means would do worse: those of ten digits in one plane lie on top of each other.
function places(classes, n, at, low, high, cells = 18) {
  const counts = new Map(), cellOf = (v) => Math.floor((v - low) / (high - low) * cells);
  for (let k = 0; k < n; k++) {
    const [u, v, c] = at(k), i = cellOf(u), j = cellOf(v);
    if (Math.min(i, j) < 0 || Math.max(i, j) >= cells) continue;
    const cell = counts.get(i * cells + j) ?? { i, j, all: 0, of: Array(classes.length).fill(0) };
    cell.all++;
    cell.of[c]++;
    counts.set(i * cells + j, cell);
  }
  const middle = (i) => low + (i + 0.5) / cells * (high - low);
  return classes.map((_, c) => {
    const score = (cell) => cell.of[c] ** 2 / cell.all, mine = [...counts.values()].filter((cell) => cell.of[c]);
    if (!mine.length) return null;
    const best = mine.reduce((a, b) => (score(b) > score(a) ? b : a));
    return [middle(best.i), middle(best.j)];
  });
}

// codes: Float32Array (n, d); labels: Uint8Array (n,); axes: the pad's two latents; prior: whether p(z) = N(0, I)
function drawBackdrop(g, X, Y, { ink, halo, font }, { codes, labels, classes, d, axes, prior, limit }) {
  const n = codes.length / d, at = (k) => [codes[k * d + axes[0]], codes[k * d + axes[1]], labels[k]];
  const disc = (x, y, radius) => { g.beginPath(); g.arc(x, y, radius, 0, 2 * Math.PI); };
  g.globalAlpha = classes.length ? 0.7 : 0.4;
  for (let k = 0; k < n; k++) {
    const [u, v, c] = at(k);
    g.fillStyle = classes.length ? paint(c) : ink;
    disc(X(u), Y(v), n > 1000 ? 2 : 3);
    g.fill();
  }
  g.globalAlpha = 1;
  g.font = `bold 14px ${font}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  const pins = places(classes, n, at, -limit, limit).map((place) => place && [X(place[0]), Y(place[1])]);
  pins.forEach((pin, c) => {
    if (!pin) return;
    const [x, y] = pin, width = Math.max(20, g.measureText(classes[c]).width + 10);
    g.beginPath();
    g.roundRect(x - width / 2, y - 10, width, 20, 10);
    g.fillStyle = paint(c);
    g.fill();
    g.strokeStyle = halo;
    g.lineWidth = 2;
    g.stroke();
    g.fillStyle = onPaint(c);
    g.fillText(classes[c], x, y + 1);
  });
  const unit = X(1) - X(0);
  for (const sigma of prior && unit > 12 ? [1, 2] : []) {
    g.globalAlpha = 0.6;
    g.setLineDash([5, 5]);
    g.strokeStyle = ink;
    g.lineWidth = 1.5;
    disc(X(0), Y(0), sigma * unit);
    g.stroke();
    g.setLineDash([]);
    g.globalAlpha = 1;
    // The circle's name stands at the first corner that no pin covers.
    const corners = [225, 315, 135, 45].map((angle) => [
      X(0) + sigma * unit * Math.cos(angle * Math.PI / 180), Y(0) - sigma * unit * Math.sin(angle * Math.PI / 180)]);
    const free = ([x, y]) => pins.every((pin) => !pin || Math.hypot(pin[0] - x, pin[1] - y) > 24);
    const place = corners.find(free) ?? corners[0];
    g.lineWidth = 5;
    g.lineJoin = "round";
    g.strokeStyle = halo;
    g.strokeText(`${sigma}σ`, ...place);
    g.fillStyle = ink;
    g.fillText(`${sigma}σ`, ...place);
  }
}
