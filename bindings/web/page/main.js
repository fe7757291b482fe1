// The page: sources in, workers, estimates out.
import { boxes } from './boxes.js';
import { Rows } from './csv.js';
import { panel, percent } from './panel.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./demeanor/records.js').EstimateRecord} EstimateRecord */

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const element = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return /** @type {T} */ (found);
};
const [stage, hint, picture, boxCanvas] = [element('stage'), element('hint'), /** @type {HTMLCanvasElement} */ (element('picture')), /** @type {HTMLCanvasElement} */ (element('boxes'))];
const video = /** @type {HTMLVideoElement} */ (element('video'));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (element(id));
const clean = /** @type {HTMLInputElement} */ (element('clean'));
const chooser = /** @type {HTMLInputElement} */ (element('file'));

const show = {
  both: panel(element('both'), 'Nothing yet'),
  face: panel(element('face'), 'No face yet'),
  voice: panel(element('voice'), 'No voice yet'),
};
const timeline = new Timeline(/** @type {HTMLCanvasElement} */ (element('timeline')));
const rows = new Rows();

/** Larger frames are made this many rows high: more takes time and finds no more of a face before a camera. */
const ROWS = 480;
/** The most pixels of a picture; a larger one is made smaller. */
const MOST_PIXELS = 24e6;
const BASELINE_S = 5;

/** What is going on. A session begins with each source, and its answers are told by its number from those of earlier ones. */
const now = {
  session: 0,
  /** @type {'nothing' | 'live' | 'film' | 'picture' | 'recording'} */
  kind: 'nothing',
  start: 0,
  /** @type {MediaStream | null} */
  camera: null,
  /** @type {MediaStream | null} */
  microphone: null,
  /** @type {AudioContext | null} */
  audio: null,
  /** @type {MediaElementAudioSourceNode | null} the sound of the video element, which it can be taken from only once */
  element: null,
  /** @type {{ audio: AudioContext } | null} */
  film: null,
  busy: false,
  waiting: false,
  lastFrame: -1,
  /** @type {[number, number]} */
  size: [0, 0],
  /** @type {any[]} */
  faces: [],
  baselineUntil: 0,
  url: '',
};
/** Milliseconds from a frame's arrival in the worker to its estimate: the newest thousand. */
const latencies = /** @type {number[]} */ ([]);
Object.defineProperty(globalThis, 'demeanorLatencies', { value: latencies });

const status = (/** @type {string} */ text) => {
  if (element('status').textContent !== text) element('status').textContent = text;
};
const complain = (/** @type {string} */ text) => {
  element('error').textContent = text;
};

// --- the clock of a session, in seconds

const seconds = () => (now.kind === 'film' ? video.currentTime : (performance.now() - now.start) / 1000);

function setAudioClock() {
  if (now.audio) voice.postMessage({ type: 'clock', offset: seconds() - now.audio.currentTime });
}

// --- workers

await served();
const face = new Worker('face.js', { type: 'module' });
const voice = new Worker('voice.js', { type: 'module' });
const between = new MessageChannel();
face.postMessage({ type: 'voice', port: between.port1 }, [between.port1]);
voice.postMessage({ type: 'load', port: between.port2 }, [between.port2]);
face.postMessage({ type: 'load' });

/** @param {Worker} worker */
const ready = (worker) => new Promise((resolve, reject) => {
  worker.addEventListener('message', function hear({ data }) {
    if (data.type === 'ready') resolve(data);
    else if (data.type === 'error' && data.of === 'load') reject(new Error(data.message));
    else return;
    worker.removeEventListener('message', hear);
  });
  worker.addEventListener('error', () => reject(new Error('a part of the page is missing; load it again')));
});
const loaded = Promise.all([ready(face), ready(voice)]);
loaded.then(([{ model, instructions }, { model: heard }]) => {
  document.documentElement.dataset.ready = instructions;
  if (now.kind === 'nothing') status(`Ready: ${model} and ${heard}, on this device (${instructions}).`);
}, (error) => complain(`The models did not load: ${error.message}`));

