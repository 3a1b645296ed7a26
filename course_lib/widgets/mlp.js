// A multilayer perceptron on typed arrays: the decoder that decoder.py packed, one point at a time.

// Abramowitz and Stegun 7.1.26: |error| < 1.5e-7, far below a grey level.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// torch.nn's activations, under the names and with the settings that decoder.py gives them.
const ACTIVATIONS = {
  relu: () => (x) => (x > 0 ? x : 0),
  leaky: ({ slope }) => (x) => (x > 0 ? x : slope * x),
  tanh: () => Math.tanh,
  sigmoid: () => sigmoid,
  softplus: ({ beta, threshold }) => (x) => (beta * x > threshold ? x : Math.log1p(Math.exp(beta * x)) / beta),
  silu: () => (x) => x * sigmoid(x),
  gelu: () => (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: () => (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

// From the decoder's output to pixel means in [0, 1].
const LINKS = {
  identity: (x) => x,
  sigmoid,
  continuous(x) {
    const l = Math.max(-15.94, Math.min(15.94, x)); // torch keeps a float32 probability this far from 0 and 1
    return Math.abs(l) < 0.01 ? 0.5 + l / 12 : 1 / (1 - Math.exp(-l)) - 1 / l;
  },
};

// out = weight in + bias, weight row by row. Four sums at a time: the input is read once for four rows.
function linear(input, weight, bias, out) {
  const n = input.length, rows = out.length;
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const a = r * n, b = a + n, c = b + n, d = c + n;
    let s = bias[r], t = bias[r + 1], u = bias[r + 2], v = bias[r + 3];
    for (let j = 0; j < n; j++) {
      const x = input[j];
      s += weight[a + j] * x;
      t += weight[b + j] * x;
      u += weight[c + j] * x;
      v += weight[d + j] * x;
    }
    out[r] = s; out[r + 1] = t; out[r + 2] = u; out[r + 3] = v;
  }
  for (; r < rows; r++) {
    let s = bias[r];
    for (let j = 0, a = r * n; j < n; j++) s += weight[a + j] * input[j];
    out[r] = s;
  }
}

// decode(z) -> grey levels 0..255. The array is used again by the next call.
export function decoder({ layers, link }, buffer) {
  const numbers = new Float32Array(buffer), steps = [];
  let offset = 0, values = null;
  const take = (n) => numbers.subarray(offset, (offset += n));
  for (const layer of layers) {
    if (layer.op === "linear") {
      const weight = take(layer.from * layer.to), bias = take(layer.to), out = new Float32Array(layer.to);
      steps.push((input) => { linear(input, weight, bias, out); return out; });
      values = out;
    } else {
      const f = ACTIVATIONS[layer.op](layer);
      steps.push((input) => { for (let i = 0; i < input.length; i++) input[i] = f(input[i]); return input; });
    }
  }
  if (offset !== numbers.length) throw new Error(`weights: got ${numbers.length} numbers, wanted ${offset}`);
  const mean = LINKS[link], grey = new Uint8ClampedArray(values.length); // rounds to the nearest and clamps
  return (z) => {
    let x = Float32Array.from(z);
    for (const step of steps) x = step(x);
    for (let i = 0; i < grey.length; i++) grey[i] = 255 * mean(x[i]);
    return grey;
  };
}
