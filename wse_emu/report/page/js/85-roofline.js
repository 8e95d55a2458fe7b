// Attainable FLOP/s against intensity, by uPlot: a roof for each machine, and the decode's point under it.

/** Machines of all runs: those of the same name and peaks once. */
function machines() {
  const found = [];
  state.runs.forEach((run, i) =>
    run.roofline.machines.forEach((machine, place) => {
      if (place && i) return;
      found.push({ ...machine, run, wafer: place === 0, work: run.roofline.flops_per_token });
    }),
  );
  return found.filter((machine) => machine.tokens_per_second > 0);
}

const intensity = (machine) => machine.work / machine.bytes_per_token;
const reached = (machine) => machine.work * machine.tokens_per_second;
const attainable = (machine, at) => Math.min(machine.flops, machine.bytes * at);

function showRoofline() {
  const all = machines();
  const [low, high] = [0.1, Math.max(2000, ...all.map((one) => (2 * one.flops) / one.bytes))];
  const ridges = all.map((one) => one.flops / one.bytes).filter((at) => at > low && at < high);
  const xs = [...new Set([low, ...ridges, high])].sort((a, b) => a - b); // between them roofs are straight
  const holder = el("div", {});
  byId("roof").append(
    holder,
    roofTable(all),
    el(
      "p",
      { class: "hint muted" },
      "A decode reads every weight once a token: left of the ridge, memory sets the roof. How far a point lies below it is what launches take from a GPU, and the way between PEs, or idle ones, from the wafer. Intensity counts weights and KV cache as each machine stores them.",
    ),
  );
  let plot = null;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(
      roofOptions(all, low, high, holder.clientWidth),
      [xs, ...all.map((one) => xs.map((x) => attainable(one, x)))],
      holder,
    );
  };
  draw();
  on("theme", draw);
  new ResizeObserver(
    batched(() => {
      if (plot && Math.abs(plot.width - holder.clientWidth) > 1) draw();
    }),
  ).observe(holder);
}

const roofColor = (machine) => (machine.wafer ? cssColor(machine.run.tag === "B" ? "b" : "a") : cssColor("muted"));

/** How axes of charts look in the theme. */
function plotAxis() {
  return {
    stroke: cssColor("muted"),
    grid: { stroke: cssColor("line"), width: 1 },
    ticks: { stroke: cssColor("line") },
    font: "12px system-ui, sans-serif",
  };
}

function roofOptions(all, low, high, width) {
  const tops = all.map((one) => one.flops);
  const bottoms = all.map((one) => Math.min(reached(one), attainable(one, low)));
  const axis = plotAxis();
  const decades = (plot, axis) => {
    const { min, max } = plot.scales[axis ? "y" : "x"];
    const first = Math.ceil(Math.log10(min) - 1e-9);
    return Array.from({ length: Math.floor(Math.log10(max) + 1e-9) - first + 1 }, (_, i) => 10 ** (first + i));
  };
  return {
    width,
    height: 300,
    pxAlign: 0,
    legend: { show: false },
    cursor: { show: false },
    padding: [10, 12, 0, 0],
    scales: {
      x: { time: false, distr: 3, range: [low, high] },
      y: { distr: 3, range: [Math.min(...bottoms) / 3, Math.max(...tops) * 4] },
    },
    axes: [
      {
        ...axis,
        label: "FLOP per byte read",
        labelSize: 18,
        labelFont: axis.font,
        size: 32,
        splits: decades,
        filter: (_, vs) => vs,
        values: (_, vs) => vs.map((v) => compact(Number(v.toPrecision(3)))),
      },
      {
        ...axis,
        label: "FLOP/s",
        labelSize: 16,
        labelFont: axis.font,
        size: 52,
        splits: decades,
        filter: (_, vs) => vs,
        values: (_, vs) => vs.map((v) => compact(Number(v.toPrecision(3)))),
      },
    ],
    series: [
      {},
      ...all.map((one) => ({ stroke: roofColor(one), width: one.wafer ? 2.2 : 1.1, points: { show: false } })),
    ],
    hooks: { draw: [(plot) => drawPoints(plot, all, low, high)] },
  };
}

