// A map of one run's wafer on a canvas: pictures of the pyramid while a PE is small, squares and links once it is large.

const LINKS_FROM = 18; // CSS pixels a PE from which links are drawn
const ARROWS_FROM = 30;
const VALUES_FROM = 58;
const PLACES_FROM = 84;
const WAVELETS_FROM = 116;
const BINS = 32;

class WaferMap {
  constructor(run) {
    this.run = run;
    this.canvas = el("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": `Map of the wafer${run.tag ? `, run ${run.tag}` : ""}: ${run.columns} × ${run.rows} PEs`,
    });
    this.caption = el("div", { class: "caption" });
    this.element = el("div", { class: "map" }, this.canvas, this.caption);
    if (run.tag) this.caption.append(el("span", { class: `tag ${run.tag.toLowerCase()}` }, run.tag), runTitle(run));
    else this.caption.hidden = true;
    this.draw = batched(() => this.paint());
    new ResizeObserver(() => {
      this.resize();
      this.paint();
    }).observe(this.element);
    on("view", this.draw);
  }

  resize() {
    [this.width, this.height] = [this.element.clientWidth, this.element.clientHeight];
    this.context = sharpen(this.canvas, this.width, this.height);
    if (!this.placed && this.width) {
      this.placed = true;
      this.onplaced?.();
    }
  }

  /** CSS pixels of the left or upper side of a column or row. */
  left(x) {
    return this.width / 2 + (x - state.camera.x) * state.camera.size;
  }
  top(y) {
    return this.height / 2 + (y - state.camera.y) * state.camera.size;
  }

  /** The PE under a place of the canvas. */
  at(px, py) {
    const { x, y, size } = state.camera;
    return { x: Math.floor(x + (px - this.width / 2) / size), y: Math.floor(y + (py - this.height / 2) / size) };
  }

  /** The PE under a place of the overview; null beside it, or where there is none. */
  overviewAt(px, py) {
    if (!this.overview) return null;
    const { x, y, scale } = this.overview;
    const at = { x: (px - x) / scale, y: (py - y) / scale };
    return this.run.inside(at.x, at.y) ? at : null;
  }

  /** Columns and rows in sight: first and beyond the last. */
  get sight() {
    const first = this.at(0, 0);
    const last = this.at(this.width, this.height);
    const { columns, rows } = this.run;
    return [
      clamp(first.x, 0, columns),
      clamp(first.y, 0, rows),
      clamp(last.x + 1, 0, columns),
      clamp(last.y + 1, 0, rows),
    ];
  }

  paint() {
    if (!this.width || !state.scale) return;
    const { context: c } = this;
    const size = state.camera.size;
    c.clearRect(0, 0, this.width, this.height);
    const large = size >= LINKS_FROM;
    this.paintWafer(c, large);
    if (large) {
      paintLinks(this, c, size);
      paintSquares(this, c, size);
    }
    paintOutlines(this, c);
    paintWork(this, c);
    paintChosen(this, c, size);
    paintOverview(this, c);
    tell("painted");
  }

  paintWafer(c, large) {
    const [x, y, size] = [this.left(0), this.top(0), state.camera.size];
    const [w, h] = [this.run.columns * size, this.run.rows * size];
    c.fillStyle = cssColor("idle");
    c.fillRect(x, y, w, h);
    if (!large) {
      const ratio = window.devicePixelRatio || 1;
      const { canvas, side } = this.run.pyramid.level(size * ratio);
      c.imageSmoothingEnabled = size * ratio < 1;
      c.save();
      c.beginPath();
      c.rect(x, y, w, h);
      c.clip();
      c.drawImage(canvas, x, y, canvas.width * side * size, canvas.height * side * size);
      c.restore();
      this.paintSeams(c, x, y, w, h, size);
      this.paintDead(c, size);
    }
    c.strokeStyle = cssColor("edge");
    c.lineWidth = 1;
    c.strokeRect(x - 0.5, y - 0.5, w + 1, h + 1);
  }

  /** Seams between dies, thin. */
  paintSeams(c, x, y, w, h, size) {
    c.strokeStyle = cssColor("edge");
    c.globalAlpha = 0.55;
    c.lineWidth = 1;
    c.setLineDash([3, 3]);
    c.beginPath();
    for (const row of this.run.wafer.row_seams) {
      c.moveTo(x, y + row * size);
      c.lineTo(x + w, y + row * size);
    }
    for (const column of this.run.wafer.column_seams) {
      c.moveTo(x + column * size, y);
      c.lineTo(x + column * size, y + h);
    }
    c.stroke();
    c.setLineDash([]);
    c.globalAlpha = 1;
  }

  paintDead(c, size) {
    c.fillStyle = cssColor("ink");
    for (const [x, y] of this.run.dead) c.fillRect(this.left(x), this.top(y), Math.max(size, 1.5), Math.max(size, 1.5));
  }
}

const runTitle = (run) => `${run.report.model} on ${run.report.wafer.name}, ${run.report.mapping}`;
