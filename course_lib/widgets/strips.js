// One row per latent: its name, a strip of decoded images along it with a slider below, and its value.

// view() gives {z, limit, step, tiles, shape: [height, width]}; set(i, value) asks for a move of latent i.
function strip({ i, name, drawn, view, set, life }) {
  const { limit, tiles: count, shape: [height, width] } = view();
  const pitch = width + 1; // one empty column between images
  const slider = h("input", { type: "range", step: 0.01, "aria-label": `latent ${name}` });
  const value = h("output", {}), column = h("div", { class: "strip" });
  const node = h("div", { class: "row" }, h("span", { class: "name" }, name), column, value);
  slider.style.setProperty("--inset", drawn ? `${50 * width / (count * pitch - 1)}%` : "0%"); // thumb under its image
  const tiles = [];

  if (drawn) {
    const canvas = h("canvas", { width: count * pitch - 1, height, role: "img", "aria-label": `images along ${name}` });
    const g = canvas.getContext("2d", { willReadFrequently: true });
    column.append(canvas);
    for (let k = 0; k < count; k++) {
      const at = () => (2 * k / (count - 1) - 1) * view().limit;
      const point = () => view().z.map((v, j) => (j === i ? at() : v));
      let shown = null; // the point whose image stands there
      tiles.push({
        point,
        stale: () => shown !== point().join(),
        paint(grey, exactly) { // exactly: the point that this is the image of; null: only near it
          shown = exactly && exactly.join();
          if (grey.length) g.putImageData(greyImage(grey, width, height), k * pitch, 0);
        },
        forget: () => { shown = null; },
      });
    }
    // Press or drag on the images: the latent goes to the value under the pointer.
    dragging(canvas, life, (x) => {
      const { limit } = view(), k = (x * (count * pitch - 1) - width / 2) / pitch;
      set(i, (2 * k / (count - 1) - 1) * limit);
    });
  }
  column.append(slider);
  slider.addEventListener("input", () => set(i, slider.valueAsNumber), { signal: life.signal });
  // A range's own keys would move by its fine step; Home and End stay the ends.
  arrowKeys(slider, life, (dx, dy, event) => {
    const { z, step } = view();
    set(i, z[i] + (dx + dy) * step * (event.shiftKey ? 5 : 1));
  });

  return {
    node,
    tiles,
    place() {
      const { z, limit } = view();
      Object.assign(slider, { min: -limit, max: limit, value: z[i] });
      value.textContent = fixed(z[i]);
    },
  };
}