/** The first visit waits shortly for the service worker, so that the models are fetched once and kept. */
async function served() {
  if (!('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register('sw.js');
  } catch {
    // the page works without, but not offline
    return;
  }
  if (navigator.serviceWorker.controller) return;
  await Promise.race([
    new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true })),
    new Promise((resolve) => setTimeout(resolve, 2000)),
  ]);
}

// --- estimates

/** @param {any[]} faces */
const largest = (faces) => faces.filter((f) => f.scores).sort((a, b) => b.region.width * b.region.height - a.region.width * a.region.height)[0];

let said = 0;
/** @param {EstimateRecord['fused']} fused */
function announce(fused) {
  const at = performance.now();
  if (performance.now() < now.baselineUntil || at - said < 2000) return;
  said = at;
  const words = [];
  if (now.camera || now.kind === 'film') words.push(now.faces.length === 0 ? 'no face in view' : now.faces.length === 1 ? 'one face in view' : `${now.faces.length} faces in view`);
  words.push(fused ? `reads as ${fused.emotion}` : 'nothing to read yet');
  status(`${now.kind === 'film' ? 'Film' : 'Live'}: ${words.join(', ')}.`);
}

/** @param {EstimateRecord} record @param {boolean} hasBaseline */
function fused(record, hasBaseline) {
  const both = record.fused;
  const weights = both ? `face counts ${percent(both.face_weight)}, voice ${percent(both.speech_weight)}${hasBaseline ? '; read against the baseline' : ''}` : '';
  show.both(both, weights);
  announce(both);
}

face.addEventListener('message', ({ data }) => {
  if (data.type === 'estimate') {
    now.busy = false;
    latencies.push(data.ms);
    if (latencies.length > 1000) latencies.shift();
    if (data.session === now.session) {
      /** @type {EstimateRecord} */
      const record = data.record;
      now.faces = record.faces;
      now.size = [data.width, data.height];
      draw();
      const main = largest(record.faces);
      show.face(main, record.faces.length > 1 ? `the largest of ${record.faces.length} faces` : main && main.quality < 0.5 ? 'dim, blurred or small: read with less trust' : '');
      fused(record, data.hasBaseline);
      timeline.add(record.time_s, { face: main?.emotion ?? null, both: record.fused?.emotion ?? null });
      rows.estimate(record);
      button('csv').disabled = rows.length === 0;
    }
    if (now.waiting) frame();
  } else if (data.type === 'picture' && data.session === now.session) {
    const { record } = data;
    now.faces = record.faces;
    now.size = [record.width, record.height];
    draw();
    show.face(record.faces[0], record.faces.length > 1 ? `the largest of ${record.faces.length} faces` : '');
    for (const [index, found] of record.faces.entries()) rows.add(0, 'face', index + 1, found);
    button('csv').disabled = rows.length === 0;
    const count = record.faces.length;
    status(count === 0 ? 'Picture read: no face found. Try one in which a face is larger or looks this way.'
      : `Picture read: ${count === 1 ? 'one face' : `${count} faces`}; the ${count === 1 ? 'face' : 'largest'} reads as ${record.faces[0].emotion}.`);
  } else if (data.type === 'error') {
    now.busy = false;
    complain(`Reading the ${data.of} failed: ${data.message}`);
  }
});

