// A colour and a place for each emotion, the same everywhere on the page. Words always stand beside colours.
/** @typedef {import('./demeanor/records.js').Emotion} Emotion */

/** @type {Record<string, string>} */
export const COLOURS = {
  angry: '#d1495b', disgust: '#8a9a2e', fear: '#8e6bbf', happy: '#e0a100', sad: '#3f7fc4', surprise: '#e07b39', neutral: '#7b8794',
  calm: '#3aa394', contempt: '#a3704f', unsure: '#b4bcc6',
};

/** The emotions, in the order of the library. */
export const EMOTIONS = Object.keys(COLOURS).filter((name) => name !== 'unsure');
