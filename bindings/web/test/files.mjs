// Pixels of a PNG and samples of a WAV file, for tests: 8 bits RGB or RGBA without interlacing; 16 bits PCM.
import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { join } from 'node:path';

export const testdata = join(import.meta.dirname, '../../../testdata');

/** @param {string} path */
export function png(path) {
  const file = readFileSync(path);
  const [width, height, depth, colour, , , interlaced] = [file.readUInt32BE(16), file.readUInt32BE(20), ...file.subarray(24, 29)];
  const bytes = { 2: 3, 6: 4 }[colour];
  if (depth !== 8 || !bytes || interlaced) throw new Error(`${path} is a kind of PNG that the tests do not read`);
  const parts = [];
  for (let at = 8; at < file.length;) {
    const length = file.readUInt32BE(at);
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(file.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(parts));
  const stride = width * bytes;
  const data = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const a = i >= bytes ? data[y * stride + i - bytes] : 0;
      const b = y > 0 ? data[(y - 1) * stride + i] : 0;
      const c = i >= bytes && y > 0 ? data[(y - 1) * stride + i - bytes] : 0;
      const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      const guess = [0, a, b, (a + b) >> 1, pa <= pb && pa <= pc ? a : pb <= pc ? b : c][filter];
      data[y * stride + i] = raw[y * (stride + 1) + 1 + i] + guess;
    }
  }
  return { data, width, height };
}

/** @param {string} path */
export function wav(path) {
  const file = readFileSync(path);
  let [channels, rate] = [0, 0];
  for (let at = 12; at < file.length;) {
    const [name, length] = [file.toString('latin1', at, at + 4), file.readUInt32LE(at + 4)];
    if (name === 'fmt ') {
      if (file.readUInt16LE(at + 22) !== 16) throw new Error(`${path} is a kind of WAV file that the tests do not read`);
      [channels, rate] = [file.readUInt16LE(at + 10), file.readUInt32LE(at + 12)];
    }
    if (name === 'data') {
      const samples = new Float32Array(length / 2);
      for (let i = 0; i < samples.length; i++) samples[i] = file.readInt16LE(at + 8 + 2 * i) / 32768;
      return { samples, channels, rate };
    }
    at += 8 + length + (length % 2);
  }
  throw new Error(`${path} has no sound`);
}
