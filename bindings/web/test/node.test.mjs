// The package under Node: scores as the program's, with both WASM files.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { execFileSync } from 'node:child_process';
import { png, testdata } from './files.mjs';

const expected = JSON.parse(readFileSync(join(import.meta.dirname, 'expected.json'), 'utf8'));
const pkg = join(import.meta.dirname, '../pkg');
const portrait = png(join(testdata, 'portrait.png'));

/** Whether this Node knows relaxed instructions only when told to. */
const old = Number(process.versions.node.split('.')[0]) < 22;

/** Equal to 1e-4 (scores), or to a 50th of a pixel. */
function near(actual, wanted, where = '') {
  if (typeof wanted === 'number') {
    const tolerance = /region|landmarks/.test(where) ? 0.02 : 1e-4;
    assert.ok(Math.abs(actual - wanted) <= tolerance, `${where} is ${actual}; the program says ${wanted}`);
  } else if (wanted !== null && typeof wanted === 'object') {
    assert.deepEqual(Object.keys(actual), Object.keys(wanted), where);
    for (const key of Object.keys(wanted)) near(actual[key], wanted[key], `${where}.${key}`);
  } else {
    assert.equal(actual, wanted, where);
  }
}

for (const kind of ['simd', 'relaxed']) {
  // one process each: the library is begun once
  test(`${kind}: pictures, recordings and films read as the program reads them`, () => {
    const out = execFileSync(process.execPath, [...(kind === 'relaxed' && old ? ['--experimental-wasm-relaxed-simd'] : []), join(import.meta.dirname, 'read.mjs'), kind], { encoding: 'utf8', timeout: 120_000 });
    const read = JSON.parse(out);
    assert.match(read.instructions, kind === 'relaxed' ? /^wasm relaxed$/ : /^wasm simd128$/);
    near(read.picture, expected.picture, 'picture');
    near(read.recording, expected.recording, 'recording');
    assert.equal(read.film.faces[0].emotion, 'happy');
    near(read.apart.fused, read.film.fused, 'fused from two pipelines');
    console.log(`${kind}: a 512 x 512 picture ${read.ms.picture.toFixed(1)} ms, 12.3 s of speech ${read.ms.recording.toFixed(1)} ms (medians of 9)`);
  });
}

test('errors say what happened', async () => {
  const { FaceReader, Pipeline, SpeechReader } = await import('../pkg/index.js');
  const faces = await FaceReader.load();
  assert.throws(() => faces.read({ data: new Uint8Array(5), width: 2, height: 2 }), /2x2 .* does not fit a buffer of 5 bytes/);
  await assert.rejects(FaceReader.load({ model: new Uint8Array(10) }), Error);
  await assert.rejects(SpeechReader.load({ model: new URL('nothing.safetensors', import.meta.url) }), /nothing\.safetensors/);
  await assert.rejects(Pipeline.load({ face: false, speech: false }), /needs a sense/);
  const pipeline = await Pipeline.load({ speech: false });
  assert.throws(() => pipeline.see(portrait, -1), /expected seconds from the start/);
  pipeline.see(portrait, 1);
  assert.throws(() => pipeline.see(portrait, 0.5), Error);
  const voices = await SpeechReader.load();
  assert.equal(voices.read({ samples: new Float32Array(16000), rate: 16000 }), null);
  assert.throws(() => voices.read({ samples: new Float32Array(16000), rate: 0 }), /do not make sound/);
});

test('the file with relaxed instructions is chosen where they are known', async () => {
  const { kind } = await import('../pkg/load.js');
  assert.equal(kind(), old ? 'simd' : 'relaxed');
  const told = execFileSync(process.execPath, ['--experimental-wasm-relaxed-simd', '-e', `import(${JSON.stringify(join(pkg, 'load.js'))}).then(({ kind }) => console.log(kind()))`], { encoding: 'utf8' });
  assert.equal(told.trim(), 'relaxed');
});

test('a score that is too low reads as unsure', async () => {
  const { FaceReader } = await import('../pkg/index.js');
  const faces = await FaceReader.load({ minScore: 0.999 });
  assert.equal(faces.read(portrait).faces[0].emotion, 'unsure');
  assert.equal(faces.readWhole(portrait).faces[0].confidence, null);
});

test('licences and notices are inside, and the files keep to their sizes', async () => {
  for (const name of ['licences/LICENSE-MIT', 'licences/LICENSE-APACHE', 'licences/MODELS.md', 'licences/BLAZEFACE-NOTICE', 'licences/README.md', 'README.md', 'index.d.ts', 'records.d.ts']) {
    assert.ok(existsSync(join(pkg, name)), name);
  }
  const { gzipSync } = await import('node:zlib');
  const dist = join(import.meta.dirname, '../dist');
  const { files } = JSON.parse(readFileSync(join(dist, 'files.json'), 'utf8'));
  const sum = (pattern) => files.filter(({ path }) => pattern.test(path)).reduce((all, { bytes }) => all + bytes, 0);
  const packed = (pattern) => files.filter(({ path }) => pattern.test(path)).reduce((all, { path }) => all + gzipSync(readFileSync(join(dist, path)), { level: 9 }).length, 0);
  const sizes = { script: sum(/\.js$/), simd: sum(/simd\.wasm$/), relaxed: sum(/relaxed\.wasm$/), gzipped: packed(/\.js$/) + Math.max(packed(/simd\.wasm$/), packed(/relaxed\.wasm$/)) };
  console.log('bytes:', JSON.stringify(sizes));
  assert.ok(sizes.script <= 60_000, `${sizes.script} bytes of script`);
  assert.ok(sizes.simd <= 1_500_000 && sizes.relaxed <= 1_500_000, `${sizes.simd} and ${sizes.relaxed} bytes of WASM`);
  assert.ok(sizes.gzipped <= 700_000, `${sizes.gzipped} bytes gzipped`);
});
