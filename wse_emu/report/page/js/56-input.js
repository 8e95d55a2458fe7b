// Moving about: mouse, wheel, fingers and keys; all maps move together.

function zoomBy(factor, map, px = map.width / 2, py = map.height / 2) {
  const { camera } = state;
  const size = clamp(camera.size * factor, smallest(map), LARGEST);
  camera.x += (px - map.width / 2) * (1 / camera.size - 1 / size);
  camera.y += (py - map.height / 2) * (1 / camera.size - 1 / size);
  camera.size = size;
  keepInSight(map);
  tell("view");
}

const smallest = (map) => 0.5 * Math.min(map.width / map.run.columns, map.height / map.run.rows);

function panBy(dx, dy, map) {
  state.camera.x -= dx / state.camera.size;
  state.camera.y -= dy / state.camera.size;
  keepInSight(map);
  tell("view");
}

function keepInSight(map) {
  state.camera.x = clamp(state.camera.x, 0, map.run.columns);
  state.camera.y = clamp(state.camera.y, 0, map.run.rows);
}

/** Show a rectangle of PEs, with a little room around it. */
function fit({ x, y, width, height }, map, room = 0.94) {
  const size = clamp(room * Math.min(map.width / width, map.height / height), smallest(map), LARGEST);
  Object.assign(state.camera, { x: x + width / 2, y: y + height / 2, size });
  tell("view");
}

const fitWafer = (map) => fit({ x: 0, y: 0, width: map.run.columns, height: map.run.rows }, map);
const fitUsed = (map) => fit(map.run.used, map, 0.9);
const fitChosen = (map) =>
  state.chosen && fit({ x: state.chosen.x - 2, y: state.chosen.y - 2, width: 5, height: 5 }, map);

function listen(map, maps) {
  const { canvas } = map;
  const fingers = new Map();
  let moved = 0;
  let spread = 0;
  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    if (fingers.size === 1) moved = 0;
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event);
    state.hovered = { ...map.at(px, py), run: map.run };
    tell("hovered");
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, [px, py]);
    moved += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    if (fingers.size === 1) panBy(px - before[0], py - before[1], map);
    else spread = pinch([...fingers.values()], spread, map);
  });
  const release = (event) => {
    const held = fingers.delete(event.pointerId);
    if (event.type === "pointerup" && held && !fingers.size && moved < 5) {
      const at = place(event);
      const { x, y } = map.overviewAt(...at) ?? map.at(...at);
      if (map.overviewAt(...at)) {
        Object.assign(state.camera, { x, y });
        tell("view");
      } else choose(x, y);
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => {
    state.hovered = null;
    tell("hovered");
  });
  canvas.addEventListener("dblclick", (event) => zoomBy(2.5, map, ...place(event)));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 24 : 1;
      zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0022)), map, ...place(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (key(event, map)) event.preventDefault();
  });
  canvas.addEventListener("focus", () => {
    maps.current = map;
  });
}

/** Two fingers: zoom by how far they part, about the middle between them; returns their distance. */
function pinch([[ax, ay], [bx, by]], before, map) {
  const apart = Math.hypot(ax - bx, ay - by);
  if (before) zoomBy(apart / before, map, (ax + bx) / 2, (ay + by) / 2);
  return apart;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What a key does; true if anything. */
function key(event, map) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) return step(arrow, map);
  if (arrow) {
    panBy(-arrow[0] * map.width * 0.12, -arrow[1] * map.height * 0.12, map);
    return true;
  }
  const { x, y } = map.at(map.width / 2, map.height / 2);
  const deeds = {
    "+": () => zoomBy(1.5, map),
    "=": () => zoomBy(1.5, map),
    "-": () => zoomBy(1 / 1.5, map),
    0: () => fitWafer(map),
    1: () => fitUsed(map),
    2: () => fitChosen(map),
    Enter: () => choose(x, y),
    " ": () => choose(x, y),
  };
  deeds[event.key]?.();
  return event.key in deeds;
}

/** Choose the neighbor, and keep it in sight. */
function step([dx, dy], map) {
  const from = state.chosen ?? map.at(map.width / 2, map.height / 2);
  choose(from.x + dx, from.y + dy);
  const [px, py, size] = [map.left(state.chosen.x), map.top(state.chosen.y), state.camera.size];
  if (px < 0 || py < 0 || px + size > map.width || py + size > map.height) {
    Object.assign(state.camera, { x: state.chosen.x + 0.5, y: state.chosen.y + 0.5 });
    tell("view");
  }
  return true;
}
