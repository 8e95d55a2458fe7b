// Moving in time: scrubbing, zooming, playing, kernel by kernel.

const longest = () => Math.max(...state.runs.map((run) => run.timeline.cycles));

function zoomSpan(factor, at) {
  const all = longest();
  const width = clamp((span.to - span.from) * factor, Math.min(50, all), all);
  const share = (at - span.from) / (span.to - span.from);
  span.from = clamp(at - share * width, 0, all - width);
  span.to = span.from + width;
  tell("span");
}

function scrubTo(cycle) {
  setCycle(Math.round(clamp(cycle, 0, longest() - 1)));
}

/** To the next (1) or the last (−1) cycle at which a kernel begins. */
function jump(way) {
  const starts = [...new Set(state.runs.flatMap((run) => run.timeline.spans.map(([, , , start]) => start)))].sort(
    (a, b) => a - b,
  );
  const now = state.cycle ?? -1;
  const next = way > 0 ? starts.find((start) => start > now) : starts.findLast((start) => start < now);
  if (next !== undefined) scrubTo(next);
}

const PLAY_SECONDS = 12;
let playing = 0;

function play() {
  if (playing) {
    cancelAnimationFrame(playing);
    playing = 0;
    tell("cycle");
    return;
  }
  const began = performance.now();
  const from = state.cycle === null || state.cycle >= longest() - 1 ? 0 : state.cycle;
  const tick = (now) => {
    const at = from + ((now - began) / 1000 / PLAY_SECONDS) * longest();
    scrubTo(at);
    if (at < longest() - 1) playing = requestAnimationFrame(tick);
    else {
      playing = 0;
      tell("cycle");
    }
  };
  playing = requestAnimationFrame(tick);
}

function showNow() {
  byId("play").textContent = playing ? "❚❚" : "▶";
  byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  const slider = byId("cycle");
  if (state.cycle === null) {
    byId("now").textContent = "";
    return;
  }
  slider.value = state.cycle;
  const runs = state.runs.map((run) => {
    const working = workingSpans(run).map((one) => `${run.timeline.steps[one.step]} · ${one.kernel}`);
    return (run.tag ? `${run.tag}: ` : "") + ([...new Set(working)].slice(0, 2).join(", ") || "done");
  });
  const text = `cycle ${whole.format(state.cycle)} · ${runs.join(" | ")}`;
  byId("now").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function buildTimeline() {
  [span.from, span.to] = [0, longest()];
  byId("lanes").append(...state.runs.map((run) => new Timeline(run).canvas));
  byId("cycle").max = longest() - 1;
  byId("cycle").addEventListener("input", (event) => setCycle(Number(event.target.value)));
  byId("play").addEventListener("click", play);
  byId("before").addEventListener("click", () => jump(-1));
  byId("after").addEventListener("click", () => jump(1));
  const middle = () => state.cycle ?? (span.from + span.to) / 2;
  byId("span-in").addEventListener("click", () => zoomSpan(1 / 2, middle()));
  byId("span-out").addEventListener("click", () => zoomSpan(2, middle()));
  byId("whole").addEventListener("click", () => {
    [span.from, span.to] = [0, longest()];
    tell("span");
  });
  on("cycle", showNow);
  const notes = state.runs.map((run) => {
    const exact =
      run.report.level === run.timeline.level
        ? ""
        : `; its ${run.report.level} cycles are ${whole.format(run.report.cycles_per_token[run.timeline.token])}`;
    return `${run.tag ? `${run.tag}: ` : ""}token ${run.timeline.token + 1} of ${run.tokens}, ${whole.format(run.timeline.cycles)} cycles, ${run.timeline.level}${exact}`;
  });
  byId("token-note").textContent =
    `${notes.join(" | ")}. A span ends when the region's last PE is done. Dragging shows on the map what is at work; Shift and the wheel zoom.`;
}
