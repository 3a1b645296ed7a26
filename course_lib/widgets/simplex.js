// The picture of the discrete problem: class probabilities as bars; for three classes softened draws in a triangle.

const POINTS = 400;

// view() gives {pi, classes, values, soft: (n, K) row by row, j}
function simplexPanel(view, life) {
  const canvas = h("canvas", { class: "simplex", role: "img" });

  const redraw = sharp(canvas, life, (g, width, height) => {
    const { pi, classes, values, soft, j } = view(), { ink, dark } = look(canvas), K = classes.length;
    const font = getComputedStyle(canvas).fontFamily, share = K === 3 ? Math.min(0.48 * width, 1.15 * height) : 0;
    const write = (words, x, y, align = "center", bold = false) => {
      g.font = `${bold ? "600 " : ""}14px ${font}`;
      g.textAlign = align;
      g.fillText(words, x, y);
    };
    g.fillStyle = g.strokeStyle = ink;
    g.textBaseline = "middle";
    write("π = softmax(l)", 4, 10, "left", true);
    bars(24, width - share - 16, 44, height - 48);
    if (K === 3) triangle(width - share / 2, share);

    function bars(left, right, top, floor) {
      const pitch = (right - left) / K, wide = Math.min(40, 0.7 * pitch);
      write("c", 4, floor + 15, "left", true);
      write("f", 4, floor + 36, "left", true);
      pi.forEach((p, k) => {
        const x = left + (k + 0.5) * pitch, y = floor - (floor - top) * p;
        g.globalAlpha = k === j ? 0.7 : 0.3; // the class whose logit is asked about
        g.fillRect(x - wide / 2, y, wide, floor - y);
        g.globalAlpha = 1;
        write(fixed(p), x, y - 11);
        write(plain(classes[k]), x, floor + 15);
        write(plain(values[k], pitch > 60 ? 3 : 2), x, floor + 36);
      });
      g.globalAlpha = 0.45;
      g.fillRect(left, floor, right - left, 1);
      g.globalAlpha = 1;
    }

    // Corners: class 1 left, class 2 right, class 3 on top.
    function triangle(middle, room) {
      const side = Math.min(room - 36, (height - 92) / Math.sin(Math.PI / 3)), floor = height - 34;
      const peak = floor - side * Math.sin(Math.PI / 3);
      const corners = [[middle - side / 2, floor], [middle + side / 2, floor], [middle, peak]];
      write("softened draws", middle, 10, "center", true);
      g.globalAlpha = 0.6;
      g.beginPath();
      for (const corner of corners) g.lineTo(...corner);
      g.closePath();
      g.stroke();
      g.globalAlpha = 1;
      for (const [k, dy] of [[0, 15], [1, 15], [2, -14]]) write(plain(classes[k]), corners[k][0], corners[k][1] + dy);
      g.fillStyle = HUES["Gumbel-softmax"][dark ? 1 : 0];
      g.globalAlpha = 0.5;
      for (let i = 0; i < POINTS; i++) {
        const place = [0, 1].map((side) => corners.reduce((sum, corner, k) => sum + soft[3 * i + k] * corner[side], 0));
        g.beginPath();
        g.arc(...place, 2.5, 0, 2 * Math.PI);
        g.fill();
      }
      g.globalAlpha = 1;
    }
  });
  return { canvas, redraw };
}
