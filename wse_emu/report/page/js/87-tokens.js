// The text, and the cycles of each of its tokens, by uPlot.

function showText() {
  for (const run of state.runs) {
    const { report } = run;
    byId("text").append(
      el("blockquote", {}, report.text || report.token_ids.join(" ")),
      el(
        "p",
        { class: "hint muted" },
        tagOf(run),
        `${report.prompt_ids.length} prompt tokens, ${run.tokens} new ones `,
        levelChip("computed"),
        ` · prefill ${whole.format(report.prefill_cycles)} cycles `,
        levelChip(report.prefill_level),
      ),
    );
  }
}

/** Cycles by token: they grow where the KV cache begins another row of slots. */
function showTokens() {
  if (state.runs.every((run) => run.tokens < 3)) return;
  const holder = byId("tokens");
  const most = Math.max(...state.runs.map((run) => run.tokens));
  const counts = Array.from({ length: most }, (_, i) => i + 1);
  const series = state.runs.map((run) => counts.map((_, i) => run.report.cycles_per_token[i] ?? null));
  let plot = null;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(tokenOptions(holder.clientWidth), [counts, ...series], holder);
  };
  draw();
  on("theme", draw);
  new ResizeObserver(batched(() => plot.width !== holder.clientWidth && draw())).observe(holder);
}

function tokenOptions(width) {
  const axis = plotAxis();
  const all = state.runs.flatMap((run) => run.report.cycles_per_token);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = Math.max(0.08 * (high - low), 0.002 * high);
  return {
    width,
    height: 170,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    padding: [12, 12, 0, 0],
    scales: { x: { time: false }, y: { range: [low - room, high + room] } },
    axes: [
      {
        ...axis,
        label: "token",
        labelSize: 16,
        labelFont: axis.font,
        size: 30,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
      },
      { ...axis, size: 66, values: (_, values) => values.map((value) => whole.format(value)) },
    ],
    series: [
      {},
      ...state.runs.map((run) => ({
        stroke: cssColor(run.tag === "B" ? "b" : "a"),
        width: 1.6,
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
      })),
    ],
  };
}
