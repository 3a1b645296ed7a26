// The picture of the problem: f(z), and over the same axis the density of z that μ and σ move.

// view() gives {f: table, mu, sigma}; move(mu) and step(dx, dy) are asked for: drag or arrow keys.
function densityPanel({ view, move, step, home, life }) {
  const LEFT = 52, RIGHT = 12, TOP = 24, FOOT = 26, SPAN = 8; // px, and z from −8 to 8
  const canvas = h("canvas", { class: "density", tabindex: 0, role: "application",
    "aria-label": "f(z) and the density of z. Left and right arrows move μ, up and down σ.",
    "aria-roledescription": "slider for μ and σ" });

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { f, mu, sigma } = view(), { ink, halo, dark } = look(canvas), font = getComputedStyle(canvas).fontFamily;
    const curve = dark ? "#ffc04d" : "#a05a00", floor = height - FOOT;
    const X = (z) => LEFT + (z + SPAN) / (2 * SPAN) * (width - LEFT - RIGHT);
    const index = (z) => Math.round((z - f.low) / f.step);
    // The middle decides the scale: z² at the ends would flatten it.
    let low = Infinity, high = -Infinity;
    for (let i = index(-SPAN / 2 - 1); i <= index(SPAN / 2 + 1); i++) {
      low = Math.min(low, f.value[i]);
      high = Math.max(high, f.value[i]);
    }
    if (high === low) [low, high] = [low - 1, high + 1];
    const Y = (v) => floor - 6 - (v - low) / (high - low) * (floor - TOP - 12);
    g.lineJoin = "round";
    g.font = `14px ${font}`;
    g.fillStyle = g.strokeStyle = ink;
    g.save();
    g.beginPath();
    g.rect(LEFT, TOP - 4, width - LEFT - RIGHT, floor - TOP + 4);
    g.clip();

    // The density has its own scale: always as high as the panel, so that a wide one can be seen.
    const P = (z) => floor - 0.85 * (floor - TOP) * Math.exp(-(((z - mu) / sigma) ** 2) / 2);
    g.beginPath();
    g.moveTo(LEFT, floor);
    for (let x = LEFT; x <= width - RIGHT; x++) g.lineTo(x, P((x - LEFT) / (width - LEFT - RIGHT) * 2 * SPAN - SPAN));
    g.lineTo(width - RIGHT, floor);
    g.globalAlpha = dark ? 0.24 : 0.14;
    g.fill();
    g.globalAlpha = 0.5;
    g.lineWidth = 1;
    g.stroke();
    g.globalAlpha = 1;

    // Each pixel column from its lowest to its highest f, so that no fast wiggle is lost between pixels.
    g.beginPath();
    for (let x = LEFT; x < width - RIGHT; x++) {
      const z = (px) => (px - LEFT) / (width - LEFT - RIGHT) * 2 * SPAN - SPAN;
      let least = Infinity, most = -Infinity;
      for (let i = index(z(x)); i <= index(z(x + 1)); i++) {
        least = Math.min(least, f.value[i]);
        most = Math.max(most, f.value[i]);
      }
      const rising = f.value[index(z(x + 1))] >= f.value[index(z(x))];
      g.lineTo(x, Y(rising ? least : most));
      g.lineTo(x + 0.9, Y(rising ? most : least));
    }
    g.strokeStyle = curve;
    g.lineWidth = 2;
    g.stroke();
    g.restore();

    // μ with σ to both sides, as a handle.
    const y = floor - 0.85 * (floor - TOP) * Math.exp(-0.5);
    for (const [colour, wide] of [[halo, 6], [ink, 2]]) {
      g.strokeStyle = colour;
      g.lineWidth = wide;
      g.beginPath();
      g.moveTo(Math.max(LEFT, X(mu - sigma)), y);
      g.lineTo(Math.min(width - RIGHT, X(mu + sigma)), y);
      g.moveTo(X(mu), TOP);
      g.lineTo(X(mu), floor);
      g.stroke();
    }
    g.beginPath();
    g.arc(X(mu), y, 7, 0, 2 * Math.PI);
    g.strokeStyle = halo;
    g.lineWidth = 4;
    g.stroke();
    g.fillStyle = ink;
    g.fill();

    g.globalAlpha = 0.45;
    g.fillRect(LEFT, floor, width - LEFT - RIGHT, 1);
    g.globalAlpha = 1;
    const across = ticks(-SPAN, SPAN);
    g.textAlign = "center";
    g.textBaseline = "top";
    for (const v of across.values) {
      g.fillRect(X(v) - 0.5, floor, 1, 5);
      g.fillText(fixed(v, across.digits), X(v), floor + 8);
    }
    g.textAlign = "right";
    g.textBaseline = "middle";
    const rim = 1e-3 * (high - low), up = ticks(low - rim, high + rim), ends = [up.values[0], up.values.at(-1)];
    for (const v of ends) {
      g.fillRect(LEFT - 5, Y(v), 5, 1);
      g.fillText(Math.abs(v) < 1e4 ? fixed(v, up.digits) : short(v), LEFT - 8, Y(v));
    }
    g.textBaseline = "top";
    g.textAlign = "left";
    g.font = `600 14px ${font}`;
    let x = LEFT;
    for (const [words, colour, alpha, high] of [["f(z)", curve, 1, 3], ["density of z", ink, 0.35, 9]]) {
      g.fillStyle = colour;
      g.globalAlpha = alpha;
      g.fillRect(x, 8.5 - high / 2, 14, high);
      g.globalAlpha = 1;
      g.fillText(words, x + 19, 2);
      x += g.measureText(words).width + 38;
    }
  });

  dragging(canvas, life, (x) => {
    const part = (x * canvas.clientWidth - LEFT) / (canvas.clientWidth - LEFT - RIGHT);
    move(part * 2 * SPAN - SPAN);
  });
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }), { signal: life.signal });
  arrowKeys(canvas, life, step, home);
  return { canvas, redraw };
}
