// What was read, as rows: a row for each face, the voice and both, at most ten times a second.
import { EMOTIONS } from './colours.js';

/** The most rows that are kept: the newest, about an hour of one face and voice. */
const MOST = 100_000;
const EVERY_S = 0.1;

export class Rows {
  /** @type {string[]} */
  #rows = [];
  #first = 0;
  #last = -Infinity;

  get length() {
    return this.#rows.length;
  }

  clear() {
    this.#rows = [];
    this.#first = 0;
    this.#last = -Infinity;
  }

  /** @param {number} time_s @param {string} what @param {number | ''} id @param {import('./demeanor/records.js').MaybeTold | null | undefined} told */
  add(time_s, what, id, told) {
    if (!told?.scores) return;
    const scores = EMOTIONS.map((name) => told.scores?.[/** @type {import('./colours.js').Emotion} */ (name)]?.toFixed(4) ?? '');
    const row = [time_s.toFixed(3), what, id, told.emotion, told.score?.toFixed(4), ...scores].join();
    if (this.#rows.length < MOST) this.#rows.push(row);
    else this.#rows[this.#first++ % MOST] = row;
  }

  /** @param {import('./demeanor/records.js').EstimateRecord} record */
  estimate(record) {
    if (record.time_s - this.#last < EVERY_S) return;
    this.#last = record.time_s;
    for (const face of record.faces) this.add(record.time_s, 'face', face.id, face);
    this.add(record.time_s, 'voice', '', record.voice);
    this.add(record.time_s, 'both', '', record.fused);
  }

  text() {
    const start = this.#first % MOST;
    const rows = [...this.#rows.slice(start), ...this.#rows.slice(0, start)];
    return `time_s,what,face_id,emotion,score,${EMOTIONS.join()}\n${rows.join('\n')}\n`;
  }
}
