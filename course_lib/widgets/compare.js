// One move: draws, estimates of every estimator that is shown, and what is known exactly. No drawing here.

const DRAWS = 100_000, FEWEST = 500; // draws a move; and at least this many estimates, however many draws each takes

// What an estimate costs for each draw, and whether theory knows its mean to be the gradient.
const ESTIMATORS = {
  "score function": { cost: "1 f", fair: true },
  "leave-one-out baseline": { cost: "1 f", fair: true },
  "best baseline": { cost: "1 f", fair: true },
  "pathwise": { cost: "1 f'", fair: false }, // fair where f has no jump: exactGaussian looks
  "measure-valued": { cost: "2 f", fair: true },
  "Gumbel-softmax": { cost: "1 f'", fair: false },
  "straight-through": { cost: "1 f'", fair: false },
};

const estimatesOf = (draws) => Math.max(FEWEST, Math.floor(DRAWS / draws));

export function compareGaussian(f, noise, { mu, sigma, parameter, draws, shown, names }) {
  const exact = exactGaussian(f, mu, sigma, parameter), { eps } = noise;
  const value = at(f, f.value, mu, sigma, eps), s = scores(eps, sigma, parameter);
  return rows(names, shown, draws, exact, {
    "score function": () => scoreFunction(value, s),
    "leave-one-out baseline": () => leaveOneOut(value, s, draws),
    "best baseline": () => scoreFunction(value, s, exact.baseline),
    "pathwise": () => pathwise(at(f, f.slope, mu, sigma, eps), eps, parameter),
    "measure-valued": () => measureValued(f, mu, sigma, noise, parameter),
  });
}

// classes, values and slopes (K,): c_k, g(c_k), g'(c_k); j: the logit whose gradient is asked for
export function compareDiscrete(g, noise, { logits, tau, j, draws, shown, names, classes, values, slopes }) {
  const hard = gumbelMax(logits, noise), pi = softmax(logits), n = hard.length;
  const soft = soften(logits, noise, tau), x = mix(classes, soft);
  const value = each(n, (i) => values[hard[i]]), s = each(n, (i) => (hard[i] === j ? 1 : 0) - pi[j]);
  return {
    soft, pi,
    ...rows(names, shown, draws, exactCategorical(values, logits, j), {
      "score function": () => scoreFunction(value, s),
      "leave-one-out baseline": () => leaveOneOut(value, s, draws),
      "Gumbel-softmax": () => throughSoft(at(g, g.slope, 0, 1, x), soft, x, classes, tau, j),
      "straight-through": () => throughSoft(each(n, (i) => slopes[hard[i]]), soft, x, classes, tau, j),
    }),
  };
}

// One row per estimator: {name, cost, shown}, with `why` where there is nothing to show, else with its estimates,
// their mean, bias, error (standard error of the mean), measured and exact variance, and `biased` or `chance`.
function rows(names, shown, draws, exact, make) {
  const variances = exact.variances(draws), { gradient } = exact;
  const all = names.map((name) => {
    const { cost, fair } = ESTIMATORS[name], row = { name, cost, shown: shown.includes(name) };
    if (!row.shown) return row;
    if (name === "leave-one-out baseline" && draws < 2)
      return { ...row, why: "needs at least 2 draws per estimate: with one there is no other draw to average" };
    const estimates = averages(make[name](), draws), measured = summary(estimates), bias = measured.mean - gradient;
    const known = variances[name] ?? null;
    // The exact variance where there is one: among rare draws the measured one may miss what matters.
    const error = Math.sqrt((known ?? measured.variance) / measured.n);
    const off = Math.abs(bias) > 4 * error + 1e-5 * Math.abs(gradient) + 1e-12; // 10⁻⁵: the table's straight lines
    const unbiased = fair || (name === "pathwise" && exact.faithful);
    const verdict = { unbiased, biased: off && !unbiased, chance: off && unbiased };
    return { ...row, estimates, ...measured, known, bias, error, ...verdict };
  });
  const [base] = all.filter((row) => row.name === (names.includes("pathwise") ? "pathwise" : "score function"));
  for (const row of all) if (row.estimates) row.ratio = ratio(row, base);
  return { gradient, rows: all, base: base.name };
}

const variance = (row) => row.known ?? row.variance;

// Variance over the base's; null where that says nothing: the base is hidden or biased, or both are 0.
function ratio(row, base) {
  if (!base.estimates || base.biased || (variance(base) === 0 && variance(row) === 0)) return null;
  return variance(row) / variance(base); // Infinity where the base has none
}
