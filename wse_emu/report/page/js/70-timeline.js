// One token along its cycles: a lane for each kernel, layers above, the cycle shown as a line through all.

const LANE_HEIGHT = 17;
const STEPS_HEIGHT = 20;
const AXIS_HEIGHT = 20;

/** Cycles in sight, shared by all runs. */
const span = { from: 0, to: 1 };

class Timeline {
  constructor(run) {
    this.run = run;
    this.canvas = el("canvas", {
      role: "img",
      "aria-label": `Kernels of a token over ${whole.format(run.timeline.cycles)} cycles`,
    });
    this.height = STEPS_HEIGHT + run.timeline.kernels.length * LANE_HEIGHT + AXIS_HEIGHT;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.style.width = "100%";
    this.groups = stepGroups(run.timeline);
    this.draw = batched(() => this.paint());
    new ResizeObserver(this.draw).observe(this.canvas);
    for (const event of ["cycle", "span", "theme"]) on(event, this.draw);
    this.listen();
  }

  get left() {
    return this.width < 560 ? 88 : 100;
  }
  x(cycle) {
    return this.left + ((cycle - span.from) / (span.to - span.from)) * (this.width - this.left - 8);
  }
  cycle(x) {
    return span.from + ((x - this.left) / (this.width - this.left - 8)) * (span.to - span.from);
  }

  paint() {
    this.width = this.canvas.clientWidth;
    if (!this.width) return;
    const c = sharpen(this.canvas, this.width, this.height);
    c.clearRect(0, 0, this.width, this.height);
    c.font = "12px system-ui, sans-serif";
    c.textBaseline = "middle";
    this.paintAxis(c);
    this.paintNames(c);
    c.save();
    c.beginPath();
    c.rect(this.left, 0, this.width - this.left, this.height);
    c.clip();
    this.paintSteps(c);
    this.paintSpans(c);
    this.paintCursor(c);
    c.restore();
  }

  lane(kernel) {
    return STEPS_HEIGHT + kernel * LANE_HEIGHT;
  }

  paintNames(c) {
    c.textAlign = "left";
    c.fillStyle = cssColor("muted");
    const words = this.run.tag ? `run ${this.run.tag}` : "step";
    c.fillText(words, 0, STEPS_HEIGHT / 2 - 2);
    this.run.timeline.kernels.forEach((kernel, i) => {
      const y = this.lane(i);
      c.fillStyle = kernelColor(kernel);
      c.fillRect(0, y + 4, 8, 8);
      c.fillStyle = cssColor("ink");
      c.fillText(kernel, 13, y + 8.5);
    });
  }

  paintAxis(c) {
    const bottom = this.height - AXIS_HEIGHT;
    const step = niceStep((span.to - span.from) / Math.max(2, (this.width - this.left) / 110));
    c.textAlign = "center";
    c.lineWidth = 1;
    for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) {
      const x = Math.round(this.x(at)) + 0.5;
      c.strokeStyle = cssColor("line");
      c.beginPath();
      c.moveTo(x, STEPS_HEIGHT);
      c.lineTo(x, bottom + 4);
      c.stroke();
      c.fillStyle = cssColor("muted");
      const words = at ? compact(at) : "0 cycles";
      const half = c.measureText(words).width / 2;
      c.fillText(words, clamp(x, this.left + half - (at ? 0 : half), this.width - half), bottom + 12);
    }
  }

  paintSteps(c) {
    c.textAlign = "center";
    this.groups.forEach(([name, from, to], i) => {
      const [x, end] = [this.x(from), this.x(to)];
      if (end < this.left || x > this.width) return;
      c.fillStyle = cssColor(i % 2 ? "soft" : "line");
      c.fillRect(x, 0, Math.max(end - x, 0.5), STEPS_HEIGHT - 3);
      const [first, last] = [Math.max(x, this.left), Math.min(end, this.width)];
      const text = [name, shortName(name), name.replace(/\D+/g, "")].find(
        (one) => one && c.measureText(one).width + 4 < last - first,
      );
      if (!text) return;
      c.fillStyle = cssColor("ink");
      c.fillText(text, (first + last) / 2, STEPS_HEIGHT / 2 - 1);
    });
  }

  paintSpans(c) {
    const bottom = this.height - AXIS_HEIGHT;
    this.run.timeline.kernels.forEach((name, kernel) => {
      c.fillStyle = cssColor("soft");
      c.fillRect(this.left, this.lane(kernel) + LANE_HEIGHT - 1, this.width, 1);
      c.fillStyle = kernelColor(name);
      for (const [own, , , start, end] of this.run.timeline.spans) {
        if (own !== kernel) continue;
        const x = this.x(start);
        c.fillRect(x, this.lane(kernel) + 2, Math.max(this.x(end) - x, 0.7), LANE_HEIGHT - 5);
      }
    });
    c.fillStyle = cssColor("edge");
    c.fillRect(this.left, bottom, this.width, 1);
  }

  paintCursor(c) {
    if (state.cycle === null) return;
    const x = this.x(state.cycle);
    c.fillStyle = "#c2185b";
    c.fillRect(x - 0.75, 0, 1.5, this.height - AXIS_HEIGHT + 4);
  }

  listen() {
    let held = false;
    const scrub = (event) => {
      const x = event.clientX - this.canvas.getBoundingClientRect().left;
      scrubTo(this.cycle(Math.max(x, this.left)));
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      held = true;
      this.canvas.setPointerCapture(event.pointerId);
      scrub(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (held) scrub(event);
    });
    for (const name of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(name, () => {
        held = false;
      });
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.shiftKey) return; // else the page could not be scrolled over it
        event.preventDefault();
        zoomSpan(Math.exp((event.deltaY || event.deltaX) * 0.002), this.cycle(event.offsetX));
      },
      { passive: false },
    );
  }
}

/** Steps of one name that follow each other, as [name, from, to]; moves and angles stand between them. */
function stepGroups({ spans, steps }) {
  const found = [];
  for (const [, step, , start, end] of [...spans].sort((a, b) => a[3] - b[3])) {
    const name = steps[step];
    if (name.startsWith("to ") || name === "rope angles") continue;
    const last = found[found.length - 1];
    if (last && last[0] === name) last[2] = Math.max(last[2], end);
    else found.push([name, start, end]);
  }
  return found;
}

function niceStep(least) {
  const size = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((times) => times * size).find((step) => step >= least);
}
