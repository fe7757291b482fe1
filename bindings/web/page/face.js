// The worker that reads faces: pictures, and frames in time. It takes the voice from the other worker and fuses both.
import { FaceReader, instructions } from './demeanor/index.js';
import { pixels } from './demeanor/pixels.js';

/** @type {FaceReader} */
let reader;
/** @type {import('./demeanor/index.js').Pipeline} */
let pipeline;
/** @type {string | undefined} */
let voice;

const post = (/** @type {any} */ message) => postMessage(message);

const begin = () => {
  pipeline?.free();
  pipeline = reader.pipeline();
  voice = undefined;
};

/** Messages are worked on one after the other, also those that wait for something. */
let before = Promise.resolve();
onmessage = ({ data }) => {
  const arrived = performance.now();
  before = before.then(() => work(data, arrived)).catch((error) => post({ type: 'error', of: data.type, message: error.message }));
};

/** @param {any} data @param {number} arrived */
async function work(data, arrived) {
  if (data.type === 'load') {
    reader = await FaceReader.load();
    begin();
    post({ type: 'ready', model: reader.model, instructions: await instructions() });
  } else if (data.type === 'begin') {
    begin();
  } else if (data.type === 'voice') {
    /** @type {MessagePort} */
    const port = data.port;
    port.onmessage = (message) => {
      voice = message.data;
    };
  } else if (data.type === 'rest') {
    pipeline.rest(data.from, data.until);
  } else if (data.type === 'frame') {
    const image = pixels(data.bitmap);
    data.bitmap.close();
    if (voice !== undefined) pipeline.takeVoice(voice);
    pipeline.see(image, data.time);
    const record = pipeline.estimate();
    post({ type: 'estimate', session: data.session, record, width: image.width, height: image.height, hasBaseline: pipeline.hasBaseline, ms: performance.now() - arrived });
  } else if (data.type === 'picture') {
    const image = pixels(data.bitmap);
    data.bitmap.close();
    post({ type: 'picture', session: data.session, record: reader.read(image) });
  }
}
