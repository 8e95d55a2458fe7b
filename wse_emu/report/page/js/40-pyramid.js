// The wafer as pictures of one pixel a PE, one pixel for 2 × 2, for 4 × 4, … : the largest value of each square.

class Pyramid {
  constructor(values, columns, rows) {
    this.levels = [{ values, columns, rows }];
    while (Math.max(columns, rows) > 64) {
      const next = halved(values, columns, rows);
      ({ values, columns, rows } = next);
      this.levels.push(next);
    }
  }

  /** Paint all levels in the colors of `scale`. */
  paint(scale) {
    for (const level of this.levels) {
      level.canvas ??= Object.assign(document.createElement("canvas"), { width: level.columns, height: level.rows });
      const context = level.canvas.getContext("2d");
      const image = context.createImageData(level.columns, level.rows);
      const pixels = image.data;
      for (let i = 0; i < level.values.length; i++) {
        const value = level.values[i];
        if (Number.isNaN(value)) continue;
        const color = 3 * scale.index(value);
        pixels[4 * i] = PE_RAMP[color];
        pixels[4 * i + 1] = PE_RAMP[color + 1];
        pixels[4 * i + 2] = PE_RAMP[color + 2];
        pixels[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    }
  }

  /** The picture for squares of `size` screen pixels a PE, and how many PEs a side one of its pixels stands for. */
  level(size) {
    const index = clamp(Math.floor(-Math.log2(Math.max(size, 1e-6))), 0, this.levels.length - 1);
    return { canvas: this.levels[index].canvas, side: 2 ** index };
  }
}

function halved(values, columns, rows) {
  const [w, h] = [Math.ceil(columns / 2), Math.ceil(rows / 2)];
  const found = new Float32Array(w * h).fill(NaN);
  for (let y = 0; y < rows; y++) {
    const row = (y >> 1) * w;
    for (let x = 0, i = y * columns; x < columns; x++, i++) {
      const at = row + (x >> 1);
      if (!(values[i] <= found[at]) && !Number.isNaN(values[i])) found[at] = values[i];
    }
  }
  return { values: found, columns: w, rows: h };
}
