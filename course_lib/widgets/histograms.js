// Small multiples: one histogram a row on a common axis, the exact gradient as one line through all of them.

const HEAD = 26, FOOT = 72, NAME = 20, SIDE = 14; // px: above the rows, axis below, a row's line of text, at both sides

// name → colour on a light and on a dark page (Petroff's, made darker or lighter where they would drown)
const HUES = {
  "score function": ["#bd1f01", "#ff7b63"],
  "leave-one-out baseline": ["#c75400", "#ff9a4d"],
  "best baseline": ["#96543f", "#d3a294"],
  "pathwise": ["#2878c4", "#6db1f0"],
  "measure-valued": ["#832db6", "#c58be6"],
  "Gumbel-softmax": ["#2878c4", "#6db1f0"],
  "straight-through": ["#717581", "#a9adb9"],
};

// How many estimates are 0, to a millionth of the largest: f(z) = 0 makes the score function's 0. From 2 % on they are
// drawn apart: as a bar they would flatten all the rest.
export function atom({ estimates, largest }) {
  const tiny = 1e-6 * largest;
  let count = 0;
  for (let i = 0; i < estimates.length; i++) if (Math.abs(estimates[i]) <= tiny) count++;
  return count >= 0.02 * estimates.length ? { tiny, count } : { tiny: -1, count: 0 };
}

// The part of the line that holds the middle 98 % of every row's estimates (those at 0 aside) and the exact gradient.
export function reach(rows, gradient, atoms) {
  let low = gradient, high = gradient;
  rows.forEach(({ estimates, n }, r) => {
    const { tiny, count } = atoms[r], stride = Math.max(1, Math.floor((n - count) / 2000)), some = count ? [0] : [];
    for (let i = 0, k = 0; i < n; i++)
      if (Math.abs(estimates[i]) > tiny && k++ % stride === 0) some.push(estimates[i]);
    const sorted = Float64Array.from(some).sort(), cut = Math.floor(0.01 * sorted.length);
    low = Math.min(low, sorted[cut]);
    high = Math.max(high, sorted[sorted.length - 1 - cut]);
  });
  return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
}

// Counts in bins of equal width from low to high, and how many lie beyond either end; those within `tiny` of 0 aside.
export function histogram(estimates, [low, high], bins, tiny = -1) {
  const counts = new Float64Array(bins), scale = bins / (high - low);
  let left = 0, right = 0;
  for (let i = 0; i < estimates.length; i++) {
    const v = estimates[i];
    if (Math.abs(v) <= tiny) continue;
    const k = Math.floor((v - low) * scale);
    if (k < 0) left++;
    else if (k >= bins) right++;
    else counts[k]++;
  }
  return { counts, left, right };
}

const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, " "); // 100 000

function percent(share) {
  if (share >= 0.9995) return "over 99.9 %";
  return `${(100 * share).toFixed(share > 0.985 ? 1 : 0)} %`;
}

// What a row's picture leaves out or may hide, in words.
function notes({ biased, bias, n }, zeros, { left, right }) {
  const beyond = [left && `◂ ${grouped(left)}`, right && `${grouped(right)} ▸`].filter(Boolean).join("  ");
  const at0 = zeros === n ? "all at 0" : zeros && `${percent(zeros / n)} at 0`;
  return [biased && `biased by ${short(bias, 3)}`, at0, beyond && `beyond: ${beyond}`].filter(Boolean).join("  ·  ");
}

