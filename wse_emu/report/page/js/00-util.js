// Small helpers: elements, numbers, colors of the theme.

const WAYS = ["E", "W", "N", "S"];
const WAY_NAMES = { E: "east", W: "west", N: "north", S: "south" };
const STEPS = { E: [1, 0], W: [-1, 0], N: [0, -1], S: [0, 1] };

const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** An element: `el("td", {class: "n"}, "3")`. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== null && value !== false)
      made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

/** A number as a reader wants it: whole above 100, else with a digit behind the point where it has one. */
const number = (value) => (Math.abs(value) >= 100 || Number.isInteger(value) ? whole : tenth).format(value);
const percent = (share) => {
  if (share === 0) return "0%";
  return `${share < 0.0005 ? (100 * share).toPrecision(2) : (100 * share).toFixed(share >= 0.0995 ? 1 : 2)}%`;
};

/** A short number for axes and squares: 12.3 k, 4.5 M. */
function compact(value, unit = "") {
  const sizes = [
    [1e18, "E"],
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const [size, letter] = sizes.find(([least]) => Math.abs(value) >= least * 0.99995) ?? [1, ""];
  const scaled = value / size;
  const text = Number.isInteger(scaled) ? String(scaled) : String(Number(scaled.toPrecision(3)));
  return letter || unit ? `${text}\u202f${letter}${unit}` : text;
}

const levelChip = (name) => el("span", { class: "level" }, name);

const themeColors = new Map();

/** A color of the theme, from page.css. */
function cssColor(name) {
  if (!themeColors.has(name)) {
    themeColors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return themeColors.get(name);
}

/** Run `draw` once before the next frame, however often it is asked for. */
function batched(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Make the canvas as sharp as the screen; returns its context in CSS pixels. */
function sharpen(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
