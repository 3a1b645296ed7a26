// Be the encoder: drag a Gaussian over the exact posterior of one datapoint until its ELBO is as high as it gets.

const STEP_TIME = 60; // ms between the steps of ten

function render({ model, el }) {
  const life = beginLife(), get = (name) => model.get(name), frame = get("frame"), { n, limit, count, least } = frame;
  const table = new Float32Array(bytes(get("table"))), pictures = new Uint8Array(bytes(get("pictures")));
  const tableOf = (b) => table.subarray(b * n * n, (b + 1) * n * n);
  const elboAt = (b, q) => elboOf(tableOf(b), n, limit, q);
  const q = () => ({ mean: get("mean"), sd: get("sd") }), given = (name, b) => frame[name][b];
  const remembered = {}; // the scores of the network's and the best Gaussians: they never change
  const scoreOf = (name, b) => (remembered[`${name} ${b}`] ??= elboAt(b, given(name, b)));
  const open = (name, b) => get("revealed")[name]?.includes(b) ?? false;
  let walking = 0, where = "";

  // Every way to move ends here. The model tells all its views; the kernel hears at most once a frame.
  const save = eachFrame(life, () => model.save_changes());
  const within = (low, high) => (v) => Math.round(1e5 * Math.min(high, Math.max(low, v))) / 1e5;
  function place({ mean, sd }) {
    if (mean) model.set("mean", mean.map(within(-limit, limit)));
    if (sd) model.set("sd", sd.map(within(least, limit)));
    save();
  }
  function move(values) {
    stop();
    place(values);
  }
  const one = (name, d) => (v) => move({ [name]: get(name).map((old, k) => (k === d ? v : old)) });
  const prior = () => ({ mean: [0, 0], sd: [1, 1] });

  // To a datapoint that was tried before: q goes where it was best. To a new one: q is the prior.
  function go(b) {
    stop();
    model.set("index", b);
    const [, mean, sd] = get("yours")[b] ?? [];
    place(mean ? { mean, sd } : prior());
  }

  // --- uphill ---

  function stop() {
    clearTimeout(walking);
    walking = 0;
    say("");
  }
  function walk(steps) {
    stop();
    const next = () => {
      const b = get("index"), to = uphill((at) => elboAt(b, at), q());
      if (to) place(to);
      if (!to || String([q().mean, q().sd]) === where) return say("On a top: no small step leads up.");
      where = String([q().mean, q().sd]);
      if (--steps > 0) walking = setTimeout(() => String([q().mean, q().sd]) === where && next(), STEP_TIME);
    };
    where = "";
    next();
  }
  life.onEnd(() => clearTimeout(walking));

  // --- parts ---

  const pad = posteriorPad({
    view: () => {
      const b = get("index"), others = ["network", "best"].filter((name) => open(name, b));
      return { q: q(), others: others.map((name) => [name, given(name, b)]), limit, n, table: tableOf(b), key: b,
        zoom: get("zoom") };
    },
    drag: (name, values) => move({ [name]: get(name).map((old, d) => values[d] ?? old) }),
    step(dx, dy, event) {
      const size = event.shiftKey ? 0.5 : 0.1;
      move({ mean: [get("mean")[0] + dx * size, get("mean")[1] + dy * size] });
    },
    home: () => move(prior()), life,
  });
  const bar = elboBar(() => {
    const b = get("index"), known = (name) => (open(name, b) ? scoreOf(name, b) : null);
    return { elbo: elboAt(b, q()), logPx: frame.logPx[b], network: known("network"), best: known("best") };
  }, life);
  const strip = scoreStrip(count, {
    go, life,
    scores: () => {
      const gap = (b, score) => frame.logPx[b] - score, all = [...Array(count).keys()];
      const hidden = (name) => all.map((b) => (open(name, b) ? gap(b, scoreOf(name, b)) : null));
      return {
        yours: all.map((b) => (get("yours")[b] ? gap(b, get("yours")[b][0]) : null)),
        network: hidden("network"), best: hidden("best"),
      };
    },
  });
  const sliders = [0, 1].map((d) => slider({
    symbol: `μ${subscript(d + 1)}`, label: `μ${subscript(d + 1)}, mean of z${subscript(d + 1)} under q`,
    range: [-limit, limit], value: () => get("mean")[d], set: one("mean", d), life,
  })).concat([0, 1].map((d) => slider({ // logarithmic
    symbol: `σ${subscript(d + 1)}`, label: `σ${subscript(d + 1)}, standard deviation of z${subscript(d + 1)} under q`,
    range: [least, limit].map(Math.log10), step: "any", size: 0.05, text: (v) => fixed(10 ** v, 10 ** v < 0.1 ? 3 : 2),
    value: () => Math.log10(get("sd")[d]), set: (v) => one("sd", d)(10 ** v), life,
  })));
  function button(words, does, attributes = {}) {
    const made = h("button", { type: "button", ...attributes }, words);
    made.addEventListener("click", does, { signal: life.signal });
    return made;
  }
  function toggle(name) {
    const b = get("index"), now = get("revealed"), others = (now[name] ?? []).filter((k) => k !== b);
    model.set("revealed", { ...now, [name]: open(name, b) ? others : [...others, b].sort((i, j) => i - j) });
    save();
  }
  const reveal = [["network", "the network's"], ["best", "the best"]].map(([name, words]) => {
    const made = button("", () => toggle(name), { class: `reveal ${name}` });
    return () => {
      const on = open(name, get("index"));
      made.textContent = `${on ? "Hide" : "Show"} ${words}`;
      made.setAttribute("aria-pressed", on);
      return made;
    };
  });
  const back = button("‹", () => go(get("index") - 1), { "aria-label": "previous datapoint" });
  const on = button("›", () => go(get("index") + 1), { "aria-label": "next datapoint" });
  const zoom = checkBox("Zoom in on the posterior", life, (near) => { model.set("zoom", near); save(); });
  const title = h("span", { class: "title" }), picture = h("canvas", { class: "screen", role: "img" });
  const number = h("output", {}), identity = h("div", { class: "sum" }), own = h("div", { class: "own" });
  const line = h("div", { class: "line", role: "status" });
  const spoken = h("div", { class: "spoken", "aria-live": "polite" });
  const say = (text) => { line.textContent = text; };
  const body = h("div", { class: "body" },
    h("div", { class: "map" }, pad.canvas,
      h("div", { class: "hint" }, "Blue: p(z|x). Its lines enclose as much as 1σ and 2σ of a Gaussian do. Orange: your "
        + "q; drag its middle or a handle, or use the arrow keys."), zoom.node),
    h("div", { class: "side" },
      h("div", { class: "which" }, back, title, on, ...(frame.shape.length ? [picture] : [])),
      h("div", { class: "number" }, h("b", {}, "ELBO"), " ", number, " nats"), identity, bar.canvas, own,
      h("div", { class: "buttons" }, button("One step uphill", () => walk(1)), button("Ten steps", () => walk(10)),
        button("Back to the prior", () => move(prior()))),
      h("div", { class: "buttons" }, ...reveal.map((make) => make())), line,
      h("div", { class: "sliders" }, ...sliders.map(({ node }) => node))));
  const root = h("div", { class: "elbo encoder" }, body, strip.node, spoken);

  // The learner's best q for this datapoint: [ELBO, mean, sd]
  function remember() {
    const b = get("index"), now = elboAt(b, q()), old = get("yours");
    if (old[b] && old[b][0] >= now - 1e-9) return;
    model.set("yours", Array.from({ length: count }, (_, k) => (k === b ? [now, q().mean, q().sd] : old[k] ?? null)));
    save();
  }

  function parts() {
    const b = get("index"), elbo = elboAt(b, q()), gap = frame.logPx[b] - elbo;
    let text = `= log p(x) − KL(q‖p(z|x)) = ${fixed(frame.logPx[b], 3)} − ${fixed(gap, 3)}`;
    if (open("best", b)) {
      const bound = frame.logPx[b] - scoreOf("best", b), rest = Math.max(0, gap - bound);
      text += `. Of the gap, ${fixed(bound, 3)} is the approximation gap, ${fixed(rest, 3)} the rest.`;
    }
    return { elbo, gap, text };
  }
  const tuple = (values) => `(${values.map((v) => fixed(v)).join(", ")})`;
  function sentence() {
    const { elbo, gap } = parts();
    return `Datapoint ${get("index") + 1} of ${count}. q has mean ${tuple(get("mean"))}, standard deviations `
      + `${tuple(get("sd"))}. ELBO ${fixed(elbo, 3)} nats, ${fixed(gap, 3)} below log p(x).`;
  }
  const speak = whenQuiet(life, 400, () => { spoken.textContent = sentence(); });

  function show() {
    const b = get("index"), { elbo, text } = parts(), yours = get("yours")[b];
    pad.redraw();
    bar.redraw();
    strip.place(b);
    sliders.forEach((each) => each.place());
    reveal.forEach((update) => update());
    zoom.place(get("zoom"));
    title.textContent = `datapoint ${b + 1} of ${count}`;
    back.disabled = b === 0;
    on.disabled = b === count - 1;
    number.textContent = fixed(elbo, 3);
    identity.textContent = text;
    own.textContent = `your best here: ${fixed((yours ?? [elbo])[0], 3)} nats`;
    pad.canvas.setAttribute("aria-label", `${sentence()} Arrow keys move the mean, with Shift by larger steps; Home `
      + "goes back to the prior.");
    bar.canvas.setAttribute("aria-label", `log p(x) ${fixed(frame.logPx[b], 3)} nats: the ELBO and the gap. ${text}`);
    if (frame.shape.length) paintGrey(picture, pictures, b, frame.shape);
    picture.setAttribute("aria-label", `the image x of datapoint ${b + 1}`);
  }

  el.append(root);
  remember();
  show();
  const drawn = eachFrame(life, () => { show(); speak(); });
  life.observe(model, ["change:index", "change:mean", "change:sd"], eachFrame(life, remember));
  life.observe(model, ["index", "mean", "sd", "yours", "revealed", "zoom"].map((name) => `change:${name}`), drawn);
  keepKeys(root, life);
  onTheme(root, life, show);
  life.onEnd(() => root.remove());
  return life.end;
}

function paintGrey(canvas, pixels, b, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const size = width * height, grey = pixels.subarray(b * size, (b + 1) * size);
  canvas.getContext("2d").putImageData(greyImage(grey, width, height), 0, 0);
}

export default { render };
