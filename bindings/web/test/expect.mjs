// Writes expected.json, what the program says of the test data: node test/expect.mjs path/of/demeanor
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testdata } from './files.mjs';

const program = process.argv[2] ?? 'demeanor';
const run = (...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
const folder = mkdtempSync(join(tmpdir(), 'demeanor-'));
// thirty frames of the portrait, unchanged, with the voice
execFileSync('ffmpeg', ['-loglevel', 'error', '-loop', '1', '-r', '10', '-i', join(testdata, 'portrait.png'), '-i', join(testdata, 'demo-voice.wav'),
  '-t', '3', '-c:v', 'ffv1', '-pix_fmt', 'gbrp', '-c:a', 'pcm_s16le', join(folder, 'film.mkv')]);
const lines = run('video', '--json', '--quiet', '--min-face', '60', join(folder, 'film.mkv')).trim().split('\n').map((line) => JSON.parse(line));
rmSync(folder, { recursive: true });
const [picture, recording] = [run('face', '--json', join(testdata, 'portrait.png')), run('speech', '--json', join(testdata, 'demo-voice.wav'))].map((text) => {
  const { file, ...rest } = JSON.parse(text);
  return rest;
});
writeFileSync(join(import.meta.dirname, 'expected.json'), JSON.stringify({ picture, recording, film: lines.map(({ time_s, faces, fused }) => ({ time_s, faces, fused })).slice(-1) }, null, 1) + '\n');
