// Pixels of whatever a browser has a picture in.
/** @typedef {import('./records.js').Picture} Picture */
/** @typedef {import('./records.js').Pixels} Pixels */

/** @type {OffscreenCanvas | HTMLCanvasElement | undefined} */
let canvas;
/** @type {OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D | null} */
let context = null;

/**
 * Width and height of a picture, in pixels.
 * @param {any} picture
 * @returns {[number, number]}
 */
export function size(picture) {
  return [
    picture.displayWidth ?? picture.videoWidth ?? picture.naturalWidth ?? picture.width,
    picture.displayHeight ?? picture.videoHeight ?? picture.naturalHeight ?? picture.height,
  ];
}

/**
 * The pixels of a picture.
 * @param {Picture} picture
 * @returns {Pixels}
 */
export function pixels(picture) {
  if ('data' in picture && ArrayBuffer.isView(picture.data)) return /** @type {Pixels} */ (picture);
  const [width, height] = size(picture);
  if (!width || !height) throw new Error('the picture has no pixels yet; wait until it is loaded or plays');
  if (!canvas || !context) {
    if (typeof OffscreenCanvas === 'undefined' && typeof document === 'undefined') {
      throw new Error('there is no canvas here to take pixels from a picture with; give {data, width, height}');
    }
    canvas = typeof OffscreenCanvas === 'undefined' ? document.createElement('canvas') : new OffscreenCanvas(width, height);
    context = /** @type {OffscreenCanvasRenderingContext2D | null} */ (canvas.getContext('2d', { willReadFrequently: true }));
    if (!context) throw new Error('the browser gave no canvas; close other tabs and load again');
  }
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.clearRect(0, 0, width, height);
  context.drawImage(/** @type {CanvasImageSource} */ (picture), 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
