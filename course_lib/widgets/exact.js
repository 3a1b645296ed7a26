// What the estimates are held against: exact gradients and variances, by quadrature or enumeration.

const ROOT = [0.5 - Math.sqrt(1 / 12), 0.5 + Math.sqrt(1 / 12)]; // Gauss's two points in a cell, each weighs a half
const REACH = 9; // in σ: what lies further out weighs 10⁻¹⁸

// Variances of an estimate from L draws, by the moments of f and the score s of one draw, g = E fs the gradient:
// Var[(f − b) s] for one draw is E(f − b)²s² − g², smallest for b = E fs² / E s². The other draws' mean as a baseline,
// with h = f − E f: Σ_i (h_i − Σ_{j≠i} h_j/(L−1)) s_i / L has two sums that do not correlate, and the second one's
// L(L−1) terms h_j s_i correlate only with themselves and with h_i s_j.
function scoreVariances({ f, ff, ss, fs, fss, ffss }, L) {
  const hh = ff - f * f, hhss = ffss - 2 * f * fss + f * f * ss;
  return {
    "score function": (ffss - fs * fs) / L,
    "leave-one-out baseline":
      L < 2 ? null : noLess((hhss - fs * fs) / L + (hh * ss + fs * fs) / (L * (L - 1)), ffss),
    "best baseline": noLess(ffss - fss * fss / ss - fs * fs, ffss) / L,
  };
}

// v ≥ 0, a difference of numbers of size `scale`: 0 where only rounding is left.
function noLess(v, scale) {
  return v < 1e-9 * scale ? 0 : v;
}

// z ~ N(μ, σ²): cell by cell of f's table, in which f is a straight line, so that jumps do no harm.
export function exactGaussian({ low, step, value, slope, integral }, mu, sigma, parameter) {
  const byMu = parameter === "mu", cell = (z) => Math.min(value.length - 1, Math.max(0, Math.floor((z - low) / step)));
  const E = { one: 0, f: 0, ff: 0, ss: 0, fs: 0, fss: 0, ffss: 0 };
  let d = 0, dd = 0, outer = 0, cross = 0; // pathwise: E f'·, E (f'·)²; measure-valued ∂σ: E ε²f², E ε f (F(z) − F(μ))
  const area = (k, t) => integral[k] + step * (value[k] + t * (value[k + 1] - value[k]) / 2) * t; // ∫ f up to cell k, t
  const middle = Math.min(value.length - 2, cell(mu)), F = area(middle, (mu - low) / step - middle);
  for (let k = cell(mu - REACH * sigma), end = cell(mu + REACH * sigma); k < end; k++)
    for (const t of ROOT) {
      const e = (low + (k + t) * step - mu) / sigma, p = Math.exp(-e * e / 2), s = (byMu ? e : e * e - 1) / sigma;
      const f = value[k] + t * (value[k + 1] - value[k]), pf = p * f, pfs = pf * s;
      const path = (slope[k] + t * (slope[k + 1] - slope[k])) * (byMu ? 1 : e);
      E.one += p; E.f += pf; E.ff += pf * f; E.ss += p * s * s;
      E.fs += pfs; E.fss += pfs * s; E.ffss += pfs * f * s;
      d += p * path;
      dd += p * path * path;
      outer += pf * f * e * e;
      cross += pf * e * (area(k, t) - F);
    }
  [d, dd, outer, cross] = [d, dd, outer, cross].map((v) => v / E.one);
  for (const name of Object.keys(E).reverse()) E[name] /= E.one;
  E.fs = Math.sign(E.fs) * noLess(Math.abs(E.fs), Math.sqrt(E.ffss));

  // Measure-valued, coupled. ∂μ: an integral over w. ∂σ: m has density m²p(m), and given m the mean of f(μ + σum) over
  // u is (F(μ + σm) − F(μ))/(σm), F an integral of f: so the integrals over ε do.
  const second = byMu ? differences() / (2 * Math.PI * sigma ** 2) : (outer + E.ff - 2 * cross / sigma) / sigma ** 2;
  function differences() {
    let sum = 0;
    const line = (x) => { const k = x | 0; return value[k] + (x - k) * (value[k + 1] - value[k]); };
    const most = value.length - 1.001, centre = (mu - low) / step;
    for (let k = 0, end = REACH * sigma / step + 1; k < end; k++) // halves of cells: a μ on the grid cuts cells in two
      for (const half of [0, 0.5])
        for (const t of ROOT) {
          const x = k + half + t / 2, w = x * step / sigma;
          const f = line(Math.min(most, centre + x)) - line(Math.max(0, centre - x));
          sum += f * f * w * Math.exp(-w * w / 2);
        }
    return sum * step / sigma / 4;
  }

  const path = noLess(dd - d * d, dd), pair = noLess(second - E.fs ** 2, Math.max(second, 1e-9 * E.ff * E.ss));
  return {
    gradient: E.fs,
    baseline: E.fss / E.ss,
    faithful: Math.abs(d - E.fs) <= 1e-3 * (Math.abs(E.fs) + Math.sqrt(dd)), // is E f' the gradient?
    variances: (L) => ({ ...scoreVariances(E, L), "pathwise": path / L, "measure-valued": pair / L }),
  };
}

// z one of K classes, f (K,) its values: ∂ logit j
export function exactCategorical(f, logits, j) {
  const pi = softmax(logits), E = { f: 0, ff: 0, ss: 0, fs: 0, fss: 0, ffss: 0 };
  pi.forEach((p, k) => {
    const s = (k === j ? 1 : 0) - pi[j];
    E.f += p * f[k]; E.ff += p * f[k] ** 2; E.ss += p * s * s;
    E.fs += p * f[k] * s; E.fss += p * f[k] * s * s; E.ffss += p * (f[k] * s) ** 2;
  });
  return { gradient: E.fs, variances: (L) => scoreVariances(E, L) };
}
