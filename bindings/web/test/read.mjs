// What the package reads of the test data with one of the WASM files: node test/read.mjs simd
import { join } from 'node:path';
import { FaceReader, Pipeline, SpeechReader, instructions } from '../pkg/index.js';
import { png, testdata, wav } from './files.mjs';

const portrait = png(join(testdata, 'portrait.png'));
const speech = wav(join(testdata, 'demo-voice.wav'));
const options = { instructions: process.argv[2] };
const faces = await FaceReader.load(options);
const voices = await SpeechReader.load(options);
const timed = (work) => {
  const all = Array.from({ length: 9 }, () => {
    const from = performance.now();
    work();
    return performance.now() - from;
  });
  return all.sort((a, b) => a - b)[4];
};
const play = (see, hear) => {
  let heard = 0;
  const piece = speech.rate / 10;
  for (let n = 0; n < 30; n++) {
    hear(speech.samples.subarray(heard, heard + piece * speech.channels), heard / speech.channels / speech.rate);
    heard += piece * speech.channels;
    see(n / 10);
  }
};
const both = await Pipeline.load(options);
play((time) => both.see(portrait, time), (samples, time) => both.hear({ ...speech, samples }, time));
// a pipeline for each sense, as in two workers
const [one, other] = [await Pipeline.load({ ...options, speech: false }), await Pipeline.load({ ...options, face: false })];
play((time) => {
  one.takeVoice(other.voice);
  one.see(portrait, time);
}, (samples, time) => other.hear({ ...speech, samples }, time));
const told = ({ faces: seen, fused }) => ({ faces: seen, fused });
console.log(JSON.stringify({
  instructions: await instructions(),
  picture: faces.read(portrait), recording: voices.record(speech), film: told(both.estimate()), apart: one.estimate(),
  ms: { picture: timed(() => faces.read(portrait)), recording: timed(() => voices.record(speech)) },
}));