/** Points of the decode and names of roofs, in pixels of the screen. */
function drawPoints(plot, all, low, high) {
  const { ctx: c } = plot;
  const ratio = window.devicePixelRatio || 1;
  const place = (x, y) => [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
  c.save();
  c.font = `${12 * ratio}px system-ui, sans-serif`;
  c.textBaseline = "middle";
  for (const one of all) drawPoint(c, place(intensity(one), reached(one)), one, ratio);
  const gpus = all.filter((one) => !one.wafer);
  const names = all
    .filter((one) => one.wafer)
    .map((one) => [one, `${one.run.tag ? `${one.run.tag}: ` : ""}${one.name} decode`]);
  if (gpus.length)
    names.push([gpus.reduce((least, one) => (reached(one) < reached(least) ? one : least)), "GPUs' decode"]);
  let above = -Infinity;
  c.textAlign = "left";
  for (const [one, text] of names.sort((a, b) => reached(b[0]) - reached(a[0]))) {
    const [x, y] = place(intensity(one), reached(one));
    above = Math.max(y, above + 14 * ratio); // names never lie on each other
    c.fillStyle = roofColor(one);
    c.fillText(text, x + 9 * ratio, above);
  }
  let wafers = 0;
  for (const roof of roofs(all)) {
    const below = roof.wafer && wafers++ > 0; // the lower of two roofs has its name below
    c.textAlign = roof.wafer ? "left" : "right";
    c.fillStyle = roof.color;
    const x = roof.wafer ? place(low, 1)[0] + 8 * ratio : place(high, 1)[0] - 4 * ratio;
    c.fillText(roof.text, x, place(1, roof.flops)[1] + (below ? 11 : -10) * ratio);
  }
  c.restore();
}

function drawPoint(c, [x, y], machine, ratio) {
  c.fillStyle = roofColor(machine);
  c.strokeStyle = cssColor("surface");
  c.lineWidth = 1.5 * ratio;
  c.beginPath();
  c.arc(x, y, (machine.wafer ? 5 : 3.5) * ratio, 0, 2 * Math.PI);
  c.fill();
  c.stroke();
}

/** Names of roofs: wafers each by itself, all GPUs under one: the table has them apart. */
function roofs(all) {
  const wafers = all
    .filter((one) => one.wafer)
    .map((one) => ({ wafer: true, text: `${one.name}: SRAM, all cores`, flops: one.flops, color: roofColor(one) }));
  const gpus = all.filter((one) => !one.wafer).sort((a, b) => b.flops - a.flops);
  const seen = wafers.filter(
    (one, i) => wafers.findIndex((other) => other.text === one.text && other.flops === one.flops) === i,
  );
  if (gpus.length)
    seen.push({
      text: gpus.length > 1 ? "GPUs: HBM" : `${gpus[0].name}: HBM`,
      flops: gpus[0].flops,
      color: cssColor("muted"),
    });
  return seen.sort((a, b) => b.flops - a.flops);
}

function roofTable(all) {
  const rows = all.map((one) =>
    el(
      "tr",
      { "data-machine": one.name },
      el("td", {}, one.wafer ? tagOf(one.run) : null, one.name),
      el("td", { class: "n", title: one.peaks }, compact(one.flops)),
      el("td", { class: "n", title: one.peaks }, compact(one.bytes, "B/s")),
      el("td", { class: "n" }, intensity(one).toFixed(2)),
      el("td", { class: "n" }, compact(reached(one))),
      el("td", { class: "n" }, percent(reached(one) / attainable(one, intensity(one)))),
    ),
  );
  return el(
    "div",
    { class: "wide" },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", {}, "machine"),
          el("th", { class: "n" }, "peak FLOP/s"),
          el("th", { class: "n" }, "memory"),
          el("th", { class: "n" }, "FLOP/byte"),
          el("th", { class: "n" }, "reached"),
          el("th", { class: "n" }, "of roof"),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
}