voice.addEventListener('message', ({ data }) => {
  if (data.type === 'estimate' && data.session === now.session) {
    /** @type {EstimateRecord} */
    const record = data.record;
    const told = record.voice;
    show.voice(told, told ? `${told.speaking ? 'somebody speaks' : 'nobody speaks'}, ${Math.round(told.level_db)} dB` : '');
    timeline.add(record.time_s, { voice: told?.emotion ?? null, ...(seeing() ? {} : { both: record.fused?.emotion ?? null }) });
    if (!seeing()) {
      fused(record, data.hasBaseline);
      rows.estimate(record);
      button('csv').disabled = rows.length === 0;
    }
  } else if (data.type === 'recording' && data.session === now.session) {
    recorded(data.record);
  } else if (data.type === 'error') {
    complain(`Reading the ${data.of} failed: ${data.message}`);
  }
});

/** Whether frames come, with which the voice is told too. */
const seeing = () => now.camera !== null || (now.kind === 'film' && video.videoWidth > 0);

/** @param {import('./demeanor/records.js').RecordingRecord} record */
function recorded(record) {
  const body = /** @type {HTMLTableSectionElement} */ (element('segments'));
  body.replaceChildren();
  for (const segment of record.segments) {
    const row = body.insertRow();
    for (const text of [`${segment.start_s.toFixed(1)} s`, `${segment.end_s.toFixed(1)} s`, segment.emotion, percent(segment.score)]) row.insertCell().textContent = text;
    rows.add(segment.start_s, 'voice', '', segment);
  }
  element('recording').hidden = record.segments.length === 0;
  const longest = [...record.segments].sort((a, b) => b.end_s - b.start_s - a.end_s + a.start_s)[0];
  show.voice(longest, longest && record.segments.length > 1 ? `the longest of ${record.segments.length} stretches of speech` : '');
  button('csv').disabled = rows.length === 0;
  status(longest ? `Recording read: ${record.segments.length === 1 ? 'one stretch' : `${record.segments.length} stretches`} of speech; the longest reads as ${longest.emotion}.`
    : 'Recording read: no speech found.');
}

function draw() {
  boxes(boxCanvas, now.faces, ...now.size, stage.classList.contains('mirrored'));
}
new ResizeObserver(draw).observe(stage);

// --- frames: the latest wins

async function frame() {
  if (!seeing() || document.hidden) return;
  if (now.busy) {
    now.waiting = true;
    return;
  }
  now.waiting = false;
  const time = seconds();
  if (video.readyState < 2 || time <= now.lastFrame) return;
  now.busy = true;
  now.lastFrame = time;
  const { session } = now;
  try {
    const height = Math.min(ROWS, video.videoHeight);
    const width = Math.max(1, Math.round((video.videoWidth * height) / video.videoHeight));
    const bitmap = await createImageBitmap(video, { resizeWidth: width, resizeHeight: height });
    if (session !== now.session) {
      bitmap.close();
      now.busy = false;
      return;
    }
    face.postMessage({ type: 'frame', bitmap, time, session }, [bitmap]);
  } catch {
    // the source went away meanwhile
    now.busy = false;
  }
}

function frames(/** @type {number} */ session) {
  if (session !== now.session) return;
  frame();
  if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(() => frames(session));
  else setTimeout(() => frames(session), 33);
}

// --- sound

/** @param {AudioContext} audio @param {AudioNode} source */
async function listen(audio, source) {
  await audio.audioWorklet.addModule('tap.js');
  const tap = new AudioWorkletNode(audio, 'tap', { numberOfOutputs: 0 });
  const channel = new MessageChannel();
  tap.port.postMessage(channel.port1, [channel.port1]);
  voice.postMessage({ type: 'sound', port: channel.port2 }, [channel.port2]);
  source.connect(tap);
  await audio.resume();
  setAudioClock();
}

// --- sessions

/** Begins anew: what was before is forgotten. @param {typeof now.kind} kind */
function begin(kind) {
  end();
  now.session += 1;
  Object.assign(now, { kind, start: performance.now(), lastFrame: -1, busy: false, waiting: false, faces: [], size: [0, 0], baselineUntil: 0 });
  face.postMessage({ type: 'begin' });
  voice.postMessage({ type: 'begin', session: now.session });
  timeline.clear();
  rows.clear();
  for (const each of Object.values(show)) each(null);
  element('recording').hidden = true;
  complain('');
  controls();
}

