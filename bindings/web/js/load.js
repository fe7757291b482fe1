// Fetches the WASM file that this machine can run, and models.
import init, * as wasm from './wasm/demeanor.js';

/** @typedef {import('./records.js').Source} Source */

/** A function with one relaxed instruction (f32x4.relaxed_madd): valid only where these are known. */
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0,
  10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2, 253, 133, 2, 11,
]);
/** A function with one instruction of simd128 (f32x4.add). */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 123, 123, 1, 123, 3, 2, 1, 0,
  10, 11, 1, 9, 0, 32, 0, 32, 1, 253, 228, 1, 11,
]);

/** Which of the two WASM files this machine runs. */
export function kind() {
  if (WebAssembly.validate(RELAXED)) return 'relaxed';
  if (WebAssembly.validate(SIMD)) return 'simd';
  throw new Error('this browser has no WebAssembly SIMD; use one of 2023 or later');
}

/** The built-in models, beside this file. */
export const MODELS = {
  face: new URL('./models/face-v2.1.safetensors', import.meta.url),
  speech: new URL('./models/speech-v2.safetensors', import.meta.url),
  detector: new URL('./models/blazeface-v1.1.safetensors', import.meta.url),
};

/**
 * The bytes of a file.
 * @param {Source} source
 * @returns {Promise<Uint8Array>}
 */
export async function bytes(source) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  const url = source instanceof URL ? source : new URL(source, globalThis.document?.baseURI ?? import.meta.url);
  if (url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises');
    return readFile(url);
  }
  let response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new Error(`cannot fetch ${url.pathname}; check the connection, then load again`, { cause });
  }
  if (!response.ok) throw new Error(`${url.pathname} answers ${response.status}; is the folder of the package complete?`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @type {Promise<typeof wasm> | undefined} */
let ready;

/**
 * The library, begun once.
 * @param {{ wasm?: Source, instructions?: 'simd' | 'relaxed' }} [options] another place of the WASM file, or a choice of it
 */
export function library(options = {}) {
  ready ??= bytes(options.wasm ?? new URL(`./wasm/${options.instructions ?? kind()}.wasm`, import.meta.url))
    .then((file) => init({ module_or_path: file }))
    .then(() => wasm)
    .catch((error) => {
      ready = undefined;
      throw error;
    });
  return ready;
}
