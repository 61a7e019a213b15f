// Latent vectors from seeds, in plain JavaScript. The numbers differ from those of TensorFlow's generators.

/** mulberry32, a public-domain generator by Tommy Ettinger: 32 bits of state; returns a function to numbers in [0, 1). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number by the Box-Muller transform, from two uniform ones. */
export function normalNumber(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

/** The error function, with an error of at most 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26). */
export function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const polynomial = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((sum, factor) => sum * t + factor, 0);
  return Math.sign(x) * (1 - t * polynomial * Math.exp(-x * x));
}

/** A normal number mapped to a normal distribution truncated to (-limit, limit), by the distribution functions of both. */
export function truncate(number, limit) {
  const target = erf(number / Math.SQRT2) * erf(limit / Math.SQRT2);
  let [low, high] = [-limit, limit];
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (erf(middle / Math.SQRT2) < target) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * The latent vector of a seed.
 *
 * prior.kind is "normal" (prior.mean, prior.deviation) or "uniform" (prior.low, prior.high), one number for each coordinate. The coordinates
 * in prior.category are a one-hot category. A truncation of 0 is none.
 */
export function drawLatent(prior, seed, truncation) {
  const random = randomNumbers(seed);
  const latent = Float32Array.from(prior.mean, (mean, i) => {
    if (prior.kind === "uniform") return prior.low[i] + (prior.high[i] - prior.low[i]) * random();
    const number = normalNumber(random);
    return mean + prior.deviation[i] * (truncation > 0 ? truncate(number, truncation) : number);
  });
  if (prior.category.length) setCategory(prior, latent, Math.floor(random() * prior.category.length));
  return latent;
}

/** Sets the one-hot category of a latent vector. */
export function setCategory(prior, latent, category) {
  prior.category.forEach((coordinate, i) => {
    latent[coordinate] = Number(i === category);
  });
}

/** Moves a latent vector along directions, by steps in standard deviations; values of a bounded distribution stay in its range. */
export function moveLatent(prior, latent, directions, steps) {
  const moved = Float32Array.from(latent);
  directions.forEach(({ vector, deviation }, k) => {
    if (steps[k]) vector.forEach((component, i) => (moved[i] += steps[k] * deviation * component));
  });
  if (prior.kind === "uniform") {
    moved.forEach((value, i) => {
      moved[i] = Math.max(Math.min(prior.low[i], latent[i]), Math.min(Math.max(prior.high[i], latent[i]), value));
    });
  }
  return moved;
}

/**
 * Spherical linear interpolation around the mean (White 2016, arXiv:1609.04468): the direction turns at a constant rate, and the norm changes
 * linearly. Categories are mixed linearly.
 */
export function interpolateLatents(prior, start, end, progress) {
  const categories = new Set(prior.category);
  const inner = [...start.keys()].filter((i) => !categories.has(i));
  const first = inner.map((i) => start[i] - prior.mean[i]);
  const last = inner.map((i) => end[i] - prior.mean[i]);
  const norms = [first, last].map((vector) => Math.hypot(...vector));
  const dot = first.reduce((sum, value, i) => sum + value * last[i], 0);
  const angle = Math.acos(Math.max(-1, Math.min(1, dot / Math.max(norms[0] * norms[1], 1e-12))));
  const between = Float32Array.from(start, (value, i) => (1 - progress) * value + progress * end[i]);
  if (Math.sin(angle) < 1e-6) return between;
  const norm = (1 - progress) * norms[0] + progress * norms[1];
  inner.forEach((i, k) => {
    const turned = (Math.sin((1 - progress) * angle) * first[k]) / norms[0] + (Math.sin(progress * angle) * last[k]) / norms[1];
    between[i] = prior.mean[i] + (norm * turned) / Math.sin(angle);
    if (prior.kind === "uniform") between[i] = Math.max(prior.low[i], Math.min(prior.high[i], between[i]));
  });
  return between;
}