// view() gives {rows, gradient, parameter: text, draws}
function histograms(view, life) {
  const canvas = h("canvas", { class: "histograms", role: "img" });
  let axis = null;

  // The axis stays while it fits: it moves seldom, so that the curves are seen to.
  function fit([low, high]) {
    const fits = axis && low >= axis[0] && high <= axis[1] && high - low > 0.55 * (axis[1] - axis[0]);
    if (!fits) axis = [low - 0.1 * (high - low), high + 0.1 * (high - low)];
  }

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { rows: all, gradient, parameter, draws } = view(), rows = all.filter((row) => row.shown);
    const { ink, dark, halo } = look(canvas), font = getComputedStyle(canvas).fontFamily;
    const drawn = rows.filter((row) => row.estimates), atoms = drawn.map(atom);
    fit(reach(drawn, gradient, atoms));
    const [low, high] = axis, X = (v) => SIDE + (v - low) / (high - low) * (width - 2 * SIDE);
    const pitch = Math.min(130, (height - FOOT - HEAD) / Math.max(1, rows.length)), end = HEAD + pitch * rows.length;
    const places = rows.map((row, r) => ({
      row, top: HEAD + r * pitch, ceiling: HEAD + r * pitch + NAME, floor: HEAD + (r + 1) * pitch - 12,
      colour: HUES[row.name][dark ? 1 : 0], ...atoms[drawn.indexOf(row)],
    }));
    g.lineJoin = "round";

    function write(words, x, y, { align = "left", bold = false, colour = ink, base = "middle", edge = true } = {}) {
      g.font = `${bold ? "600 " : ""}14px ${font}`;
      g.textAlign = align;
      g.textBaseline = base;
      g.strokeStyle = halo;
      g.lineWidth = 4;
      if (edge) g.strokeText(words, x, y);
      g.fillStyle = colour;
      g.fillText(words, x, y);
    }

    for (const place of places) {
      g.globalAlpha = 0.3;
      g.fillStyle = ink;
      g.fillRect(SIDE, place.floor, width - 2 * SIDE, 1);
      g.globalAlpha = 1;
      if (place.row.estimates) place.found = bars(place);
    }

    // The line lies over the bars and under the words.
    g.fillStyle = ink;
    g.fillRect(X(gradient) - 0.75, HEAD - 3, 1.5, end - HEAD + 3);
    const label = `exact gradient ${short(gradient)}`;
    g.font = `600 14px ${font}`;
    const half = g.measureText(label).width / 2 + 4, middle = Math.min(width - half, Math.max(half, X(gradient)));
    write(label, middle, HEAD / 2 - 2, { align: "center", bold: true });

    for (const { row, top, ceiling, floor, colour, count, found } of places) {
      write(row.name, SIDE, top + NAME / 2, { bold: true, colour });
      if (!row.estimates) {
        write(row.why.split(":")[0], SIDE, ceiling + 10);
        continue;
      }
      spread(row, floor, colour);
      write(notes(row, count, found), width - SIDE, top + NAME / 2, { align: "right" });
    }

    const { values, digits } = ticks(low, high);
    for (const v of values) {
      g.fillStyle = ink;
      g.fillRect(X(v) - 0.5, end - 4, 1, 5);
      write(digits > 4 ? short(v, 2) : fixed(v, digits), X(v), end + 5, { align: "center", base: "top", edge: false });
    }
    const n = drawn.length ? drawn[0].n : 0, each = draws === 1 ? "1 draw" : `${draws} draws`;
    const estimates = `${grouped(n)} estimates of ${parameter}, ${each} each`;
    [estimates, "▲ mean ± standard deviation; each row as high as its peak"].forEach((words, k) =>
      write(words, width / 2, end + 27 + 20 * k, { align: "center", base: "top", edge: false }));

    // Each row is as high as its own peak; what is there at all can be seen. A point of mass at 0 is a stem.
    function bars({ row, ceiling, floor, colour, tiny, count }) {
      const span = high - low, scott = 3.5 * Math.sqrt(row.variance) * row.n ** (-1 / 3); // Scott's width of a bin
      const bins = Math.round(Math.min((width - 2 * SIDE) / 2, Math.max(30, span / scott || 0)));
      const found = histogram(row.estimates, axis, bins, tiny), peak = Math.max(...found.counts, 1);
      g.beginPath();
      g.moveTo(X(low), floor);
      found.counts.forEach((c, k) => {
        const y = floor - (c && Math.max(1.5, (floor - ceiling) * c / peak));
        g.lineTo(X(low + span * k / bins), y);
        g.lineTo(X(low + span * (k + 1) / bins), y);
      });
      g.lineTo(X(high), floor);
      g.fillStyle = colour;
      g.globalAlpha = 0.65;
      g.fill();
      g.globalAlpha = 1;
      if (count) {
        g.fillRect(X(0) - 1.5, ceiling + 4, 3, floor - ceiling - 4);
        g.beginPath();
        g.arc(X(0), ceiling + 4, 4, 0, 2 * Math.PI);
        g.fill();
      }
      return found;
    }

    // Below the bars: a triangle at the mean, one standard deviation to both sides.
    function spread({ mean, variance }, floor, colour) {
      const x = X(mean), sd = Math.sqrt(variance);
      const [from, to] = [mean - sd, mean + sd].map((v) => Math.min(width - SIDE, Math.max(SIDE, X(v))));
      g.fillStyle = colour;
      g.fillRect(from, floor + 4, to - from, 4);
      g.beginPath();
      g.moveTo(x, floor - 5);
      g.lineTo(x + 7, floor + 8);
      g.lineTo(x - 7, floor + 8);
      g.closePath();
      g.strokeStyle = halo;
      g.lineWidth = 3;
      g.stroke();
      g.fill();
    }
  });
  return { canvas, redraw };
}
