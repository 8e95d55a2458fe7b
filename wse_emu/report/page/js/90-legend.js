// The scales of the colors, and what lies under the pointer.

function legend(name, table, scale, unit) {
  const ends = scale.high > scale.low ? [scale.low, scale.middle, scale.high] : [scale.high];
  return el(
    "figure",
    {},
    el("figcaption", {}, el("span", {}, name), el("span", {}, unit)),
    el("div", { class: "ramp", style: `background:${scale.high > scale.low ? gradient(table) : rgb(table, 200)}` }),
    el(
      "div",
      { class: "ends mono" },
      ends.map((value) => el("span", {}, number(value))),
    ),
  );
}

function showLegend() {
  const { metric, scale, linkScale } = state;
  const kind = scale.kind === "linear" ? "" : `, ${scale.kind}`;
  const parts = [legend(metric.name, PE_RAMP, scale, metric.unit + kind)];
  if (state.camera.size >= LINKS_FROM)
    parts.push(legend("Load of links", linkRamp(), linkScale, "wavelets per token, log"));
  const level = metric.id === "sram" ? "counted" : state.runs[0].report.level;
  parts.push(el("p", { class: "note muted" }, el("span", { class: "chip idle" }), "in no region ", levelChip(level)));
  byId("legend").replaceChildren(...parts);
}

function showReadout() {
  const at = state.hovered;
  const out = byId("readout");
  if (!at || !at.run.inside(at.x, at.y)) {
    out.textContent = "";
    return;
  }
  const region = at.run.regions[at.run.regionAt(at.x, at.y)];
  const value = at.run.shown(state.metric.id)[at.y * at.run.columns + at.x];
  const words = Number.isNaN(value) ? "" : ` · ${number(value)} ${state.metric.unit}`;
  out.textContent = `PE ${at.x}, ${at.y} · ${region ? region.name : "in no region"}${words}`;
}
