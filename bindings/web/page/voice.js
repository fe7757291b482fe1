// The worker that reads voices: recordings, and sound in time. It gives the voice to the worker that fuses both.
import { SpeechReader } from './demeanor/index.js';

/** @type {SpeechReader} */
let reader;
/** @type {import('./demeanor/index.js').Pipeline} */
let pipeline;
/** @type {MessagePort | undefined} */
let fuser;
/** What the clock of the session says when that of the audio says 0; in seconds. */
let offset = 0;
let session = 0;

const post = (/** @type {any} */ message) => postMessage(message);

/** Messages are worked on one after the other, also those that wait for something. */
let before = Promise.resolve();
const then = (/** @type {string} */ of, /** @type {() => unknown} */ work) => {
  before = before.then(async () => void (await work())).catch((error) => post({ type: 'error', of, message: error.message }));
};

const begin = () => {
  pipeline?.free();
  pipeline = reader.pipeline();
  fuser?.postMessage(pipeline.voice);
};

/** @param {{ samples: Float32Array, rate: number, time: number }} piece */
function hear({ samples, rate, time }) {
  const at = time + offset;
  if (at < 0) return;
  pipeline.hear({ samples, rate }, at);
  fuser?.postMessage(pipeline.voice);
  post({ type: 'estimate', session, record: pipeline.estimate(), hasBaseline: pipeline.hasBaseline });
}

onmessage = ({ data }) => then(data.type, () => work(data));

/** @param {any} data */
async function work(data) {
  if (data.type === 'load') {
    fuser = data.port;
    reader = await SpeechReader.load();
    begin();
    post({ type: 'ready', model: reader.model });
  } else if (data.type === 'begin') {
    session = data.session;
    begin();
  } else if (data.type === 'sound') {
    /** @type {MessagePort} */
    const port = data.port;
    port.onmessage = (message) => then('sound', () => hear(message.data));
  } else if (data.type === 'clock') {
    offset = data.offset;
  } else if (data.type === 'end') {
    pipeline.endOfSound();
    fuser?.postMessage(pipeline.voice);
  } else if (data.type === 'rest') {
    pipeline.rest(data.from, data.until);
  } else if (data.type === 'recording') {
    post({ type: 'recording', session: data.session, record: reader.record(data) });
  }
}
