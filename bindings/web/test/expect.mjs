// Writes expected.json, what the program says of the test data: node test/expect.mjs path/of/demeanor
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testdata } from './files.mjs';

const program = process.argv[2] ?? 'demeanor';
const run = (...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
const [picture, recording] = [run('face', '--json', join(testdata, 'portrait.png')), run('speech', '--json', join(testdata, 'demo-voice.wav'))].map((text) => {
  const { file, ...rest } = JSON.parse(text);
  return rest;
});
writeFileSync(join(import.meta.dirname, 'expected.json'), JSON.stringify({ picture, recording }, null, 1) + '\n');
