// The bars of one sense.
import { COLOURS, EMOTIONS } from './colours.js';

/** @typedef {import('./demeanor/records.js').MaybeTold} MaybeTold */

/** Makes the bars in an element; returns what shows scores there. @param {HTMLElement} element @param {string} nothing what to say where nothing was read */
export function panel(element, nothing) {
  const reading = document.createElement('p');
  reading.className = 'reading';
  const table = document.createElement('table');
  const note = document.createElement('p');
  note.className = 'note';
  const rows = new Map(EMOTIONS.map((name) => {
    const row = table.insertRow();
    const head = document.createElement('th');
    head.scope = 'row';
    head.textContent = name;
    row.append(head);
    const bar = document.createElement('div');
    bar.className = 'bar';
    const fill = document.createElement('i');
    fill.style.background = COLOURS[name] ?? '';
    bar.append(fill);
    row.insertCell().append(bar);
    const number = row.insertCell();
    return [name, { row, fill, number }];
  }));
  element.append(reading, table, note);

  /** @param {MaybeTold | null | undefined} told @param {string} [remark] */
  return (told, remark = '') => {
    note.textContent = remark;
    table.hidden = !told?.scores;
    if (!told?.scores) {
      reading.textContent = nothing;
      return;
    }
    const word = document.createElement('b');
    word.textContent = told.emotion ?? '';
    const rest = told.emotion === 'unsure' ? ' (no score is high enough)' : ` ${percent(told.score ?? 0)}`;
    reading.replaceChildren(told.emotion === 'unsure' ? 'reads as ' : 'reads as ', word, rest);
    for (const [name, { row, fill, number }] of rows) {
      const score = told.scores[/** @type {import('./colours.js').Emotion} */ (name)];
      row.hidden = score === undefined;
      row.classList.toggle('top', name === told.emotion);
      fill.style.transform = `scaleX(${score ?? 0})`;
      number.textContent = percent(score ?? 0);
    }
  };
}

/** @param {number} score */
export const percent = (score) => `${Math.round(100 * score)} %`;
