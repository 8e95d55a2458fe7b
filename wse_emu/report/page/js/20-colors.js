// Color scales. Viridis for PEs (van der Walt and Smith, CC0) is readable to the color-blind and in grey; links take one hue.

const VIRIDIS =
  "440154470d6048186a482374472e7c4538824241863e4a893a548c365d8d32658e2e6d8e2b758e287d8e25848e228c8d1f948c1e9c8920a38625ab822eb37c3aba7648c16e58c7656ccd5a7fd34e93d741a8db34c0df25d5e21aeae51afde725";
const LINK_RAMPS = { light: ["d5d9db", "e8b36a", "d1701c", "8f2d06"], dark: ["3a4147", "8a5a22", "e08a2c", "ffe0a8"] };
const KERNEL_COLORS = {
  attention: "#4e9fd1",
  mlp: "#e0913a",
  norm: "#8f969c",
  qkv: "#3fae98",
  output: "#8b79d9",
  rope: "#b6a33b",
  move: "#d1605e",
  embedding: "#7cb455",
  lm_head: "#c66fa8",
  sample: "#6f8496",
};
const MORE_COLORS = ["#5f8dd3", "#c98a5b", "#57a773", "#a274b8", "#b5893c", "#4aa3a8"];

function split(hexes) {
  return hexes.match(/.{6}/g).map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
}

/** 256 colors between the given ones, as bytes RGB. */
function ramp(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++)
      table[3 * i + c] = stops[below][c] + (place - below) * (stops[below + 1][c] - stops[below][c]);
  }
  return table;
}

const PE_RAMP = ramp(split(VIRIDIS));
const isDark = () => document.documentElement.dataset.theme === "dark";
const linkRamps = { light: ramp(split(LINK_RAMPS.light.join(""))), dark: ramp(split(LINK_RAMPS.dark.join(""))) };
const linkRamp = () => linkRamps[isDark() ? "dark" : "light"];

const rgb = (table, i) => `rgb(${table[3 * i]} ${table[3 * i + 1]} ${table[3 * i + 2]})`;
const gradient = (table) =>
  `linear-gradient(to right, ${Array.from({ length: 17 }, (_, i) => rgb(table, Math.round((i * 255) / 16))).join(", ")})`;

function kernelColor(name) {
  if (KERNEL_COLORS[name]) return KERNEL_COLORS[name];
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.charCodeAt(0)) >>> 0;
  return MORE_COLORS[hash % MORE_COLORS.length];
}

/** From a value to one of 256 colors: between `low` and `high`, linear or logarithmic. */
class Scale {
  constructor(low, high, log) {
    this.kind = log && high > 0 ? "log" : "linear";
    this.log = this.kind === "log";
    this.low = this.log ? Math.max(low, Math.min(1, high)) : low;
    this.high = Math.max(high, this.low);
    [this.from, this.to] = this.log ? [Math.log(this.low), Math.log(this.high)] : [this.low, this.high];
  }

  index(value) {
    if (this.to <= this.from) return 200;
    const place = this.log ? Math.log(Math.max(value, this.low)) : value;
    return clamp(Math.round((255 * (place - this.from)) / (this.to - this.from)), 0, 255);
  }

  /** The value in the middle of the scale. */
  get middle() {
    const half = (this.from + this.to) / 2;
    return this.log ? Math.exp(half) : half;
  }
}

const SAMPLES = 40000;

/** From a value to one of 256 colors by its rank: each color on equally many PEs, however skewed the values are. */
class RankScale {
  constructor(arrays) {
    const all = arrays.reduce((sum, values) => sum + values.length, 0);
    const stride = Math.max(1, Math.floor(all / (4 * SAMPLES)));
    const found = [];
    for (const values of arrays) {
      for (let i = 0; i < values.length; i += stride) if (!Number.isNaN(values[i])) found.push(values[i]);
    }
    this.sorted = Float64Array.from(found).sort();
    this.kind = "rank";
    [this.low, this.high] = [this.sorted[0] ?? 0, this.sorted[this.sorted.length - 1] ?? 0];
    this.middle = this.sorted[this.sorted.length >> 1] ?? 0;
    this.known = new Map();
  }

  index(value) {
    let color = this.known.get(value);
    if (color === undefined) {
      const last = this.sorted.length - 1;
      const rank = (this.count(value, false) + this.count(value, true)) / 2; // alike values share the middle of their ranks
      color =
        value <= this.low && this.low < this.high
          ? 0
          : value >= this.high
            ? 255
            : clamp(Math.round((255 * rank) / Math.max(last, 1)), 0, 255);
      if (this.low === this.high) color = 200;
      if (this.known.size < 100000) this.known.set(value, color);
    }
    return color;
  }

  /** How many samples are smaller than a value, or with `equal` no larger. */
  count(value, equal) {
    let [low, high] = [0, this.sorted.length];
    while (low < high) {
      const half = (low + high) >> 1;
      if (this.sorted[half] < value || (equal && this.sorted[half] === value)) low = half + 1;
      else high = half;
    }
    return low;
  }
}
