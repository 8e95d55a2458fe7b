// The chosen PE: what its cycles went to, what its memory holds, its links, its colors and routes.

function showPanel() {
  const panel = byId("panel");
  panel.replaceChildren();
  if (!state.chosen) {
    panel.append(el("p", { class: "muted" }, "A click on the map chooses a PE."));
    return;
  }
  const { x, y } = state.chosen;
  panel.append(el("h2", {}, `PE ${x}, ${y}`));
  for (const run of state.runs)
    panel.append(...(run.inside(x, y) ? onePe(run, x, y) : [el("p", {}, "off this wafer")]));
}

function onePe(run, x, y) {
  const i = y * run.columns + x;
  const region = run.regions[run.regionAt(x, y)];
  const head = run.tag ? [el("span", { class: `tag ${run.tag.toLowerCase()}` }, run.tag)] : [];
  const place = region
    ? `${region.name}: column ${x - region.x}, row ${y - region.y} of ${region.width} × ${region.height}`
    : run.deadSet.has(i)
      ? "dead: routes keep out of it"
      : "in no region";
  const parts = [el("p", { class: run.tag ? "note spaced" : "note" }, ...head, place)];
  const busiest = run.report.busiest_link;
  if (busiest.x === x && busiest.y === y) {
    parts.push(
      el("p", { class: "note muted" }, `The wafer's busiest link leaves it to the ${WAY_NAMES[busiest.towards]}.`),
    );
  }
  if (region) parts.push(...cycles(run, x, y, i), ...memory(run, region));
  return [...parts, ...links(run, x, y, i), ...routes(run, x, y)];
}

const heading = (text, level) => el("h3", {}, `${text} `, level ? levelChip(level) : null);

/** A row of numbers: per token, and exactly over all tokens for tests and the curious. */
function row(run, key, name, total, share, color) {
  const perToken = total / run.tokens;
  return el(
    "tr",
    {},
    el("td", {}, color ? el("span", { class: "chip", style: `background:${color}` }) : null, name),
    el(
      "td",
      {
        class: "n",
        "data-key": key,
        "data-run": run.tag || "A",
        "data-total": total,
        title: `${whole.format(total)} in ${run.tokens} tokens`,
      },
      number(perToken),
    ),
    el("td", { class: "n muted" }, share),
  );
}

const stack = (parts) =>
  el(
    "div",
    { class: "stack", "aria-hidden": "true" },
    parts.map(([share, color, name]) => el("div", { style: `width:${100 * share}%;background:${color}`, title: name })),
  );

function cycles(run, x, y, i) {
  const causes = run.causes(x, y);
  const [busy, wait] = [run.total("busy", i), run.total("wait", i)];
  const bars = causes.map((one) => [(one.compute + one.streams) / run.cycles, kernelColor(one.kernel), one.kernel]);
  const rows = causes.map((one) =>
    el(
      "tr",
      {},
      el("td", {}, el("span", { class: "chip", style: `background:${kernelColor(one.kernel)}` }), one.kernel),
      el("td", { class: "n" }, number(one.compute / run.tokens)),
      el("td", { class: "n" }, number(one.streams / run.tokens)),
      el("td", { class: "n muted" }, percent((one.compute + one.streams) / run.cycles)),
    ),
  );
  const sum = (key, name, value) => row(run, key, name, value, percent(value / run.cycles));
  return [
    heading("Cycles per token", run.report.level),
    stack(bars),
    el(
      "table",
      {},
      el(
        "tbody",
        {},
        sum("busy", "busy", busy),
        sum("compute", "  computing", run.total("compute", i)),
        sum("streams", "  streaming", run.total("streams", i)),
        sum("wait", "waiting", wait),
      ),
    ),
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", {}, "by kernel"),
          el("th", { class: "n" }, "computing"),
          el("th", { class: "n" }, "streaming"),
          el("th", { class: "n" }, "of all"),
        ),
      ),
      el("tbody", {}, rows),
    ),
  ];
}

const MEMORY_COLORS = { weights: "#4e9fd1", kv_cache: "#e0913a", activations: "#3fae98", runtime: "#8f969c" };
const MEMORY_NAMES = {
  weights: "weights",
  kv_cache: "KV cache",
  activations: "activations, at their peak",
  runtime: "runtime",
};

function memory(run, region) {
  const { capacity, ...kinds } = region.memory;
  const used = Object.values(kinds).reduce((sum, bytes) => sum + bytes, 0);
  const rows = [];
  for (const [kind, bytes] of Object.entries(kinds)) {
    if (!bytes) continue;
    rows.push(bytesRow(run, kind, MEMORY_NAMES[kind] ?? kind, bytes, bytes / capacity, MEMORY_COLORS[kind]));
    for (const tensor of region.tensors.filter((one) => one.kind === kind).sort((a, b) => b.bytes - a.bytes)) {
      rows.push(
        bytesRow(
          run,
          `tensor ${tensor.name}`,
          tensor.count > 1 ? `${tensor.name} × ${tensor.count}` : tensor.name,
          tensor.bytes,
        ),
      );
    }
  }
  return [
    heading(`SRAM: ${whole.format(used)} of ${whole.format(capacity)} bytes`, "counted"),
    stack(Object.entries(kinds).map(([kind, bytes]) => [bytes / capacity, MEMORY_COLORS[kind], MEMORY_NAMES[kind]])),
    el("table", {}, el("tbody", {}, rows)),
  ];
}

function bytesRow(run, key, name, bytes, share, color) {
  return el(
    "tr",
    {},
    el(
      "td",
      color ? {} : { class: "inner muted" },
      color ? el("span", { class: "chip", style: `background:${color}` }) : null,
      name,
    ),
    el("td", { class: "n", "data-key": key, "data-run": run.tag || "A", "data-total": bytes }, whole.format(bytes)),
    el("td", { class: "n muted" }, share === undefined ? "" : percent(share)),
  );
}

/** What a link could have carried while the tokens were decoded, in wavelets. */
const capacityOf = (run) => run.cycles / run.wafer.link_interval;

function links(run, x, y, i) {
  const rows = WAYS.map((way, w) =>
    row(run, `links_${way}`, `to the ${WAY_NAMES[way]}`, run.links[w][i], percent(run.links[w][i] / capacityOf(run))),
  );
  return [heading("Links: wavelets per token, load", run.report.level), el("table", {}, el("tbody", {}, rows))];
}

function routes(run, x, y) {
  const found = routesAt(run, x, y);
  if (!found.length) return [el("p", { class: "note muted spaced" }, "No route passes its router.")];
  const rows = found.map((route) =>
    el(
      "tr",
      {},
      el("td", { class: "n" }, route.color ?? "–"),
      el("td", {}, route.name, el("div", { class: "muted" }, route.kernels.join(", "))),
      el("td", { class: "mono" }, `${portNames(route.inputs)} → ${portNames(route.outputs)}`),
    ),
  );
  const known = run.routes.colors_known
    ? ""
    : " More routes meet than there are colors: they would change while it runs.";
  return [
    heading("Colors and routes", "counted"),
    el(
      "table",
      { class: "routes" },
      el(
        "thead",
        {},
        el("tr", {}, el("th", { class: "n" }, "color"), el("th", {}, "stream, kernels"), el("th", {}, "in → out")),
      ),
      el("tbody", {}, rows),
    ),
    known ? el("p", { class: "note muted" }, known) : null,
  ].filter(Boolean);
}
