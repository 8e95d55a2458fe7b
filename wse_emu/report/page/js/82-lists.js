// Tokens per second, and regions.

function showRates() {
  const rows = [];
  const wafers = state.runs.map((run) => ({
    name: run.report.wafer.name,
    run,
    rate: run.report.tokens_per_second,
    note: run.report.precision,
    level: run.report.level,
  }));
  const gpus = state.runs[0].report.baseline.map((gpu) => ({
    name: gpuName(gpu),
    rate: gpu.tokens_per_second_total,
    note: `${gpu.weights}, ${gpu.bound_by}`,
    level: gpu.level,
  }));
  const most = Math.max(...[...wafers, ...gpus].map((one) => one.rate));
  for (const one of [...wafers, ...gpus]) {
    rows.push(
      el(
        "tr",
        {},
        el("td", {}, one.run ? tagOf(one.run) : null, one.run ? el("b", {}, one.name) : one.name),
        el(
          "td",
          { class: "bar-cell" },
          one.rate ? bar(one.rate / most, one.run ? runColor(one.run) : "var(--edge)") : null,
        ),
        el("td", { class: "n", "data-rate": one.rate }, one.rate ? whole.format(one.rate) : "–"),
        el("td", {}, one.note),
        el("td", {}, levelChip(one.level)),
      ),
    );
  }
  const fit = state.runs[0].report.baseline_fit;
  byId("rates").append(
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
            el("th", {}, "machine"),
            el("th"),
            el("th", { class: "n" }, "tokens/s"),
            el("th", {}, "numbers, limit"),
            el("th", {}, "level"),
          ),
        ),
        el("tbody", {}, rows),
      ),
    ),
    el(
      "p",
      { class: "hint muted" },
      `One request. GPUs: 16-bit numbers at ${percent(fit.hbm_efficiency)} of the HBM bandwidth, as published decodes reach it, and launches${state.runs.length > 1 ? "; model of run A" : ""}.`,
    ),
  );
}

function showRegions() {
  const rows = state.runs.flatMap((run) =>
    run.regions.map((region, i) => {
      const { capacity, ...kinds } = region.memory;
      const used = Object.values(kinds).reduce((sum, bytes) => sum + bytes, 0);
      const show = () => {
        for (const map of maps) if (map.run === run) fit(region, map, 0.8);
        byId("wafer").scrollIntoView({ block: "nearest" });
      };
      return el(
        "tr",
        { "data-region": i },
        el("td", {}, tagOf(run), el("button", { type: "button", class: "link", onclick: show }, region.name)),
        el(
          "td",
          {},
          run
            .kernelsOf(i)
            .map((kernel) =>
              el("span", { class: "chip small", title: kernel, style: `background:${kernelColor(kernel)}` }),
            ),
        ),
        el("td", { class: "n" }, `${region.x}, ${region.y}`),
        el("td", { class: "n" }, `${region.width} × ${region.height}`),
        el("td", { class: "n" }, whole.format(used)),
        el("td", { class: "n muted" }, percent(used / capacity)),
      );
    }),
  );
  byId("regions").append(
    el(
      "div",
      { class: "scroll wide" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", {}, "holds"),
            el("th", {}, "kernels"),
            el("th", { class: "n" }, "x, y"),
            el("th", { class: "n" }, "columns × rows"),
            el("th", { class: "n" }, "bytes a PE"),
            el("th", { class: "n" }, "of SRAM"),
          ),
        ),
        el("tbody", {}, rows),
      ),
    ),
  );
}
