// What lies over the map: regions with their names, the kernel at work, the chosen PE, and where in the wafer one is.

const LABEL_FONT = "12px system-ui, sans-serif";

function box(map, region) {
  const size = state.camera.size;
  return [map.left(region.x), map.top(region.y), region.width * size, region.height * size];
}

function outside(map, [x, y, w, h]) {
  return x > map.width || y > map.height || x + w < 0 || y + h < 0;
}

function paintOutlines(map, c) {
  for (const region of map.run.regions) {
    const place = box(map, region);
    if (outside(map, place)) continue;
    c.strokeStyle = cssColor("ink");
    c.globalAlpha = isDark() ? 0.5 : 0.75;
    c.lineWidth = 1.2;
    c.strokeRect(...place);
    c.globalAlpha = 1;
  }
  c.font = LABEL_FONT;
  c.textBaseline = "middle";
  c.textAlign = "left";
  const working = workingSpans(map.run).map((span) => span.region);
  map.run.regions.forEach((region, i) => {
    const place = box(map, region);
    if (outside(map, place) || working.includes(i)) return;
    const texts = [`${region.name}: ${map.run.kernelsOf(i).join(", ")}`, region.name, shortName(region.name)];
    label(map, c, place, texts, "label", "ink");
  });
}

/** The first of `texts` that fits, in the upper left corner of what can be seen of a box; true if one does. */
function label(map, c, [x, y, w, h], texts, back, ink, always = false) {
  const top = Math.max(y, map.caption.hidden ? 0 : 32);
  const [left, right, bottom] = [Math.max(x, 0), Math.min(x + w, map.width), Math.min(y + h, map.height)];
  const fits = texts.find((text) => c.measureText(text).width + 14 <= right - left);
  const text = bottom - top >= 24 ? fits : undefined;
  if (!text && !always) return false;
  const words = text ?? texts[texts.length - 1];
  const width = c.measureText(words).width + 10;
  const px = text ? left + 3 : clamp(left, 2, Math.max(2, map.width - width - 2));
  const py = text ? top + 3 : clamp(bottom + 3, 2, map.height - 20);
  c.fillStyle = cssColor(back);
  c.beginPath();
  c.roundRect(px, py, width, 18, 3);
  c.fill();
  c.fillStyle = cssColor(ink);
  c.fillText(words, px + 5, py + 9.5);
  return true;
}

/** Spans of the timeline that hold at the cycle shown, as {kernel, step, region, start, end}. */
function workingSpans(run) {
  if (state.cycle === null) return [];
  const { spans, kernels } = run.timeline;
  return spans
    .filter(([, , , start, end]) => start <= state.cycle && state.cycle < end)
    .map(([kernel, step, region, start, end]) => ({ kernel: kernels[kernel], step, region, start, end }));
}

function paintWork(map, c) {
  for (const span of workingSpans(map.run)) {
    const color = kernelColor(span.kernel);
    const place = box(map, map.run.regions[span.region]);
    for (const [stroke, width] of [
      ["#fff", 5.5],
      [color, 3],
    ]) {
      c.strokeStyle = stroke;
      c.lineWidth = width;
      c.strokeRect(...place);
    }
    c.fillStyle = color;
    c.globalAlpha = 0.28;
    c.fillRect(...place);
    c.globalAlpha = 1;
    const move = map.run.routes.moves.find((one) => one.step === span.step);
    if (move) paintWay(map, c, move, color);
    c.font = LABEL_FONT;
    c.textBaseline = "middle";
    c.textAlign = "left";
    const texts = [`${map.run.timeline.steps[span.step]} · ${span.kernel}`, span.kernel];
    if (!outside(map, place)) label(map, c, place, texts, "ink", "surface", true);
  }
}

/** Some rows of a move, as they go. */
function paintWay(map, c, move, color) {
  const rows = move.ways.shape[0];
  const size = state.camera.size;
  const width = clamp(size * 0.3, 1.6, 4);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const way = corners(move, Math.round(share * (rows - 1)));
    const [first, span] = move.span;
    const [endX, endY] = way[way.length - 1];
    const far = endX - first > span / 2 ? first : first + span - 1;
    c.beginPath();
    [...way, [far, endY]].forEach(([x, y], i) => c[i ? "lineTo" : "moveTo"](map.left(x + 0.5), map.top(y + 0.5)));
    for (const [stroke, wide] of [
      ["#fff", width + 2.4],
      [color, width],
    ]) {
      c.strokeStyle = stroke;
      c.lineWidth = wide;
      c.stroke();
    }
    arrowHead(c, map.left(far + 0.5), map.top(endY + 0.5), Math.sign(far - endX) || 1, color);
  }
}

function arrowHead(c, x, y, way, color) {
  c.fillStyle = color;
  c.beginPath();
  c.moveTo(x + way * 3, y);
  c.lineTo(x - way * 6, y - 4.5);
  c.lineTo(x - way * 6, y + 4.5);
  c.fill();
}

function paintChosen(map, c, size) {
  if (!state.chosen) return;
  const [x, y] = [map.left(state.chosen.x), map.top(state.chosen.y)];
  const side = Math.max(size, 9);
  const [px, py] = [x + size / 2 - side / 2, y + size / 2 - side / 2];
  for (const [color, width] of [
    ["#fff", 4],
    ["#c2185b", 2],
  ]) {
    c.strokeStyle = color;
    c.lineWidth = width;
    c.strokeRect(px, py, side, side);
  }
}

/** The wafer in small, with what is in sight, once that is a small part. */
function paintOverview(map, c) {
  const { run } = map;
  const fit = Math.min(map.width / run.columns, map.height / run.rows);
  map.overview = null;
  if (state.camera.size < 1.8 * fit) return;
  const scale = Math.min(Math.min(92, 0.17 * map.width) / run.columns, 118 / run.rows);
  const [w, h] = [run.columns * scale, run.rows * scale];
  const [x, y] = [map.width - w - 10, 10];
  map.overview = { x, y, scale };
  c.fillStyle = cssColor("surface");
  c.fillRect(x - 4, y - 4, w + 8, h + 8);
  c.fillStyle = cssColor("idle");
  c.fillRect(x, y, w, h);
  const { canvas, side } = run.pyramid.level(scale);
  c.imageSmoothingEnabled = true;
  c.save();
  c.beginPath();
  c.rect(x, y, w, h);
  c.clip();
  c.drawImage(canvas, x, y, canvas.width * side * scale, canvas.height * side * scale);
  const first = {
    x: state.camera.x - map.width / 2 / state.camera.size,
    y: state.camera.y - map.height / 2 / state.camera.size,
  };
  const last = { x: first.x + map.width / state.camera.size, y: first.y + map.height / state.camera.size };
  const [left, top] = [clamp(first.x, 0, run.columns) * scale, clamp(first.y, 0, run.rows) * scale];
  const [right, bottom] = [clamp(last.x, 0, run.columns) * scale, clamp(last.y, 0, run.rows) * scale];
  c.restore();
  c.strokeStyle = "#c2185b";
  c.lineWidth = 1.5;
  c.strokeRect(x + left, y + top, Math.max(right - left, 3), Math.max(bottom - top, 3));
  c.strokeStyle = cssColor("edge");
  c.lineWidth = 1;
  c.strokeRect(x - 4.5, y - 4.5, w + 9, h + 9);
}