/** Lets go of all sources. */
function end() {
  stopCamera();
  stopMicrophone();
  if (now.kind === 'film') voice.postMessage({ type: 'end' });
  video.pause();
  video.removeAttribute('src');
  video.srcObject = null;
  video.load();
  if (now.url) URL.revokeObjectURL(now.url);
  now.url = '';
  void now.film?.audio.suspend();
  now.kind = 'nothing';
  now.session += 1;
  picture.hidden = true;
  video.hidden = false;
  stage.className = 'empty';
  now.faces = [];
  draw();
}

function controls() {
  const live = now.kind === 'live';
  for (const [id, name, on] of /** @type {[string, string, boolean][]} */ ([['camera', 'camera', now.camera !== null], ['microphone', 'microphone', now.microphone !== null]])) {
    button(id).textContent = `${on ? 'Stop' : 'Start'} ${name}`;
    button(id).setAttribute('aria-pressed', String(on));
  }
  button('stop').disabled = now.kind === 'nothing';
  button('baseline').disabled = !live && now.kind !== 'film';
  button('play').hidden = now.kind !== 'film';
  if (now.kind !== 'film' && !live) button('unset').hidden = true;
  stage.classList.toggle('empty', !now.camera && now.kind !== 'film' && now.kind !== 'picture');
  hint.textContent = now.microphone ? 'Listening. Start the camera to read a face too.'
    : now.kind === 'recording' ? 'A recording: what was said stands below.'
      : 'Start the camera or the microphone, or drop a picture, a film or a recording here.';
}

/** What to do when a device cannot be had. @param {any} error @param {string} device */
function refused(error, device) {
  const why = /** @type {Record<string, string>} */ ({
    NotAllowedError: `The browser did not allow the ${device}. Allow it for this page (the sign beside the address), then press “Start ${device}” again.`,
    NotFoundError: `No ${device} was found. Connect one, then press “Start ${device}” again.`,
    NotReadableError: `The ${device} is in use by another program. Close that, then press “Start ${device}” again.`,
  });
  if (!navigator.mediaDevices) complain(`This page gets no ${device}, because it was not loaded over https or from localhost. Load it from there.`);
  else complain(why[error.name] ?? `The ${device} did not start: ${error.message}`);
}

function stopCamera() {
  for (const track of now.camera?.getTracks() ?? []) track.stop();
  if (now.camera) {
    now.camera = null;
    video.srcObject = null;
    now.faces = [];
    stage.classList.remove('mirrored');
    draw();
    show.face(null);
  }
}

function stopMicrophone() {
  for (const track of now.microphone?.getTracks() ?? []) track.stop();
  if (now.microphone) voice.postMessage({ type: 'end' });
  now.microphone = null;
  void now.audio?.close().catch(() => {});
  if (now.audio !== now.film?.audio) now.audio = null;
}

function idle() {
  if (now.kind === 'live' && !now.camera && !now.microphone) {
    now.kind = 'nothing';
    status('Stopped. What was read is kept until something else begins.');
  }
  controls();
}

/** @param {MediaStream} stream @param {string} device @param {() => void} stop */
function whenLost(stream, device, stop) {
  for (const track of stream.getTracks()) {
    track.addEventListener('ended', () => {
      stop();
      idle();
      complain(`The ${device} is gone. Connect it again, then press “Start ${device}”.`);
    });
  }
}

async function toggleCamera() {
  if (now.camera) {
    stopCamera();
    idle();
    return;
  }
  complain('');
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: 'user' } });
    if (now.kind !== 'live') begin('live');
    now.camera = stream;
    whenLost(stream, 'camera', stopCamera);
    video.srcObject = stream;
    video.muted = true;
    stage.classList.add('mirrored');
    controls();
    await loaded;
    await video.play();
    frames(now.session);
    setAudioClock();
  } catch (error) {
    stopCamera();
    refused(error, 'camera');
    idle();
  }
}

