// Boxes and words over the picture.
import { COLOURS } from './colours.js';
import { percent } from './panel.js';

/**
 * Where a picture of a size lies in an element that it is fitted into.
 * @param {HTMLElement} element @param {number} width @param {number} height
 */
function fitted(element, width, height) {
  const scale = Math.min(element.clientWidth / width, element.clientHeight / height);
  return { scale, left: (element.clientWidth - scale * width) / 2, top: (element.clientHeight - scale * height) / 2 };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {(import('./demeanor/records.js').MaybeTold & { id?: number, region: import('./demeanor/records.js').Region })[]} faces
 * @param {number} width of the picture that the boxes are told in
 * @param {number} height
 * @param {boolean} mirrored
 */
export function boxes(canvas, faces, width, height, mirrored) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const scale = devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(canvas.clientWidth * scale)), Math.max(1, Math.round(canvas.clientHeight * scale))];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const words = faces.map((face) => (face.emotion ? `${face.emotion}${face.emotion === 'unsure' ? '' : ` ${percent(face.score ?? 0)}`}` : '…'));
  const label = faces.length === 0 ? 'No face' : faces.map((_, i) => `Face ${i + 1} reads as ${words[i]}`).join('; ');
  if (canvas.getAttribute('aria-label') !== label) canvas.setAttribute('aria-label', label);
  if (!width || !height) return;
  const { scale: zoom, left, top } = fitted(canvas, width, height);
  context.font = '600 15px system-ui, "DejaVu Sans", sans-serif';
  context.textBaseline = 'middle';
  faces.forEach((face, index) => {
    const { region } = face;
    const x = left + zoom * (mirrored ? width - region.x - region.width : region.x);
    const y = top + zoom * region.y;
    const colour = COLOURS[face.emotion ?? 'unsure'] ?? '#fff';
    context.strokeStyle = '#000a';
    context.lineWidth = 5;
    context.strokeRect(x, y, zoom * region.width, zoom * region.height);
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.strokeRect(x, y, zoom * region.width, zoom * region.height);
    const text = faces.length > 1 ? `${face.id ?? index + 1}: ${words[index]}` : (words[index] ?? '');
    const wide = context.measureText(text).width + 12;
    const at = Math.min(Math.max(x - 1, 0), canvas.clientWidth - wide);
    const above = y > 26 ? y - 26 : y + zoom * region.height + 2;
    context.fillStyle = colour;
    context.fillRect(at, above, wide, 24);
    context.fillStyle = '#10151a';
    context.fillText(text, at + 6, above + 12.5);
  });
}
