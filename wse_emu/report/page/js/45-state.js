// What the reader is looking at: camera, metric, chosen PE, cycle. Parts redraw when it changes.

const LARGEST = 220; // CSS pixels a PE
const state = {
  runs: [],
  metric: METRICS[0],
  kind: "linear",
  scale: null,
  linkScale: null,
  camera: { x: 0, y: 0, size: 1 }, // the PE in the middle of the view, and CSS pixels a PE
  chosen: null,
  hovered: null,
  cycle: null,
  listeners: {},
};

function on(event, listener) {
  (state.listeners[event] ??= []).push(listener);
}
function tell(event) {
  for (const listener of state.listeners[event] ?? []) listener();
}

/** Take the scale of the metric over all runs, so that their colors compare: "linear", "log" or "rank". */
function setMetric(id, kind) {
  const metric = METRICS.find((one) => one.id === id);
  state.metric = metric;
  state.kind = kind ?? metric.scale;
  const ranges = state.runs.map((run) => run.range(id));
  const log = state.kind === "log";
  const loads = state.runs.map((run) => run.linkRange);
  const ends = (pairs) => [Math.min(...pairs.map(([low]) => low)), Math.max(...pairs.map(([, high]) => high))];
  state.scale =
    state.kind === "rank" ? new RankScale(state.runs.map((run) => run.shown(id))) : new Scale(...ends(ranges), log);
  state.linkScale = new Scale(...ends(loads), true);
  for (const run of state.runs) {
    run.pyramid = run.pyramids?.[id] ?? new Pyramid(run.shown(id), run.columns, run.rows);
    run.pyramids = { ...run.pyramids, [id]: run.pyramid };
    run.pyramid.paint(state.scale);
  }
  tell("metric");
  tell("view");
}

function choose(x, y) {
  if (!state.runs.some((run) => run.inside(x, y))) return;
  state.chosen = { x, y };
  tell("chosen");
  tell("view");
}

function setCycle(cycle) {
  state.cycle = cycle;
  tell("cycle");
  tell("view");
}
