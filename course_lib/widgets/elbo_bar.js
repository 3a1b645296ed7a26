// log p(x) = ELBO + gap as one bar that ends at log p(x), with marks for the network and the best diagonal Gaussian.

// view() gives {elbo, logPx, network, best}: nats; network and best null while they are hidden
function elboBar(view, life) {
  const canvas = h("canvas", { class: "identity", role: "img" });
  let reach = 1; // nats that the bar shows

  // It stays while it fits and is not far too long, so that one sees the ELBO grow.
  function fit(gap) {
    if (gap <= reach && gap > reach / 12) return;
    const ten = 10 ** Math.floor(Math.log10(Math.max(0.05, 1.3 * gap)));
    reach = [1, 2, 5, 10].map((m) => m * ten).find((m) => m >= Math.max(0.05, 1.3 * gap));
  }

  const redraw = sharp(canvas, life, (g, width) => {
    const { elbo, logPx, network, best } = view(), { ink, dark, halo } = look(canvas);
    const font = getComputedStyle(canvas).fontFamily, hue = (name) => GAUSSIANS[name].hues[dark ? 1 : 0];
    const known = [elbo, network, best].filter((v) => v !== null), TOP = 26, HIGH = 34, SIDE = 2;
    fit(logPx - Math.min(...known));
    const X = (v) => SIDE + Math.max(0, 1 - (logPx - v) / reach) * (width - 2 * SIDE), end = X(logPx), now = X(elbo);

    g.fillStyle = hue("you");
    g.fillRect(SIDE, TOP, now - SIDE, HIGH);
    // The rest: what q could still gain, and what no diagonal Gaussian can.
    const split = best === null ? end : Math.max(now, X(best));
    g.globalAlpha = 0.3;
    g.fillRect(now, TOP, split - now, HIGH);
    g.globalAlpha = 1;
    stripes(g, split, TOP, end - split, HIGH, ink);
    g.fillStyle = ink;
    g.fillRect(end - 1.5, TOP - 6, 3, HIGH + 12);
    g.globalAlpha = 0.5;
    g.strokeStyle = ink;
    g.lineWidth = 1;
    g.strokeRect(SIDE + 0.5, TOP + 0.5, end - SIDE - 1, HIGH - 1);
    g.globalAlpha = 1;

    // The bar begins far to the left of the picture: a torn edge.
    g.globalCompositeOperation = "destination-out";
    g.beginPath();
    g.moveTo(0, TOP - 1);
    for (let k = 0; k <= 6; k++) g.lineTo(k % 2 ? 8 : 2, TOP - 1 + k * (HIGH + 2) / 6);
    g.lineTo(0, TOP + HIGH + 1);
    g.fill();
    g.globalCompositeOperation = "source-over";

    if (now - SIDE > 64) {
      g.font = `600 14px ${font}`;
      g.textAlign = "left";
      g.textBaseline = "middle";
      g.fillStyle = dark ? "#111" : "#fff";
      g.fillText("ELBO", 16, TOP + HIGH / 2 + 1);
    }
    label(end, TOP - 15, "log p(x)", ink, 600);
    label(0, TOP - 15, `${reach} ${reach === 1 ? "nat" : "nats"} wide`, ink, 400);
    for (const [name, v, y, words] of [
      ["network", network, TOP + HIGH + 18, "network"], ["best", best, TOP + HIGH + 38, "best diagonal Gaussian"],
    ]) {
      if (v === null) continue;
      const x = X(v);
      g.beginPath();
      g.rect(x - 1.5, TOP - 5, 3, y - TOP - 4);
      g.strokeStyle = halo;
      g.lineWidth = 3;
      g.stroke();
      g.fillStyle = hue(name);
      g.fill();
      label(x, y, words, hue(name), 600);
    }

    function label(x, y, words, colour, weight) {
      g.font = `${weight} 14px ${font}`;
      const half = g.measureText(words).width / 2;
      g.textAlign = "center";
      g.textBaseline = "middle";
      g.fillStyle = colour;
      g.fillText(words, Math.min(width - half, Math.max(half, x)), y);
    }
  });
  return { canvas, redraw };
}

function stripes(g, x, y, width, height, colour) {
  if (width <= 0) return;
  g.save();
  g.beginPath();
  g.rect(x, y, width, height);
  g.clip();
  g.strokeStyle = colour;
  g.globalAlpha = 0.45;
  g.lineWidth = 2;
  g.beginPath();
  for (let k = -height; k < width; k += 8) {
    g.moveTo(x + k, y + height);
    g.lineTo(x + k + height, y);
  }
  g.stroke();
  g.restore();
}
