// What the packages @vladmandic/face-api and @vladmandic/human (npm) read on pictures that are whole faces:
//   node node_answers.mjs face-api|human TEST_FOLDER OUT.csv
// Each network gets the whole picture as the face, prepared as the package prepares a face that it has found: what is compared is
// the reading of a face, not its finding. TensorFlow.js, WASM, on the CPU.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { PNG } from 'pngjs';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const [which, root, out] = process.argv.slice(2);
const folder = (name) => require.resolve.paths(name).map((at) => join(at, name)).find((at) => existsSync(at));
wasm.setWasmPaths(join(folder('@tensorflow/tfjs-backend-wasm'), 'dist/'));
await tf.setBackend('wasm');
await tf.ready();

/** A graph model from its files. */
function fromFiles(path) {
  const { modelTopology, weightsManifest, format } = JSON.parse(readFileSync(path));
  const files = weightsManifest.flatMap((group) => group.paths).map((name) => readFileSync(join(dirname(path), name)));
  const joined = Buffer.concat(files);
  const weightData = joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length);
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  return tf.loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData, format }) });
}

/** The name of the best answer for a picture of values 0 to 255, [1, height, width, 3]. */
const readers = {
  async 'face-api'() {
    const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
    await faceapi.tf.setBackend('wasm');
    await faceapi.tf.ready();
    const models = join(folder('@vladmandic/face-api'), 'model');
    await faceapi.nets.faceExpressionNet.loadFromDisk(models);
    return async (pixels, height, width) => {
      const picture = faceapi.tf.tensor3d(pixels, [height, width, 3]);
      const scores = await faceapi.nets.faceExpressionNet.predictExpressions(picture);
      picture.dispose();
      return scores.asSortedArray()[0].expression;
    };
  },
  async human() {
    const model = await fromFiles(join(folder('@vladmandic/human'), 'models/emotion.json'));
    // as its src/gear/emotion.ts: values 0 to 1, resized, grey by luminance, -1 to 1
    const labels = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
    const side = model.inputs[0].shape[2];
    return async (pixels, height, width) => {
      const scores = tf.tidy(() => {
        const picture = tf.tensor4d(pixels, [1, height, width, 3]).div(255);
        const grey = tf.image.resizeBilinear(picture, [side, side], false).mul([0.2989, 0.587, 0.114]).sum(3, true);
        return model.execute(grey.sub(0.5).mul(2)).dataSync();
      });
      return labels[scores.indexOf(Math.max(...scores))];
    };
  },
};

const read = await readers[which]();
const rows = ['path,predicted'];
for (const emotion of readdirSync(root).sort()) {
  for (const file of readdirSync(join(root, emotion)).sort()) {
    const { data, width, height } = PNG.sync.read(readFileSync(join(root, emotion, file)));
    const pixels = new Float32Array(width * height * 3);
    for (let i = 0; i < width * height; i += 1) pixels.set([data[4 * i], data[4 * i + 1], data[4 * i + 2]], 3 * i);
    rows.push(`${basename(root)}/${emotion}/${file},${await read(pixels, height, width)}`);
    if (rows.length % 500 === 1) console.error(`${which}: ${rows.length - 1}`);
  }
}
writeFileSync(out, `${rows.join('\n')}\n`);
