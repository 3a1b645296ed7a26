// The ELBO of a diagonal Gaussian q over two latents, from a table of log p(x, z). No drawing here.

const TAPS = 6, NODE = 0.1, TAILS = 7; // points of an interpolation; q's nodes lie 0.1 σ apart, out to 7 σ

// What each grid point of one latent weighs in E_q: the nodes of q, shared out by Lagrange's interpolation over six
// neighbours. q is a product and so is the interpolation, so two such rows say all about E_q of the whole table.
// Beyond the table the likelihood stays as at its edge and the standard normal prior goes on falling: `beyond`.
function axisWeights(mean, sd, n, limit) {
  const cell = 2 * limit / n, edge = limit - cell / 2, weights = new Float64Array(n);
  let beyond = 0, all = 0, first = n, last = 0;
  for (let k = -Math.round(TAILS / NODE); k <= Math.round(TAILS / NODE); k++) {
    const t = k * NODE, share = Math.exp(-t * t / 2), z = mean + sd * t, inside = Math.min(edge, Math.max(-edge, z));
    const place = (inside + edge) / cell, from = Math.min(n - TAPS, Math.max(0, Math.floor(place) - TAPS / 2 + 1));
    for (let a = 0; a < TAPS; a++) {
      let part = share;
      for (let b = 0; b < TAPS; b++) if (b !== a) part *= (place - from - b) / (a - b);
      weights[from + a] += part;
    }
    first = Math.min(first, from);
    last = Math.max(last, from + TAPS);
    beyond += share * (z * z - inside * inside) / 2;
    all += share;
  }
  for (let i = first; i < last; i++) weights[i] /= all;
  return { weights, first, last, beyond: beyond / all };
}

// table: Float32Array (n, n), log p(x, z) at midpoints of [−limit, limit]², first latent slowest. Nats.
export function elboOf(table, n, limit, { mean, sd }) {
  const [rows, columns] = [0, 1].map((d) => axisWeights(mean[d], sd[d], n, limit));
  let expected = 0;
  for (let i = rows.first; i < rows.last; i++) {
    let row = 0;
    for (let j = columns.first; j < columns.last; j++) row += columns.weights[j] * table[i * n + j];
    expected += rows.weights[i] * row;
  }
  const entropy = Math.log(2 * Math.PI * Math.E) + Math.log(sd[0]) + Math.log(sd[1]);
  return expected - rows.beyond - columns.beyond + entropy;
}

// One step of gradient ascent in (μ, log σ), where μ is measured in σs, so that a step suits a narrow q and a wide one.
// A step that does not lead up is halved; null where none leads up.
export function uphill(elbo, { mean, sd }, { rate = 0.4, longest = 0.7 } = {}) {
  const moved = (v) => ({
    mean: mean.map((m, d) => m + sd[d] * v[d]), sd: sd.map((s, d) => s * Math.exp(v[d + 2])),
  });
  const along = (a, size) => moved([0, 1, 2, 3].map((b) => (a === b ? size : 0)));
  const gradient = [0, 1, 2, 3].map((a) => (elbo(along(a, 1e-3)) - elbo(along(a, -1e-3))) / 2e-3);
  const before = elbo({ mean, sd }), steep = Math.max(...gradient.map(Math.abs));
  for (let size = Math.min(rate, longest / steep); size * steep > 1e-4; size /= 2) {
    const next = moved(gradient.map((v) => size * v));
    if (elbo(next) > before) return next;
  }
  return null;
}

// p(z|x) on the grid, as a share of its peak, and the levels that enclose as much of it as 1σ and 2σ of a Gaussian do
function posterior(table) {
  const peak = table.reduce((a, b) => Math.max(a, b), -Infinity), density = table.map((v) => Math.exp(v - peak));
  const sorted = density.filter((v) => v > 1e-6).sort().reverse();
  const total = sorted.reduce((a, b) => a + b, 0), levels = [];
  let sum = 0;
  for (const v of sorted) {
    sum += v;
    if (sum >= total * (1 - Math.exp(-((levels.length + 1) ** 2) / 2))) levels.push(v);
    if (levels.length === 2) break;
  }
  return { density, levels };
}

// Where a table crosses a level: [[i, j, i, j], ...], straight pieces in grid coordinates
function contour(values, n, level) {
  const pieces = [];
  for (let i = 0; i + 1 < n; i++) for (let j = 0; j + 1 < n; j++) {
    const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], at = corners.map(([a, b]) => values[a * n + b]);
    const crossings = [];
    for (let k = 0; k < 4; k++) {
      const [v, w] = [at[k], at[(k + 1) % 4]], [p, q] = [corners[k], corners[(k + 1) % 4]];
      if ((v < level) === (w < level)) continue;
      const part = (level - v) / (w - v);
      crossings.push(p[0] + part * (q[0] - p[0]), p[1] + part * (q[1] - p[1]));
    }
    for (let k = 0; k + 3 < crossings.length; k += 4) pieces.push(crossings.slice(k, k + 4));
  }
  return pieces;
}
