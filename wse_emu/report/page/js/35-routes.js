// What the router of one PE does, color by color. Ports are bits: E 1, W 2, N 4, S 8, ramp 16.

const PORT_BITS = [
  [1, "E"],
  [2, "W"],
  [4, "N"],
  [8, "S"],
  [16, "ramp"],
];
const portNames = (bits) =>
  PORT_BITS.filter(([bit]) => bits & bit)
    .map(([, name]) => name)
    .join("+") || "none";
const OPPOSITE = { 1: 2, 2: 1, 4: 8, 8: 4 };

/** The ports at `place` of runs [ports, length]. */
function portsAt(runs, place) {
  for (const [ports, length] of runs) {
    if (place < length) return ports;
    place -= length;
  }
  return 0;
}

/** Routes that pass the PE: [{color, name, kernels, inputs, outputs}], by color. */
function routesAt(run, x, y) {
  const here = run.regionAt(x, y);
  const found = [];
  for (const line of run.routes.lines) {
    if (line.region !== here) continue;
    const region = run.regions[here];
    const ports = portsAt(line.ports, line.axis === "y" ? y - region.y : x - region.x);
    if (ports) found.push({ ...line, inputs: ports >> 5, outputs: ports & 31 });
  }
  for (const move of run.routes.moves) found.push(...moveRoutes(run, move, x, y));
  return found.sort((a, b) => (a.color ?? 99) - (b.color ?? 99) || a.channel - b.channel);
}

function moveRoutes(run, move, x, y) {
  const byChannel = new Map();
  const [rows] = move.ways.shape;
  const targets = move.targets.map((number) => run.regions[number]);
  for (let row = 0; row < rows; row++) {
    const [inputs, outputs] = moveRow(move, row, targets, x, y);
    if (!(inputs | outputs)) continue;
    const held = byChannel.get(move.channel[row]) ?? [0, 0];
    byChannel.set(move.channel[row], [held[0] | inputs, held[1] | outputs]);
  }
  const name = `move ${run.regions[move.source].name} → ${targets.map((target) => target.name).join(", ")}`;
  return [...byChannel].map(([channel, [inputs, outputs]]) => ({
    name,
    kernels: ["move"],
    channel,
    color: move.colors[channel],
    inputs,
    outputs,
  }));
}

/** Corners of one row's way: [[x, y], …]. */
function corners(move, row) {
  const columns = move.ways.shape[1];
  const part = move.way.subarray(row * columns, (row + 1) * columns);
  return Array.from({ length: columns / 2 }, (_, i) => [part[2 * i], part[2 * i + 1]]);
}

/** Ports [inputs, outputs] that the way of one row takes at (x, y). */
function moveRow(move, row, targets, x, y) {
  const way = corners(move, row);
  const [endX, endY] = way[way.length - 1];
  const [first, width] = move.span;
  const taken = targets.some((target) => x >= target.x && x < target.x + target.width);
  let inputs = x === way[0][0] && y === way[0][1] ? 16 : 0;
  let outputs = y === endY && taken ? 16 : 0;
  const legs = way.slice(1).map((corner, i) => [way[i], corner]);
  legs.push(
    [
      [endX, endY],
      [first + width - 1, endY],
    ],
    [
      [endX, endY],
      [first, endY],
    ],
  );
  for (const [[ax, ay], [bx, by]] of legs) {
    const [dx, dy] = [Math.sign(bx - ax), Math.sign(by - ay)];
    if (!(dx || dy)) continue;
    const along = dx ? (x - ax) * dx : (y - ay) * dy;
    const length = dx ? (bx - ax) * dx : (by - ay) * dy;
    if ((dx ? y !== ay : x !== ax) || along < 0 || along > length) continue;
    const port = dx > 0 ? 1 : dx < 0 ? 2 : dy < 0 ? 4 : 8;
    if (along < length) outputs |= port;
    if (along > 0) inputs |= OPPOSITE[port];
  }
  return [inputs, outputs];
}
