// Read the runs, build the page, join the parts.

const maps = [];
maps.current = null;

async function readRuns() {
  const holders = [...document.querySelectorAll("script.run")];
  const texts = await Promise.all(
    holders.map(async (holder) => new TextDecoder().decode(await inflate(holder.textContent.trim()))),
  );
  return texts.map((text, i) => new Run(JSON.parse(text), holders.length > 1 ? "AB"[i] : ""));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "☀ light" : "☾ dark";
  themeColors.clear();
  tell("theme");
  tell("view");
}

function watchTheme() {
  const asked = matchMedia("(prefers-color-scheme: dark)");
  setTheme(asked.matches ? "dark" : "light");
  asked.addEventListener("change", () => setTheme(asked.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
}

function showTitle() {
  const [first, second] = state.runs;
  byId("title").textContent = second ? "Two runs side by side" : `${first.report.model} on ${first.report.wafer.name}`;
  const words = state.runs.map(({ report: r, tag }) =>
    [
      tag ? `${r.model} on ${r.wafer.name}` : null,
      `mapping ${r.mapping}`,
      r.placement,
      `reduce ${r.reduce}`,
      r.precision,
      `${whole.format(r.wafer.columns)} × ${whole.format(r.wafer.rows)} PEs`,
      `engine ${r.engine}`,
    ]
      .filter(Boolean)
      .join(" · "),
  );
  byId("subtitle").replaceChildren(
    ...words.map((text, i) => el("span", { class: "line" }, tagOf(state.runs[i]), text)),
  );
}

function buildMaps() {
  maps.push(...state.runs.map((run) => new WaferMap(run)));
  byId("maps").append(...maps.map((map) => map.element));
  maps[0].onplaced = () => fitWafer(maps[0]);
  maps.forEach((map) => listen(map, maps));
  const current = () => maps.current ?? maps[0];
  const buttons = {
    "zoom-in": () => zoomBy(1.6, current()),
    "zoom-out": () => zoomBy(1 / 1.6, current()),
    "fit-wafer": () => fitWafer(current()),
    "fit-used": () => fitUsed(current()),
    "fit-pe": () => fitChosen(current()),
  };
  for (const [id, deed] of Object.entries(buttons)) byId(id).addEventListener("click", deed);
}

function buildBar() {
  byId("metric").append(...METRICS.map((metric) => el("option", { value: metric.id }, metric.name)));
  byId("metric").addEventListener("change", (event) => setMetric(event.target.value));
  byId("scale").addEventListener("change", (event) => setMetric(state.metric.id, event.target.value));
  on("metric", () => {
    byId("scale").value = state.kind;
    byId("metric").value = state.metric.id;
  });
  byId("goto").addEventListener("submit", (event) => {
    event.preventDefault();
    const [x, y] = (byId("goto-pe").value.match(/\d+/g) ?? []).map(Number);
    if (y === undefined) return;
    choose(x, y);
    if (state.chosen?.x === x && state.chosen?.y === y) fitChosen(maps.current ?? maps[0]);
  });
}

async function main() {
  watchTheme();
  state.runs = await readRuns();
  await Promise.all(state.runs.map((run) => run.open()));
  showTitle();
  showFigures();
  buildBar();
  buildMaps();
  buildTimeline();
  showKernels();
  showRates();
  showRegions();
  showText();
  showTokens();
  showRoofline();
  on("chosen", showPanel);
  for (const event of ["metric", "theme"]) on(event, showLegend);
  let links = false;
  on("painted", () => {
    if (!performance.getEntriesByName("drawn").length) performance.mark("drawn");
    if (links !== state.camera.size >= LINKS_FROM) {
      links = !links;
      showLegend();
    }
  });
  for (const event of ["hovered", "metric"]) on(event, batched(showReadout));
  const busiest = state.runs[0].report.busiest_link;
  choose(busiest.x, busiest.y);
  setMetric("busy");
  window.wse = {
    state,
    maps,
    choose,
    setMetric,
    setCycle,
    fit,
    fitWafer,
    fitUsed,
    zoomBy,
    panBy,
    routesAt,
    working: workingSpans,
  };
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  byId("title").textContent = "This page could not be drawn";
  byId("subtitle").textContent = String(error);
  throw error;
});
