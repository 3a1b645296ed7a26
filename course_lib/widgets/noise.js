// Random numbers by seed: the same seed gives the same noise in every view of a widget.

// Uniform on (0, 1), never 0 or 1: the sfc32 generator (small, fast, chaotic; passes PractRand).
function uniforms(seed) {
  let a = 0x9e3779b9, b = 0x243f6a88, c = seed | 0, counter = 1;
  const next = () => {
    const out = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out | 0;
    return ((out >>> 0) + 0.5) / 2 ** 32;
  };
  for (let k = 0; k < 16; k++) next(); // neighbouring seeds have parted by then
  return next;
}

// What the Gaussian estimators need, (n,) each: eps ~ N(0, 1); w ~ Rayleigh; m ~ double-sided Maxwell; inner = u m with
// u uniform, which is N(0, 1) again. w and m share numbers with eps: no estimator uses two of the three.
export function gaussianNoise(seed, n) {
  const u = uniforms(seed), [eps, w, spare] = [0, 1, 2].map(() => new Float32Array(n));
  for (let i = 0; i < n; i++) {
    const radius = Math.sqrt(-2 * Math.log(u())), angle = 2 * Math.PI * u();
    eps[i] = radius * Math.cos(angle);
    spare[i] = radius * Math.sin(angle); // independent of eps
    w[i] = radius; // the length of two normals
  }
  let pair = null;
  const maxwell = () => { // only once somebody asks: ∂μ does not need them
    if (pair) return pair;
    pair = { m: new Float32Array(n), inner: new Float32Array(n) };
    for (let i = 0; i < n; i++) {
      const length = Math.sqrt(spare[i] * spare[i] - 2 * Math.log(u())); // of three normals
      pair.m[i] = spare[i] < 0 ? -length : length;
      pair.inner[i] = pair.m[i] * u();
    }
    return pair;
  };
  return { eps, w, get m() { return maxwell().m; }, get inner() { return maxwell().inner; } };
}

// Gumbel(0, 1), (n, classes) row by row: −log(−log u).
export function gumbelNoise(seed, n, classes) {
  const u = uniforms(seed), out = new Float32Array(n * classes);
  for (let i = 0; i < out.length; i++) out[i] = -Math.log(-Math.log(u()));
  return out;
}

// Keeps the last noise that was made: a move that keeps the seed costs no new random numbers.
function remembered(make) {
  let key = "", noise = null;
  return (...what) => {
    if (key !== what.join()) [key, noise] = [what.join(), make(...what)];
    return noise;
  };
}
