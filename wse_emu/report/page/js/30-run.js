// A run: what page.json holds, its whole-wafer arrays, and what there is to say about one PE.

const METRICS = [
  { id: "busy", name: "Cycles busy", unit: "cycles per token", scale: "rank" },
  { id: "wait", name: "Cycles waiting", unit: "cycles per token", scale: "rank" },
  { id: "compute", name: "Cycles computing", unit: "cycles per token", scale: "rank" },
  { id: "streams", name: "Cycles streaming", unit: "cycles per token", scale: "rank" },
  { id: "wavelets", name: "Wavelets sent on", unit: "wavelets per token", scale: "log" },
  { id: "link", name: "Busiest link", unit: "wavelets per token", scale: "log" },
  { id: "sram", name: "SRAM", unit: "bytes", scale: "linear" },
  { id: "clocks", name: "Finish, after the first PE", unit: "cycles", scale: "linear" },
];

class Run {
  constructor(facts, tag) {
    Object.assign(this, facts);
    this.tag = tag;
    this.tokens = this.report.token_ids.length;
    this.cycles = this.report.cycles_per_token.reduce((sum, cycles) => sum + cycles, 0);
    this.columns = this.wafer.columns;
    this.rows = this.wafer.rows;
    this.deadSet = new Set(this.dead.map(([x, y]) => y * this.columns + x));
    this.values = {};
    this.ranges = {};
  }

  /** Decode all whole-wafer arrays. */
  async open() {
    const names = Object.keys(this.maps);
    const arrays = await Promise.all(names.map((name) => decodeArray(this.maps[name])));
    this.arrays = Object.fromEntries(names.map((name, i) => [name, arrays[i]]));
    this.links = WAYS.map((way) => this.arrays[`links_${way}`]);
    for (const move of this.routes.moves) {
      [move.way, move.channel] = await Promise.all([decodeArray(move.ways), decodeArray(move.channels)]);
    }
  }

  inside(x, y) {
    return x >= 0 && y >= 0 && x < this.columns && y < this.rows;
  }

  /** The region of a PE, or −1. */
  regionAt(x, y) {
    return this.regions.findIndex((r) => x >= r.x && y >= r.y && x < r.x + r.width && y < r.y + r.height);
  }

  /** Kernels that run in a region, in the order of a token. */
  kernelsOf(region) {
    const own = Object.keys(this.activity[region]);
    return this.timeline.kernels.filter((kernel) => own.includes(kernel) && kernel !== "move");
  }

  /** The whole number behind a metric at PE number `i`, over all decoded tokens; NaN where it has none. */
  total(metric, i) {
    const { compute, streams, clocks, sram } = this.arrays;
    if (metric === "wavelets") return this.links.reduce((sum, link) => sum + link[i], 0) || (clocks[i] < 0 ? NaN : 0);
    if (metric === "link") return Math.max(...this.links.map((link) => link[i])) || (clocks[i] < 0 ? NaN : 0);
    if (clocks[i] < 0) return NaN;
    if (metric === "busy") return compute[i] + streams[i];
    if (metric === "wait") return this.cycles - compute[i] - streams[i];
    return { compute, streams, clocks, sram }[metric][i];
  }

  /** What a total is divided by to be shown: tokens, or 1 where it is no sum over tokens. */
  per(metric) {
    return metric === "sram" || metric === "clocks" ? 1 : this.tokens;
  }

  /** A metric on all PEs as shown, NaN where there is none; kept once computed. */
  shown(metric) {
    if (!this.values[metric]) {
      const found = new Float32Array(this.rows * this.columns);
      const per = this.per(metric);
      let [low, high] = [Infinity, 0];
      for (let i = 0; i < found.length; i++) {
        const value = this.total(metric, i) / per;
        found[i] = value;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      this.values[metric] = found;
      this.ranges[metric] = [Number.isFinite(low) ? low : 0, high];
    }
    return this.values[metric];
  }

  range(metric) {
    this.shown(metric);
    return this.ranges[metric];
  }

  /** The smallest and largest load of a link that carries anything, in wavelets per token. */
  get linkRange() {
    if (!this.foundLinks) {
      let [low, high] = [Infinity, 0];
      for (const link of this.links) {
        for (const value of link) {
          if (value && value < low) low = value;
          if (value > high) high = value;
        }
      }
      this.foundLinks = high ? [low / this.tokens, high / this.tokens] : [0, 0];
    }
    return this.foundLinks;
  }

  /** The rectangle around all regions. */
  get used() {
    const [x, y] = ["x", "y"].map((key) => Math.min(...this.regions.map((region) => region[key])));
    const right = Math.max(...this.regions.map((region) => region.x + region.width));
    const bottom = Math.max(...this.regions.map((region) => region.y + region.height));
    return { x, y, width: right - x, height: bottom - y };
  }

  /** Cycles by kernel of a PE, over all decoded tokens: [{kernel, compute, streams}], most first. */
  causes(x, y) {
    const place = this.regionAt(x, y);
    if (place < 0) return [];
    const region = this.regions[place];
    return Object.entries(this.activity[place])
      .map(([kernel, share]) => ({
        kernel,
        compute: share.compute,
        streams:
          share.x[x - region.x] +
          share.y[y - region.y] +
          share.single.reduce((sum, [px, py, cycles]) => sum + (px === x && py === y ? cycles : 0), 0),
      }))
      .filter((share) => share.compute + share.streams)
      .sort((a, b) => b.compute + b.streams - a.compute - a.streams);
  }
}

const shortName = (name) =>
  name
    .replace(/^layers? /, "L")
    .replace("embedding", "emb.")
    .replace(" and ", ", ");
