// The estimators of course_lib/estimators.py on typed arrays: noise (N,) in, one estimate a draw (N,) out.
// f is a table that Python made: {low, step, value, slope}, numbers at low + i step, straight lines between them.

export function table(numbers, { low, step }) {
  const n = numbers.length / 2, value = numbers.subarray(0, n), slope = numbers.subarray(n);
  const integral = new Float64Array(n); // of f from low to each point; exact for straight lines
  for (let i = 1; i < n; i++) integral[i] = integral[i - 1] + step * (value[i - 1] + value[i]) / 2;
  return { low, step, value, slope, integral };
}

// The table's numbers at μ + σ noise. Beyond its ends, where one draw in 10¹⁰ falls, the last number holds.
export function at({ low, step }, numbers, mu, sigma, noise) {
  const out = new Float32Array(noise.length), end = numbers.length - 1.001;
  const shift = (mu - low) / step, scale = sigma / step;
  for (let i = 0; i < out.length; i++) {
    const x = Math.min(end, Math.max(0, shift + scale * noise[i])), k = x | 0, left = numbers[k];
    out[i] = left + (x - k) * (numbers[k + 1] - left);
  }
  return out;
}

const each = (n, formula) => {
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++) out[i] = formula(i);
  return out;
};

// ∂ log N(z; μ, σ²): ε/σ for μ, (ε² − 1)/σ for σ
export const scores = (eps, sigma, parameter) =>
  each(eps.length, parameter === "mu" ? (i) => eps[i] / sigma : (i) => (eps[i] * eps[i] - 1) / sigma);

export const scoreFunction = (f, s, b = 0) => each(f.length, (i) => (f[i] - b) * s[i]);

// The baseline of a draw: the mean of f over the other draws of its estimate.
export function leaveOneOut(f, s, draws) {
  const out = new Float32Array(f.length);
  for (let start = 0; start < f.length; start += draws) {
    let sum = 0;
    for (let i = start; i < start + draws; i++) sum += f[i];
    for (let i = start; i < start + draws; i++) out[i] = (f[i] - (sum - f[i]) / (draws - 1)) * s[i];
  }
  return out;
}

export const pathwise = (slope, eps, parameter) =>
  parameter === "mu" ? slope : each(slope.length, (i) => slope[i] * eps[i]);

// Coupled: both halves of the derivative of the density see the same w, or the same m.
export function measureValued(f, mu, sigma, noise, parameter) {
  const [up, down] = parameter === "mu"
    ? [at(f, f.value, mu, sigma, noise.w), at(f, f.value, mu, -sigma, noise.w)]
    : [at(f, f.value, mu, sigma, noise.m), at(f, f.value, mu, sigma, noise.inner)];
  const weight = parameter === "mu" ? 1 / (sigma * Math.sqrt(2 * Math.PI)) : 1 / sigma;
  return each(up.length, (i) => weight * (up[i] - down[i]));
}

// --- z one of K classes, f = g(Σ c_k z_k); noise: Gumbel, (N, K) row by row ---

export function softmax(logits) {
  const top = Math.max(...logits), e = logits.map((l) => Math.exp(l - top)), sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

// argmax of logits + noise: (N,)
export function gumbelMax(logits, noise) {
  const K = logits.length, out = new Uint8Array(noise.length / K);
  for (let i = 0, a = 0; i < out.length; i++, a += K)
    for (let k = 1, best = logits[0] + noise[a]; k < K; k++)
      if (logits[k] + noise[a + k] > best) [best, out[i]] = [logits[k] + noise[a + k], k];
  return out;
}

// softmax((logits + noise)/τ): (N, K) row by row
export function soften(logits, noise, tau) {
  const K = logits.length, out = new Float32Array(noise.length);
  for (let a = 0; a < out.length; a += K) {
    let top = -Infinity, sum = 0;
    for (let k = 0; k < K; k++) top = Math.max(top, logits[k] + noise[a + k]);
    for (let k = 0; k < K; k++) sum += out[a + k] = Math.exp((logits[k] + noise[a + k] - top) / tau);
    for (let k = 0; k < K; k++) out[a + k] /= sum;
  }
  return out;
}

// Σ c_k z_k for softened z (N, K): (N,)
export const mix = (classes, soft) => each(soft.length / classes.length, (i) => {
  let x = 0;
  for (let k = 0, a = i * classes.length; k < classes.length; k++) x += classes[k] * soft[a + k];
  return x;
});

// g'(·) ∂x/∂logit j with x = Σ c_k z_k softened: g' z_j (c_j − x)/τ. Gumbel-softmax takes g' at x; straight-through
// takes it at the class itself.
export const throughSoft = (slope, soft, x, classes, tau, j) =>
  each(x.length, (i) => slope[i] * soft[i * classes.length + j] * (classes[j] - x[i]) / tau);

// --- from draws to estimates ---

// The mean of each `draws` numbers in a row.
export function averages(g, draws) {
  if (draws === 1) return g;
  const out = new Float32Array(g.length / draws);
  for (let j = 0, i = 0; j < out.length; j++) {
    let sum = 0;
    for (const end = i + draws; i < end; i++) sum += g[i];
    out[j] = sum / draws;
  }
  return out;
}

export function summary(estimates) {
  const n = estimates.length;
  let sum = 0, squares = 0, largest = 0;
  for (let i = 0; i < n; i++) sum += estimates[i];
  const mean = sum / n;
  for (let i = 0; i < n; i++) {
    squares += (estimates[i] - mean) ** 2;
    largest = Math.max(largest, Math.abs(estimates[i]));
  }
  return { n, mean, variance: squares / (n - 1), largest };
}
