// The other side of encode.py: base64, inflate, bytes back to numbers, running sums along both axes.

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function summed(planes, rows, columns) {
  const count = rows * columns;
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = planes[i] | (planes[i + count] << 8) | (planes[i + 2 * count] << 16) | (planes[i + 3 * count] << 24);
  }
  for (let y = 0; y < rows; y++) {
    for (let x = 0, left = 0, i = y * columns; x < columns; x++, i++) {
      left = (left + values[i]) | 0;
      values[i] = y ? (left + values[i - columns]) | 0 : left;
    }
  }
  return values;
}

/** An array of whole numbers, row by row: Int32Array, or Float64Array where that is too small. */
async function decodeArray(found) {
  const [rows, columns] = found.shape;
  const low = summed(await inflate(found.data), rows, columns);
  if (!found.high) return low;
  const high = summed(await inflate(found.high), rows, columns);
  return Float64Array.from(low, (value, i) => value + high[i] * 2 ** 30);
}
