// Key figures, and cycles by kernel.

const runColor = (run) => `var(--${run.tag === "B" ? "b" : "a"})`;
const tagOf = (run) => (run.tag ? el("span", { class: `tag ${run.tag.toLowerCase()}` }, run.tag) : null);

function figure(name, values, note, level) {
  return el(
    "div",
    { class: "figure" },
    el("div", { class: "name" }, name),
    values.map((value, i) => el("div", { class: "value" }, tagOf(state.runs[i]), value)),
    el("div", { class: "note" }, note, " ", level ? levelChip(level) : null),
  );
}

const gpuName = (gpu) => (gpu.gpus > 1 ? `${gpu.gpus} × ${gpu.gpu}` : gpu.gpu);
const withUnit = (text, unit) => [text, el("small", {}, ` ${unit}`)];

function showFigures() {
  const { runs } = state;
  const each = (found) => runs.map((run) => found(run.report, run));
  const best = (report) =>
    report.baseline.reduce((most, gpu) => (gpu.tokens_per_second_total > most.tokens_per_second_total ? gpu : most));
  const [first] = runs;
  const perToken = (report, value) => value / report.token_ids.length;
  byId("figures").append(
    figure(
      "Decode",
      each((r) => withUnit(whole.format(r.tokens_per_second), "tokens/s")),
      `${first.report.wafer.clock_hz / 1e9} GHz`,
      first.report.level,
    ),
    figure(
      `Over the fastest GPU, ${gpuName(best(first.report))}`,
      each((r) => `${number(r.tokens_per_second / best(r).tokens_per_second_total)}×`),
      `${whole.format(best(first.report).tokens_per_second_total)} tokens/s`,
      best(first.report).level,
    ),
    figure(
      "Cycles per token",
      each((r, run) => number(run.cycles / run.tokens)),
      `mean of ${first.tokens}`,
      first.report.level,
    ),
    figure(
      "Wavelet-hops per token",
      each((r) => compact(perToken(r, r.wavelet_hops))),
      "over all links",
      first.report.level,
    ),
    figure(
      "Busiest link",
      each((r) => withUnit(number(perToken(r, r.busiest_link.wavelets)), "wavelets")),
      `${runs.map((run) => percent(run.report.busiest_link.wavelets / capacityOf(run))).join(", ")} of time`,
      first.report.level,
    ),
    figure(
      "Fullest PE",
      each((r) => percent(r.sram.max_pe_bytes / r.sram.capacity_pe_bytes)),
      `${runs.map((run) => whole.format(run.report.sram.max_pe_bytes)).join(", ")} bytes`,
      "counted",
    ),
  );
}

const bar = (share, color) =>
  el("div", { class: "hbar", style: `width:${Math.max(0.4, 100 * share)}%;background:${color}` });

function showKernels() {
  const means = state.runs.map((run) => run.report.cycles_by_kernel);
  const totals = means.map((mean) => Object.values(mean).reduce((sum, cycles) => sum + cycles, 0));
  const names = [...new Set(means.flatMap((mean) => Object.keys(mean)))]
    .filter((name) => means.some((mean) => mean[name] >= 0.5))
    .sort((a, b) => Math.max(...means.map((m) => m[b] ?? 0)) - Math.max(...means.map((m) => m[a] ?? 0)));
  const most = Math.max(...means.flatMap((mean) => Object.values(mean)));
  const cells = (name) =>
    means.flatMap((mean, i) => [
      el(
        "td",
        { class: "n", "data-kernel": name, "data-run": state.runs[i].tag || "A", "data-value": mean[name] ?? 0 },
        number(mean[name] ?? 0),
      ),
      state.runs.length === 1 ? el("td", { class: "n muted" }, percent((mean[name] ?? 0) / totals[i])) : null,
    ]);
  const ratio = (values) =>
    values.length === 2
      ? el("td", { class: "n muted" }, values[0] && values[1] ? `${(values[1] / values[0]).toFixed(2)}×` : "–")
      : null;
  const heads = state.runs.flatMap((run) => [
    el("th", { class: "n" }, run.tag ? tagOf(run) : "cycles"),
    state.runs.length === 1 ? el("th", { class: "n" }, "of all") : null,
  ]);
  const rows = names.map((name) =>
    el(
      "tr",
      {},
      el("td", {}, el("span", { class: "chip", style: `background:${kernelColor(name)}` }), name),
      el(
        "td",
        { class: "bar-cell" },
        means.map((mean, i) =>
          bar((mean[name] ?? 0) / most, state.runs.length > 1 ? runColor(state.runs[i]) : kernelColor(name)),
        ),
      ),
      cells(name),
      ratio(means.map((mean) => mean[name] ?? 0)),
    ),
  );
  const sums = el(
    "tr",
    {},
    el("td", {}, el("b", {}, "token")),
    el("td"),
    totals.flatMap((total, i) => [
      el("td", { class: "n" }, el("b", {}, number(total))),
      state.runs.length === 1 ? el("td", { class: "n muted" }, "100%") : null,
    ]),
    ratio(totals),
  );
  byId("kernels").append(
    el(
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
            el("th", {}, "kernel"),
            el("th"),
            heads,
            state.runs.length === 2 ? el("th", { class: "n" }, "B / A") : null,
          ),
        ),
        el("tbody", {}, rows, sums),
      ),
    ),
    el(
      "p",
      { class: "hint muted" },
      `Growth of the wafer's latest clock, mean of the decoded tokens. `,
      levelChip(state.runs[0].report.level),
    ),
  );
}
