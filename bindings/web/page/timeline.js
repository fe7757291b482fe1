// The last minute: a row of bands for the face, the voice and both.
import { COLOURS } from './colours.js';

const SPAN_S = 60;
const STEP_S = 0.25;
const ROWS = ['both', 'face', 'voice'];

export class Timeline {
  /** @type {Map<number, Record<string, string | null>>} quarters of a second to what was read */
  #steps = new Map();
  #now = 0;
  #drawn = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  clear() {
    this.#steps.clear();
    this.#now = 0;
    this.draw();
  }

  /** @param {number} time_s @param {Record<string, string | null | undefined>} read what was read, by row */
  add(time_s, read) {
    const step = Math.floor(time_s / STEP_S);
    const entry = this.#steps.get(step) ?? {};
    for (const [row, word] of Object.entries(read)) if (word !== undefined) entry[row] = word;
    this.#steps.set(step, entry);
    this.#now = Math.max(this.#now, time_s);
    for (const old of this.#steps.keys()) {
      if (old >= (this.#now - SPAN_S) / STEP_S) break;
      this.#steps.delete(old);
    }
    const at = performance.now();
    if (at - this.#drawn > 200) this.draw(at);
  }

  /** The words of a row that follow each other, with their steps. @param {string} row */
  spans(row) {
    /** @type {{ word: string, from: number, until: number }[]} */
    const spans = [];
    for (const [step, entry] of [...this.#steps].sort((a, b) => a[0] - b[0])) {
      const word = entry[row];
      if (!word) continue;
      const last = spans.at(-1);
      if (last && last.word === word && step - last.until <= 2) last.until = step + 1;
      else spans.push({ word, from: step, until: step + 1 });
    }
    return spans;
  }

  draw(at = performance.now()) {
    this.#drawn = at;
    const { canvas, context } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio || 1;
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const style = getComputedStyle(document.body);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `13px ${style.fontFamily}`;
    context.textBaseline = 'middle';
    const left = 52;
    const right = 12;
    const from = Math.max(0, this.#now - SPAN_S);
    const x = (/** @type {number} */ s) => left + ((s - from) / SPAN_S) * (width - left - right);
    const each = (height - 26) / ROWS.length;
    /** @type {string[]} */
    const said = [];
    ROWS.forEach((row, index) => {
      const top = 5 + index * each;
      context.fillStyle = style.color;
      context.fillText(row, 10, top + each / 2);
      const spans = this.spans(row);
      for (const { word, from: begin, until } of spans) {
        const [a, b] = [x(Math.max(begin * STEP_S, from)), Math.min(x(until * STEP_S), width - right)];
        if (b <= a) continue;
        context.fillStyle = COLOURS[word] ?? '#888';
        context.fillRect(a, top + 2, b - a, each - 4);
        if (b - a > context.measureText(word).width + 10) {
          context.fillStyle = '#10151a';
          context.fillText(word, a + 5, top + each / 2);
        }
      }
      const last = spans.at(-1);
      if (last) said.push(`${row}: ${spans.slice(-4).map((s) => `${s.word} for ${Math.round((s.until - s.from) * STEP_S)} s`).join(', ')}`);
    });
    context.fillStyle = style.color;
    context.textAlign = 'center';
    for (let s = Math.ceil(from / 10) * 10; s <= from + SPAN_S; s += 10) context.fillText(`${s} s`, Math.min(Math.max(x(s), left), width - 18), height - 10);
    context.textAlign = 'left';
    canvas.setAttribute('aria-label', said.length ? `Last readings, ${said.join('; ')}` : 'Nothing was read yet');
  }
}
