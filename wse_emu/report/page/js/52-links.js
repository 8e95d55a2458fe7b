// PEs as squares and the links between them, one lane for each way. Alike colors are filled at once.

/** Gap between squares, as a share of a PE, and the lanes in it. */
const SQUARE = 0.56;
const LANE = 0.11;

function paintSquares(map, c, size) {
  const [x0, y0, x1, y1] = map.sight;
  const values = map.run.shown(state.metric.id);
  const inset = ((1 - SQUARE) / 2) * size;
  const bins = Array.from({ length: 256 }, () => null);
  const idle = new Path2D();
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const i = y * map.run.columns + x;
      const value = values[i];
      const path = Number.isNaN(value) ? idle : (bins[state.scale.index(value)] ??= new Path2D());
      path.rect(map.left(x) + inset, map.top(y) + inset, SQUARE * size, SQUARE * size);
    }
  }
  c.fillStyle = cssColor("surface");
  c.fill(idle);
  bins.forEach((path, i) => {
    if (!path) return;
    c.fillStyle = rgb(PE_RAMP, i);
    c.fill(path);
  });
  paintDeadSquares(map, c, size, inset);
  if (size >= VALUES_FROM) paintValues(map, c, size, values);
}

function paintDeadSquares(map, c, size, inset) {
  const side = SQUARE * size;
  for (const [x, y] of map.run.dead) {
    const [px, py] = [map.left(x) + inset, map.top(y) + inset];
    if (px < -size || py < -size || px > map.width || py > map.height) continue;
    c.fillStyle = cssColor("ink");
    c.fillRect(px, py, side, side);
    c.strokeStyle = cssColor("surface");
    c.lineWidth = Math.max(1, size / 24);
    c.beginPath();
    c.moveTo(px + side * 0.25, py + side * 0.25);
    c.lineTo(px + side * 0.75, py + side * 0.75);
    c.moveTo(px + side * 0.75, py + side * 0.25);
    c.lineTo(px + side * 0.25, py + side * 0.75);
    c.stroke();
  }
}

function paintValues(map, c, size, values) {
  const [x0, y0, x1, y1] = map.sight;
  const font = clamp(size * 0.13, 9, 17);
  c.textAlign = "center";
  c.textBaseline = "middle";
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const value = values[y * map.run.columns + x];
      const [px, py] = [map.left(x + 0.5), map.top(y + 0.5)];
      const dark = !Number.isNaN(value) && state.scale.index(value) < 150;
      c.fillStyle = Number.isNaN(value) ? cssColor("muted") : dark ? "#fff" : "#101316";
      c.font = `600 ${font}px system-ui, sans-serif`;
      if (!Number.isNaN(value)) c.fillText(compact(value), px, py + (size >= PLACES_FROM ? font * 0.45 : 0));
      if (size >= PLACES_FROM) {
        c.font = `${font * 0.78}px system-ui, sans-serif`;
        c.fillText(`${x}, ${y}`, px, Number.isNaN(value) ? py : py - font * 0.62);
      }
    }
  }
}

/** Place of the lane that leaves (x, y) in a way: [x, y, width, height] in PEs. Traffic keeps to its right. */
function lane(way, x, y) {
  const gap = 1 - SQUARE;
  const near = 0.5 + SQUARE / 2;
  if (way === "E") return [x + near, y + 0.5 + 0.04, gap, LANE];
  if (way === "W") return [x - gap / 2 - 0, y + 0.5 - 0.04 - LANE, gap, LANE];
  if (way === "S") return [x + 0.5 - 0.04 - LANE, y + near, LANE, gap];
  return [x + 0.5 + 0.04, y - gap / 2, LANE, gap];
}

function paintLinks(map, c, size) {
  const [x0, y0, x1, y1] = map.sight;
  const { run } = map;
  const bins = Array.from({ length: BINS }, () => null);
  const none = new Path2D();
  const arrows = size >= ARROWS_FROM;
  const labels = [];
  WAYS.forEach((way, w) => {
    const link = run.links[w];
    const [dx, dy] = STEPS[way];
    for (let y = Math.max(y0 - 1, 0); y < Math.min(y1 + 1, run.rows); y++) {
      for (let x = Math.max(x0 - 1, 0); x < Math.min(x1 + 1, run.columns); x++) {
        if (!run.inside(x + dx, y + dy)) continue;
        const load = link[y * run.columns + x] / run.tokens;
        const bin = state.linkScale.index(load) >> 3;
        const path = load ? (bins[bin] ??= new Path2D()) : none;
        const [lx, ly, lw, lh] = lane(way, x, y);
        const [px, py, pw, ph] = [map.left(lx), map.top(ly), lw * size, lh * size];
        if (arrows && load) arrow(path, way, px, py, pw, ph);
        else if (load) path.rect(px, py, pw, ph);
        else path.rect(px + (dx ? 0 : pw * 0.4), py + (dy ? 0 : ph * 0.4), dx ? pw : pw * 0.2, dy ? ph : ph * 0.2);
        if (load && size >= WAVELETS_FROM) labels.push([load, way, px + pw / 2, py + ph / 2]);
      }
    }
  });
  c.fillStyle = cssColor("edge");
  c.globalAlpha = 0.5;
  c.fill(none);
  c.globalAlpha = 1;
  const table = linkRamp();
  bins.forEach((path, i) => {
    if (!path) return;
    c.fillStyle = rgb(table, Math.min(255, i * 8 + 4));
    c.fill(path);
  });
  paintLoads(c, size, labels);
}

/** A lane with a head at its end. */
function arrow(path, way, x, y, w, h) {
  const head = Math.min(w, h) * 1.5;
  const over = Math.min(w, h) * 0.45;
  const flat = way === "E" || way === "W";
  const [long, wide] = flat ? [w, h] : [h, w];
  const forward = way === "E" || way === "S";
  const place = (along, across) => {
    const a = forward ? along : long - along;
    return flat ? [x + a, y + across] : [x + across, y + a];
  };
  const outline = [
    [0, 0],
    [long - head, 0],
    [long - head, -over],
    [long, wide / 2],
    [long - head, wide + over],
    [long - head, wide],
    [0, wide],
  ];
  outline.forEach(([along, across], i) =>
    i ? path.lineTo(...place(along, across)) : path.moveTo(...place(along, across)),
  );
  path.closePath();
}

function paintLoads(c, size, labels) {
  const font = clamp(size * 0.075, 9, 13);
  c.font = `600 ${font}px system-ui, sans-serif`;
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.lineWidth = 3;
  c.lineJoin = "round";
  for (const [load, way, x, y] of labels) {
    const away = size * (LANE / 2) + font * 0.75;
    const beside = c.measureText(compact(load)).width / 2 + size * (LANE / 2) + 4;
    const [px, py] =
      way === "E" ? [x, y + away] : way === "W" ? [x, y - away] : way === "S" ? [x - beside, y] : [x + beside, y];
    c.strokeStyle = cssColor("idle");
    c.strokeText(compact(load), px, py);
    c.fillStyle = cssColor("ink");
    c.fillText(compact(load), px, py);
  }
}
