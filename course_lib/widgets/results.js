// The numbers: a table with a row per estimator, where each is also shown or hidden, and one sentence.

// A number by itself, to `digits` significant ones: 30.01, 0.0147, 1.2·10⁻⁶.
function short(value, digits = 4) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e6 && size >= 1e-4) {
    const decimals = digits - 1 - Math.floor(Math.log10(Number(size.toPrecision(digits))));
    return fixed(value, Math.max(0, decimals));
  }
  const [front, power] = value.toExponential(1).replace("+", "").split("e");
  return `${front.replace("-", "−")}·10${power.replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
}

// The same without zeros at its end: 0.5, −1.
function plain(value, digits = 3) {
  const size = Math.abs(value);
  if (size && (size >= 1e6 || size < 1e-4)) return short(value);
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

// A column of numbers with the same decimals, so that they stand aligned: as many as the smallest needs for `digits`
// significant ones, at least `decent`, as long as the largest keeps below eight digits. With `below`, what would look
// like 0 says that it is less than what can be seen.
export function column(values, { digits, decent = 0, below = false }) {
  const sizes = values.filter((v) => v && Number.isFinite(v)).map(Math.abs), power = (v) => Math.floor(Math.log10(v));
  const most = sizes.length ? Math.max(...sizes) : 1, least = Math.max(1e-4 * most, Math.min(most, ...sizes));
  if (most >= 1e7 || most < 1e-4) return (v) => short(v, digits);
  const decimals = Math.min(Math.max(decent, digits - 1 - power(least)), 6 - Math.max(0, power(most)));
  const unit = 10 ** -decimals;
  return (v) => (below && v > 0 && v < unit / 2 ? `< ${fixed(unit, decimals)}` : fixed(v, decimals));
}

function times(v) {
  if (v === Infinity) return "∞";
  return fixed(v, v >= 99.5 ? 0 : v >= 9.95 ? 1 : v >= 0.0995 ? 2 : 3);
}

// result: what compareGaussian or compareDiscrete gives; derivative: "∂/∂μ E f(z)"
export function sentence({ gradient, rows, base }, derivative) {
  const drawn = rows.filter((row) => row.estimates), row = (name) => drawn.find((each) => each.name === name);
  const list = (words) => [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" and ");
  const parts = [`${derivative} = ${short(gradient)}.`];
  const fair = drawn.filter((each) => each.unbiased), least = Math.min(...fair.map(variance));
  const best = fair.filter((each) => variance(each) <= 1.02 * least).map((each) => each.name);
  if (best.length > 1 && best.length === fair.length) parts.push("Same variance for all without bias.");
  else if (fair.length > 1) {
    const each = best.length > 1 ? " each" : "";
    parts.push(`Smallest variance without bias: ${list(best)}, ${short(least, 3)}${each}.`);
  }
  const score = row("score function"), other = row(base === "pathwise" ? base : "leave-one-out baseline");
  if (score && other && !other.biased && variance(other) > 0) {
    const factor = times(variance(score) / variance(other)), whose = base === "pathwise" ? "pathwise" : "leave-one-out";
    parts.push(`Score function: variance ${short(variance(score), 3)}, ${factor} times the ${whose} one’s.`);
  }
  const biased = drawn.filter((each) => each.biased).map((each) => `${each.name} (mean ${short(each.mean, 3)})`);
  if (biased.length) parts.push(`Biased: ${list(biased)}.`);
  return parts.join(" ");
}

// names: the estimators of a tab; toggle(name, on) is asked for
function resultsTable(names, toggle, life) {
  const titles = ["mean", "bias ± s.e.", "measured", "exact", "", "cost a draw"];
  const head = (text, attributes = {}) => h("th", { scope: "col", ...attributes }, text), tall = { rowspan: 2 };
  const [mean, bias, measured, exact, ratio, cost] =
    titles.map((text) => head(text, ["measured", "exact"].includes(text) ? {} : tall));
  const pair = head("variance of an estimate", { scope: "colgroup", colspan: 2, class: "pair" });
  const lines = new Map(names.map((name) => [name, tableRow(name, titles.length, toggle, life)]));
  const node = h("table", { class: "results" },
    h("caption", { class: "spoken" }, "Estimators: tick the ones to show"),
    h("thead", {}, h("tr", {}, head("estimator", tall), mean, bias, pair, ratio, cost), h("tr", {}, measured, exact)),
    h("tbody", {}, ...[...lines.values()].map((line) => line.node)));

  function show({ rows, base }, dark) {
    const drawn = rows.filter((row) => row.estimates);
    // Means, biases and errors share their decimals: as many as the smallest error needs to be seen.
    const errors = drawn.map((row) => row.error).filter((v) => v > 0), largest = drawn.map((row) => Math.abs(row.mean));
    const m = column(errors.length ? [...errors, Math.max(...largest, ...errors)] : largest,
      { digits: errors.length ? 1 : 4 });
    const v = column(drawn.flatMap((row) => [row.variance, row.known]), { digits: 2, decent: 3, below: true });
    const or = (value, text) => (value === null ? "—" : text(value));
    put(ratio, `× ${base}`);
    for (const row of rows) {
      const { mean, bias, error, variance, known, ratio: factor, cost } = row;
      lines.get(row.name).show(row, dark, row.estimates &&
        [m(mean), `${m(bias)} ± ${m(error)}`, v(variance), or(known, v), or(factor, times), cost]);
    }
  }
  return { node, show };
}

const put = (cell, text) => { if (cell.textContent !== text) cell.textContent = text; };

function tableRow(name, columns, toggle, life) {
  const box = h("input", { type: "checkbox" }), flag = h("span", { class: "flag" });
  const cells = Array.from({ length: columns }, () => h("td", {})), why = h("td", { colspan: columns, class: "why" });
  const label = h("label", name.includes(" ") ? {} : { class: "word" }, box, name);
  const node = h("tr", {}, h("th", { scope: "row" }, label, " ", flag), ...cells, why);
  box.addEventListener("change", () => toggle(name, box.checked), { signal: life.signal });
  return {
    node,
    show(row, dark, texts) {
      box.checked = row.shown;
      box.style.accentColor = HUES[name][dark ? 1 : 0]; // the box is the legend, too
      for (const cell of cells) cell.hidden = !texts;
      why.hidden = Boolean(texts);
      put(why, row.why ?? "not shown");
      put(flag, row.biased ? "biased" : row.chance ? "rare draws" : "");
      node.classList.toggle("biased", Boolean(row.biased));
      texts?.forEach((text, k) => put(cells[k], text));
    },
  };
}
