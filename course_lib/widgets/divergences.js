// Two divergences: a target with two humps, a Gaussian dragged over it, KL(q‖p) and KL(p‖q) as numbers and bars.

const NAMES = { qp: "KL(q‖p)", pq: "KL(p‖q)" };
const FORMULAS = { qp: "E under q of log q − log p", pq: "E under p of log p − log q" };
const LONGEST = 5; // nats at the bars' right end
const ROLL = 900; // ms that a roll takes at most

function render({ model, el }) {
  const life = beginLife(), { ranges } = model.get("frame");
  const view = () => ({ mu: model.get("mu"), sigma: model.get("sigma"), h: model.get("humps") });
  let rolling = 0, where = null; // the roll's next frame, and where it left q

  // Every way to move ends here. The model tells all its views; the kernel hears at most once a frame.
  const save = eachFrame(life, () => model.save_changes());
  function place(values) {
    for (const [name, v] of Object.entries(values)) {
      const [low, high] = ranges[name];
      model.set(name, Math.round(1e6 * Math.min(high, Math.max(low, v))) / 1e6);
    }
    save();
  }
  function move(values) {
    stop();
    place(values);
  }
  const cents = (v) => Math.round(100 * v) / 100;

  // --- rolling ---

  function stop() {
    cancelAnimationFrame(rolling);
    rolling = 0;
    where = null;
    say("");
  }
  function roll(which) {
    stop();
    const path = downhill(which, view()), marks = [0];
    for (let k = 1; k < path.length; k++)
      marks.push(marks[k - 1] + Math.hypot(path[k][0] - path[k - 1][0], Math.log(path[k][1] / path[k - 1][1])));
    const whole = marks.at(-1), time = Math.min(ROLL, 250 + 250 * whole), start = performance.now();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const frame = (now) => {
      const moved = where && (model.get("mu") !== where.mu || model.get("sigma") !== where.sigma);
      if (moved) return stop(); // somebody else took q: another view, or a cell
      const part = still ? 1 : Math.min(1, Math.max(0, (now - start) / time)), way = whole * (1 - (1 - part) ** 2);
      const k = part === 1 ? path.length - 1 : Math.max(0, marks.findIndex((mark) => mark >= way));
      place({ mu: path[k][0], sigma: path[k][1] });
      where = view();
      if (part < 1) { rolling = requestAnimationFrame(frame); return; }
      rolling = 0;
      const [mu, sigma] = path.at(-1);
      say(`Downhill on ${NAMES[which]} ends at mean ${fixed(mu, 4)}, variance ${fixed(sigma ** 2, 4)}: `
        + `${fixed(divergences({ mu, sigma, h: view().h })[which], 4)} nats.`);
    };
    rolling = requestAnimationFrame(frame);
  }
  life.onEnd(() => cancelAnimationFrame(rolling));

  // --- parts ---

  const hills = hillPanel({
    view, widths: ranges.sigma, life,
    move: ({ mu, sigma }) => move({ mu: cents(mu), sigma: cents(sigma) }),
    step(dx, dy, event) {
      const size = event.shiftKey ? 0.5 : 0.1;
      if (dx) move({ mu: view().mu + dx * size });
      else move({ sigma: view().sigma - dy * size });
    },
    home: () => move({ mu: 0, sigma: 1 }),
  });
  const strips = paidPanel(view, life);
  const cards = ["qp", "pq"].map((which) => card(which, () => roll(which), life));
  const sliders = [
    ["mu", "μ", "μ, mean of q"], ["sigma", "σ", "σ, standard deviation of q"],
    ["humps", "±h", "h: p has its humps at −h and h"],
  ].map(([name, symbol, label]) => slider({
    symbol, label, range: ranges[name], life, value: () => model.get(name), set: (v) => move({ [name]: v }),
  }));
  const line = h("div", { class: "line", role: "status" });
  const spoken = h("div", { class: "spoken", "aria-live": "polite" });
  const say = (text) => { line.textContent = text; };
  const root = h("div", { class: "elbo divergences" }, h("div", { class: "body" },
    h("div", { class: "plots" }, hills.canvas, strips.canvas,
      h("div", { class: "hint" }, "Drag: sideways moves μ, upwards narrows q. Or arrow keys (Shift: larger steps).")),
    h("div", { class: "side" }, h("div", { class: "cards" }, ...cards.map(({ node }) => node)),
      h("div", { class: "sliders" }, ...sliders.map(({ node }) => node)), line)), spoken);

  // The lowest value of each so far, for humps as they stand: {humps, qp: [nats, μ, σ], pq: [...]}
  function remember(now, q) {
    const old = model.get("best"), best = old.humps === q.h ? { ...old } : { humps: q.h };
    for (const which of ["qp", "pq"])
      if (!best[which] || now[which] < best[which][0] - 1e-9) best[which] = [now[which], q.mu, q.sigma];
    if (["humps", "qp", "pq"].some((name) => best[name] !== old[name])) { model.set("best", best); save(); }
    return best;
  }

  const sentence = (q, now) => `q has mean ${fixed(q.mu)} and standard deviation ${fixed(q.sigma)}: `
    + `KL(q‖p) is ${fixed(now.qp, 3)} nats, KL(p‖q) is ${fixed(now.pq, 3)} nats.`;
  const speak = whenQuiet(life, 400, () => { spoken.textContent = sentence(view(), divergences(view())); });

  function show() {
    const q = view(), now = divergences(q), best = remember(now, q);
    hills.redraw();
    strips.redraw();
    cards.forEach(({ which, place: put }) => put(now[which], best[which]));
    sliders.forEach((each) => each.place());
    hills.canvas.setAttribute("aria-label", `${sentence(q, now)} Left and right arrows move μ, up makes q narrower, `
      + "down wider; with Shift larger steps.");
    strips.canvas.setAttribute("aria-label", "Where each divergence comes from: q log (q/p) and p log (p/q) over z");
  }

  el.append(root);
  show();
  const changed = eachFrame(life, () => { show(); speak(); });
  life.observe(model, ["change:mu", "change:sigma", "change:humps"], changed);
  keepKeys(root, life);
  onTheme(root, life, show);
  life.onEnd(() => root.remove());
  return life.end;
}

// One divergence: its number, a bar with a mark at the best value so far, and a button that rolls q downhill on it.
function card(which, roll, life) {
  const number = h("output", {}), fill = h("div", { class: "fill" }), mark = h("div", { class: "mark" });
  const best = h("div", { class: "best" }), more = h("div", { class: "more" }, "▸");
  const button = h("button", { type: "button" }, `Roll downhill on ${NAMES[which]}`);
  button.addEventListener("click", roll, { signal: life.signal });
  const part = (v) => `${100 * Math.min(1, v / LONGEST)}%`;
  return {
    which,
    node: h("section", { class: `card ${which}`, "aria-label": NAMES[which] },
      h("div", { class: "title" }, h("b", {}, NAMES[which]), h("span", {}, FORMULAS[which])),
      h("div", { class: "number" }, number, " nats"),
      h("div", { class: "bar", "aria-hidden": "true" }, fill, mark, more),
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, `${LONGEST} nats`)),
      best, button),
    place(value, [least, mu, sigma]) {
      number.textContent = fixed(value, value < 100 ? 3 : 1);
      fill.style.width = part(value);
      mark.style.left = part(least);
      mark.hidden = least > LONGEST;
      more.hidden = value <= LONGEST;
      best.textContent = `best so far ${fixed(least, 3)} at μ ${fixed(mu)}, σ ${fixed(sigma)}`;
    },
  };
}

export default { render };
