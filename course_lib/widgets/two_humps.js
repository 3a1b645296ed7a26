// A target p with two humps at ±h, a Gaussian q, and both divergences between them. No drawing here.

const LOG_2PI = Math.log(2 * Math.PI);
const logGaussian = (z, mu, sigma) => -(((z - mu) / sigma) ** 2 + LOG_2PI) / 2 - Math.log(sigma);

// log[½N(z; −h, 1) + ½N(z; h, 1)]: the nearer hump, and what the other one adds. Far out it is a parabola, never −∞.
const logTarget = (z, h) => logGaussian(Math.abs(z), h, 1) + Math.log1p(Math.exp(-2 * h * Math.abs(z))) - Math.LN2;

// Standard normal nodes at equal steps: for smooth functions as exact as doubles are.
function normalNodes(step, reach = 10) {
  const all = [];
  for (let k = -Math.round(reach / step); k <= Math.round(reach / step); k++)
    all.push([k * step, step * Math.exp(logGaussian(k * step, 0, 1))]);
  return all;
}
const FINE = normalNodes(0.01), COARSE = normalNodes(0.05); // the numbers shown; the way downhill

// {qp, pq}: KL(q‖p) = E_q[log q − log p] and KL(p‖q) = E_p[log p − log q], nats
export function divergences({ mu, sigma, h }, nodes = FINE) {
  let qp = 0, pq = 0;
  for (const [t, weight] of nodes) {
    const z = mu + sigma * t;
    qp += weight * (logGaussian(t, 0, 1) - Math.log(sigma) - logTarget(z, h));
    for (const side of [-h, h])
      pq += weight / 2 * (logTarget(side + t, h) - logGaussian(side + t, mu, sigma));
  }
  return { qp: Math.max(0, qp), pq: Math.max(0, pq) };
}

// How much of each a place z pays, nats per unit of z: q log(q/p) and p log(p/q)
export function paid(z, { mu, sigma, h }) {
  const q = logGaussian(z, mu, sigma), p = logTarget(z, h);
  return { qp: Math.exp(q) * (q - p), pq: Math.exp(p) * (p - q) };
}

// Gradient in (μ, log σ)
function slope(which, { mu, sigma, h }) {
  if (which === "pq") return [mu / sigma ** 2, 1 - (1 + h * h + mu * mu) / sigma ** 2]; // moments of p are known
  let byMu = 0, byLog = -1;
  for (const [t, weight] of COARSE) {
    const z = mu + sigma * t, pull = z - h * Math.tanh(h * z); // −d log p/dz
    byMu += weight * pull;
    byLog += weight * pull * sigma * t;
  }
  return [Math.abs(byMu) < 1e-12 ? 0 : byMu, byLog]; // rounding must not push q off the ridge in the middle
}

// Gradient descent in (μ, log σ) from where q stands: [[μ, σ], ...] down to the minimum, in steps too small to see.
export function downhill(which, { mu, sigma, h }, { steps = 4000, rate = 0.25, longest = 0.03 } = {}) {
  const path = [[mu, sigma]];
  let value = divergences({ mu, sigma, h }, COARSE)[which];
  for (let k = 0; k < steps; k++) {
    const [a, b] = slope(which, { mu, sigma, h }), steep = Math.hypot(a, b);
    if (steep < 1e-7) break;
    let size = Math.min(rate, longest / steep), next;
    for (; ; size /= 2) { // a step that leads up was too long
      next = { mu: mu - size * a, sigma: sigma * Math.exp(-size * b), h };
      const there = divergences(next, COARSE)[which];
      if (there <= value + 1e-14) { value = there; break; }
      if (size * steep < 1e-9) return path;
    }
    ({ mu, sigma } = next);
    path.push([mu, sigma]);
  }
  return path;
}
