// The estimator widget: the problem and its controls at the left, histograms at the right, numbers below.

const TRAITS = ["mu", "sigma", "parameter", "draws", "function", "tab", "logits", "logit", "tau", "shown", "frozen",
  "seed"];
let views = 0; // two views on a page need names of their own

function render({ model, el }) {
  const life = beginLife(), id = `estimators-${++views}`, get = (name) => model.get(name), frame = get("frame");
  const { classes, functions, ranges } = frame, K = classes.length, discrete = () => get("tab") === "discrete";
  const tables = new Map(), gaussian = remembered(gaussianNoise), gumbel = remembered(gumbelNoise);
  let result = null;

  // Every way to move ends here. Unless the noise is frozen, a move brings new draws: the same ones in all views.
  const save = eachFrame(life, () => model.save_changes());
  const drawAgain = () => { model.set("seed", (get("seed") + 1) % 2 ** 31); save(); };
  function move(values) {
    const changed = Object.keys(values).filter((name) => String(get(name)) !== String(values[name]));
    if (!changed.length) return;
    if (!get("frozen") && !changed.includes("shown")) drawAgain();
    for (const name of changed) model.set(name, values[name]);
    save();
  }
  const within = ([low, high], v) => Math.round(1e4 * Math.min(high, Math.max(low, v))) / 1e4;
  const moveTo = (name) => (v) => move({ [name]: within(ranges[name], v) });
  function toggle(name, on) {
    const others = get("shown").filter((other) => other !== name);
    move({ shown: on ? [...others, name] : others });
  }

  // --- what is shown ---

  function chosen() {
    const k = functions.findIndex(({ name }) => name === get("function"));
    if (!tables.has(k)) {
      const all = new Float32Array(bytes(get("tables"))), size = 2 * frame.points;
      tables.set(k, table(all.subarray(size * k, size * (k + 1)), frame));
    }
    return { f: tables.get(k), ...functions[k] };
  }
  function compare() {
    const { f, values, slopes } = chosen(), draws = get("draws"), n = estimatesOf(draws) * draws, seed = get("seed");
    const common = { draws, shown: get("shown"), names: frame.estimators[get("tab")] };
    if (!discrete()) {
      const at = { mu: get("mu"), sigma: get("sigma"), parameter: get("parameter") };
      return compareGaussian(f, gaussian(seed, n), { ...at, ...common });
    }
    const at = { logits: get("logits"), tau: get("tau"), j: get("logit"), classes, values, slopes };
    return compareDiscrete(f, gumbel(seed, n, K), { ...at, ...common });
  }
  function derivative() {
    const parameter = discrete() ? `l${subscript(get("logit") + 1)}` : { mu: "μ", sigma: "σ" }[get("parameter")];
    return `∂/∂${parameter} E f(z)`;
  }

  // --- parts ---

  const density = densityPanel({
    view: () => ({ f: chosen().f, mu: get("mu"), sigma: get("sigma") }),
    move: (mu) => moveTo("mu")(Math.round(100 * mu) / 100),
    step(dx, dy, event) {
      const size = event.shiftKey ? 0.5 : 0.1;
      if (dx) moveTo("mu")(get("mu") + dx * size);
      else moveTo("sigma")(get("sigma") + dy * size);
    },
    home: () => move({ mu: 0 }),
    life,
  });
  const simplex = simplexPanel(() => ({ ...result, classes, values: chosen().values, j: get("logit") }), life);
  const shapes = histograms(() => ({ ...result, parameter: derivative(), draws: get("draws") }), life);

  const linear = (name, symbol, label) => slider({
    symbol, label, range: ranges[name], value: () => get(name), set: moveTo(name), life,
  });
  const mu = linear("mu", "μ", "μ, mean of z"), sigma = linear("sigma", "σ", "σ, standard deviation of z");
  const logits = classes.map((c, k) => slider({
    symbol: `l${subscript(k + 1)}`, label: `logit of class ${k + 1}, c = ${plain(c)}`, range: ranges.logits, life,
    value: () => get("logits")[k],
    set: (v) => move({ logits: get("logits").map((old, i) => (i === k ? within(ranges.logits, v) : old)) }),
  }));
  const [cold, hot] = ranges.tau, warmth = (v) => Number((cold * (hot / cold) ** v).toPrecision(3)); // logarithmic
  const tau = slider({
    symbol: "τ", label: "τ, temperature", range: [0, 1], step: 0.005, size: 0.02, text: (v) => plain(warmth(v)), life,
    value: () => Math.log(get("tau") / cold) / Math.log(hot / cold), set: (v) => moveTo("tau")(warmth(v)),
  });
  const counts = frame.draws, last = counts.length - 1;
  const draws = slider({
    symbol: "L", label: "L, draws per estimate", range: [0, last], step: 1, size: 1, big: 1, life,
    text: (k) => String(counts[k]), value: () => counts.indexOf(get("draws")),
    set: (k) => move({ draws: counts[Math.min(last, Math.max(0, k))] }),
  });
  const named = functions.map(({ name, formula }) => [name, formula ? `${name}: ${formula}` : name]);
  const f = choice("f", "function f", named, life, (name) => move({ function: name }));
  const parameter = radios(`${id}-parameter`, "gradient for", [["mu", "μ"], ["sigma", "σ"]], life,
    (name) => move({ parameter: name }));
  const logit = radios(`${id}-logit`, "gradient for", classes.map((_, k) => [k, `l${subscript(k + 1)}`]), life,
    (k) => move({ logit: k }));
  const frozen = checkBox("Freeze the noise", life, (on) => move({ frozen: on }));
  const again = h("button", { type: "button" }, "Draw again");
  again.addEventListener("click", drawAgain, { signal: life.signal });
  const tabs = tabList("distribution of z", `${id}-panel`,
    [["Gaussian", "z ~ N(μ, σ²)"], ["discrete", `z one of ${K} classes`]], life, (tab) => move({ tab }));

  const readout = h("p", { class: "sentence" }), spoken = h("div", { class: "spoken", "aria-live": "polite" });
  const line = h("div", { class: "line", role: "status" });
  const group = (canvas, rows) => h("div", {}, canvas, ...rows.map(({ node }) => node));
  const parts = {
    Gaussian: { group: group(density.canvas, [mu, sigma]), panel: density, parameter },
    discrete: { group: group(simplex.canvas, [...logits, tau]), panel: simplex, parameter: logit },
  };
  for (const [tab, part] of Object.entries(parts)) part.results = resultsTable(frame.estimators[tab], toggle, life);
  const { Gaussian, discrete: Discrete } = parts;
  const root = h("div", { class: "elbo estimators" }, tabs.node,
    h("div", { class: "body", id: `${id}-panel`, role: "tabpanel" },
      h("div", { class: "controls" }, f.node, Gaussian.group, Discrete.group, draws.node,
        h("div", { class: "choices" }, parameter.node, logit.node, frozen.node, again)),
      shapes.canvas,
      h("div", { class: "numbers" }, readout, Gaussian.results.node, Discrete.results.node)),
    line, spoken);

  function show() {
    result = compare();
    for (const [tab, part] of Object.entries(parts))
      for (const { node } of [{ node: part.group }, part.results, part.parameter]) node.hidden = tab !== get("tab");
    for (const [control, name] of [[tabs, "tab"], [f, "function"], [frozen, "frozen"], [parameter, "parameter"],
      [logit, "logit"]]) control.place(get(name));
    for (const each of [mu, sigma, ...logits, tau, draws]) each.place();
    const { panel, results } = parts[get("tab")];
    panel.redraw();
    shapes.redraw();
    results.show(result, look(root).dark);
    readout.textContent = sentence(result, derivative());
    shapes.canvas.setAttribute("aria-label", `Histograms of the estimates on a common axis. ${readout.textContent}`);
    const probabilities = `Probabilities ${softmax(get("logits")).map((p) => fixed(p)).join(", ")}`;
    const triangle = K === 3 ? `, and ${POINTS} softened draws in a triangle at τ = ${plain(get("tau"))}` : "";
    simplex.canvas.setAttribute("aria-label", probabilities + triangle);
  }
  function say() {
    line.textContent = get("message");
    line.classList.toggle("failed", get("failed"));
  }
  const speak = whenQuiet(life, 500, () => { spoken.textContent = readout.textContent; });

  el.append(root);
  show();
  say();
  life.observe(model, TRAITS.map((name) => `change:${name}`), eachFrame(life, () => { show(); speak(); }));
  life.observe(model, ["change:message", "change:failed"], say);
  keepKeys(root, life);
  onTheme(root, life, show);
  life.onEnd(() => root.remove());
  return life.end;
}

export default { render };
