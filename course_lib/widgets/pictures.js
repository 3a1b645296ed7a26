// Where the decoded images come from: this browser, the kernel, or a table for pages without a kernel.
// Both sources offer show(z, paint), now or as soon as it can be, and fill(tiles), in spare time.
// A tile is {stale(), point(), paint(pixels, of)}: it knows its own point and whether its image is of that point.

// The decoder runs here. Tiles are drawn in slices of a few ms, so that a drag never waits for them.
function browserPictures(decode, life, slice = 6) {
  let tiles = [], next = 0;
  const work = eachFrame(life, () => {
    const end = performance.now() + slice;
    for (let seen = 0; seen < tiles.length; seen++) {
      const tile = tiles[next++ % tiles.length]; // goes on where the last slice ended: no row starves in a long drag
      if (!tile.stale()) continue;
      if (performance.now() > end) { next--; return work(); }
      const z = tile.point();
      tile.paint(decode(z), z);
    }
  });
  return { show: (z, paint) => paint(decode(z)), fill: (all) => { tiles = all; work(); } };
}

// The kernel decodes: one request on its way, and of the points that came meanwhile only the latest is asked for next.
// Until the first answer, and when none comes, the nearest image of the table (rows {z, pixels}) stands in.
function kernelPictures(model, life, table, say, patience = 2000) {
  const me = Math.random().toString(36).slice(2); // every view of a model hears every answer
  let request = null, wanted = null, tiles = [], count = 0, moved = 0, exact = false;
  const rest = whenQuiet(life, 150, () => pump());
  const impatient = whenQuiet(life, patience, () => { if (request) alone(); });

  function nearest({ z, paint }) {
    const distance = (row) => row.z.reduce((sum, v, i) => sum + (v - z[i]) ** 2, 0);
    if (table.length) paint(table.reduce((best, row) => (distance(row) < distance(best) ? row : best)).pixels, null);
  }

  const nearestTiles = () => tiles.filter((tile) => tile.stale()).forEach((tile) => nearest(asJob(tile)));
  const asJob = (tile) => ({ z: tile.point(), paint: tile.paint });

  function alone() {
    exact = false;
    say(`no answer from the kernel: showing the nearest of ${table.length} precomputed images`);
    if (wanted) nearest(wanted);
    else request.jobs.forEach(nearest);
    nearestTiles();
  }

  function pump() {
    if (request && performance.now() - request.sent < 5 * patience) return; // after that it is taken for lost
    const still = performance.now() - moved > 140; // strips wait until the drag pauses
    const jobs = wanted ? [wanted] : still ? tiles.filter((tile) => tile.stale()).map(asJob) : [];
    if (!jobs.length) return;
    wanted = null;
    request = { id: `${me}-${++count}`, jobs, sent: performance.now() };
    impatient();
    try {
      model.send({ do: "decode", id: request.id, points: jobs.map((job) => [...job.z]) });
    } catch { alone(); } // the connection is closed
  }

  life.observe(model, "msg:custom", (content, buffers) => {
    if (content.did !== "decode" || content.id !== request?.id) return;
    const grey = new Uint8Array(bytes(buffers?.[0])), { jobs } = request, size = grey.length / jobs.length;
    request = null;
    if (!exact) say("");
    exact = true;
    jobs.forEach((job, i) => job.paint(grey.subarray(i * size, (i + 1) * size), job.z)); // empty: the kernel said why
    pump();
    rest();
  });

  return {
    show(z, paint) {
      moved = performance.now();
      wanted = { z: [...z], paint };
      if (!exact) nearest(wanted);
      pump();
    },
    fill(all) {
      tiles = all;
      if (!exact) nearestTiles();
      rest();
    },
  };
}

// Rows {z, pixels} of the table that the kernel computed beforehand: float32 points, then the images.
function readTable(buffer, d, size) {
  const n = buffer.byteLength / (4 * d + size), points = new Float32Array(buffer, 0, n * d);
  return Array.from({ length: n }, (_, k) => ({
    z: points.subarray(k * d, (k + 1) * d),
    pixels: new Uint8Array(buffer, 4 * d * n + k * size, size),
  }));
}