async function toggleMicrophone() {
  if (now.microphone) {
    stopMicrophone();
    idle();
    return;
  }
  complain('');
  try {
    const on = clean.checked;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: on, noiseSuppression: on, autoGainControl: on } });
    if (now.kind !== 'live') begin('live');
    now.microphone = stream;
    whenLost(stream, 'microphone', stopMicrophone);
    now.audio = new AudioContext();
    controls();
    await loaded;
    await listen(now.audio, now.audio.createMediaStreamSource(stream));
  } catch (error) {
    stopMicrophone();
    refused(error, 'microphone');
    idle();
  }
}

// --- files

/** @param {File | undefined} file */
async function open(file) {
  if (!file) return;
  const kind = file.type.split('/')[0];
  const name = file.name || 'the file';
  if (kind === 'image') await openPicture(file, name);
  else if (kind === 'video') await openFilm(file, name);
  else if (kind === 'audio') await openRecording(file, name);
  else complain(`${name} is neither a picture, a film nor a recording that this browser knows.`);
}

/** @param {File} file @param {string} name */
async function openPicture(file, name) {
  begin('picture');
  const { session } = now;
  status('Reading the picture…');
  try {
    let bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
    const shrink = Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height));
    if (shrink < 1) bitmap = await createImageBitmap(bitmap, { resizeWidth: Math.round(bitmap.width * shrink), resizeHeight: Math.round(bitmap.height * shrink) });
    Object.assign(picture, { width: bitmap.width, height: bitmap.height });
    picture.getContext('2d')?.drawImage(bitmap, 0, 0);
    picture.hidden = false;
    video.hidden = true;
    now.size = [bitmap.width, bitmap.height];
    await loaded;
    face.postMessage({ type: 'picture', bitmap, session }, [bitmap]);
  } catch (error) {
    complain(`${name} cannot be read as a picture: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {File} file @param {string} name */
async function openFilm(file, name) {
  begin('film');
  const { session } = now;
  status('Reading the film…');
  now.url = URL.createObjectURL(file);
  video.src = now.url;
  video.muted = false;
  try {
    await loaded;
    if (!now.element) {
      const audio = new AudioContext();
      now.element = audio.createMediaElementSource(video);
      now.element.connect(audio.destination);
      now.film = { audio };
      await listen(audio, now.element);
    }
    now.audio = now.film?.audio ?? null;
    await now.audio?.resume();
    await video.play();
    setAudioClock();
    frames(session);
  } catch (error) {
    if (session === now.session) complain(`${name} cannot be played by this browser: ${/** @type {Error} */ (error).message} Convert it to MP4 (H.264) or WebM.`);
  }
}

for (const event of ['playing', 'seeked', 'ratechange']) video.addEventListener(event, () => now.kind === 'film' && setAudioClock());
for (const event of ['play', 'pause', 'ended']) {
  video.addEventListener(event, () => {
    if (now.kind !== 'film') return;
    button('play').textContent = video.paused || video.ended ? 'Play' : 'Pause';
    if (video.paused) void now.film?.audio.suspend();
    if (event === 'ended') {
      voice.postMessage({ type: 'end' });
      status('The film has ended. What was read is kept until something else begins.');
    }
  });
}

/** The rate of a WAV file, which is read at that rate; others are decoded at 48 kHz. @param {ArrayBuffer} file */
function rateOf(file) {
  const view = new DataView(file);
  const word = (/** @type {number} */ at) => String.fromCharCode(...new Uint8Array(file, at, 4));
  if (file.byteLength > 44 && word(0) === 'RIFF' && word(8) === 'WAVE' && word(12) === 'fmt ') {
    const rate = view.getUint32(24, true);
    if (rate >= 8000 && rate <= 96000) return rate;
  }
  return 48000;
}

/** @param {File} file @param {string} name */
async function openRecording(file, name) {
  begin('recording');
  const { session } = now;
  status('Reading the recording…');
  try {
    const whole = await file.arrayBuffer();
    const rate = rateOf(whole);
    const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(whole);
    const channels = sound.numberOfChannels;
    const samples = new Float32Array(channels * sound.length);
    for (let c = 0; c < channels; c++) {
      const one = sound.getChannelData(c);
      for (let i = 0; i < one.length; i++) samples[i * channels + c] = one[i] ?? 0;
    }
    await loaded;
    voice.postMessage({ type: 'recording', samples, rate, channels, session }, [samples.buffer]);
  } catch (error) {
    complain(`${name} cannot be read as a recording: ${/** @type {Error} */ (error).message}`);
  }
}

// --- what people press

button('camera').addEventListener('click', toggleCamera);
button('microphone').addEventListener('click', toggleMicrophone);
button('open').addEventListener('click', () => chooser.click());
chooser.addEventListener('change', () => {
  void open(chooser.files?.[0]);
  chooser.value = '';
});
button('stop').addEventListener('click', () => {
  end();
  controls();
  status('Stopped. What was read is kept until something else begins.');
});
button('play').addEventListener('click', async () => {
  if (!video.paused && !video.ended) {
    video.pause();
    return;
  }
  if (video.ended) {
    // from the start: a new session of the same film
    face.postMessage({ type: 'begin' });
    voice.postMessage({ type: 'begin', session: now.session });
    now.lastFrame = -1;
    timeline.clear();
    rows.clear();
  }
  await now.film?.audio.resume();
  await video.play();
  if (now.lastFrame === -1) frames(now.session);
});
clean.addEventListener('change', async () => {
  if (!now.microphone) return;
  await toggleMicrophone();
  await toggleMicrophone();
});
button('baseline').addEventListener('click', () => {
  const from = seconds();
  const message = { type: 'rest', from, until: from + BASELINE_S };
  face.postMessage(message);
  voice.postMessage(message);
  const { session } = now;
  now.baselineUntil = performance.now() + BASELINE_S * 1000;
  button('baseline').disabled = true;
  const tick = (/** @type {number} */ left) => {
    if (session !== now.session) return;
    if (left > 0) {
      status(`Setting the baseline: keep your face at rest for ${left} s more; say something plain if the microphone is on.`);
      setTimeout(() => tick(left - 1), 1000);
    } else {
      status('Baseline set: what comes now is read against it.');
      said = performance.now() + 1000;
      button('baseline').disabled = false;
      button('unset').hidden = false;
    }
  };
  tick(BASELINE_S);
});
button('unset').addEventListener('click', () => {
  const at = seconds();
  for (const worker of [face, voice]) worker.postMessage({ type: 'rest', from: at, until: at });
  button('unset').hidden = true;
  button('baseline').focus();
  status('Baseline removed.');
});
button('csv').addEventListener('click', () => {
  const url = URL.createObjectURL(new Blob([rows.text()], { type: 'text/csv' }));
  Object.assign(document.createElement('a'), { href: url, download: 'demeanor.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
});

for (const event of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(event, (each) => {
    each.preventDefault();
    stage.classList.toggle('over', event === 'dragover');
    if (event === 'drop') void open(/** @type {DragEvent} */ (each).dataTransfer?.files[0]);
  });
}

// a tab that is hidden reads nothing
document.addEventListener('visibilitychange', async () => {
  if (now.kind === 'film' && document.hidden) video.pause();
  if (now.kind !== 'live') return;
  if (document.hidden) {
    await now.audio?.suspend();
    status('Paused while this tab is hidden.');
  } else {
    await now.audio?.resume();
    setAudioClock();
    said = 0;
    void frame();
  }
});
for (const each of Object.values(show)) each(null);
controls();
