// node test/soak.mjs [minutes]: the page live for so long, and what the browser's processes hold of the memory at each minute.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { testdata } from './files.mjs';
import { serve } from './serve.mjs';

const minutes = Number(process.argv[2] ?? 10);
const out = join(import.meta.dirname, 'out');
mkdirSync(out, { recursive: true });
const [camera, microphone] = [join(out, 'soak.mjpeg'), join(out, 'microphone.wav')];
const ffmpeg = (/** @type {string[]} */ ...args) => execFileSync('ffmpeg', ['-loglevel', 'error', '-y', ...args]);
if (!existsSync(camera)) ffmpeg('-loop', '1', '-t', '6', '-r', '30', '-i', join(testdata, 'portrait.png'), '-vf', 'scale=480:480,pad=640:480:80:0', '-q:v', '3', camera);
if (!existsSync(microphone)) ffmpeg('-i', join(testdata, 'demo-voice.wav'), '-ar', '48000', '-ac', '1', microphone);

const site = await serve(join(import.meta.dirname, '../dist'));
const server = await chromium.launchServer({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
    `--use-file-for-fake-video-capture=${camera}`, `--use-file-for-fake-audio-capture=${microphone}`],
});
const browser = await chromium.connect(server.wsEndpoint());
const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
const page = await context.newPage();
await page.goto(site.url);
await page.waitForSelector('html[data-ready]', { timeout: 120_000 });
await page.click('#camera');
await page.click('#microphone');
const cdp = await context.newCDPSession(page);

/** Megabytes that the process of the page holds: its scripts, workers and WASM. */
function held() {
  let most = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [command, status] = [readFileSync(`/proc/${pid}/cmdline`, 'utf8'), readFileSync(`/proc/${pid}/status`, 'utf8')];
      if (command.includes('--type=renderer') && command.includes('chromium')) most = Math.max(most, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000);
    } catch {
      // it ended meanwhile
    }
  }
  return most;
}
const told = [];
for (let minute = 1; minute <= minutes; minute++) {
  await page.waitForTimeout(60_000);
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  told.push({ heap: usedSize / 1e6, process: held() });
  const frames = await page.evaluate(() => globalThis.demeanorLatencies.length);
  console.log(`minute ${minute}: heap ${told[minute - 1].heap.toFixed(1)} MB, process ${told[minute - 1].process.toFixed(0)} MB, ${frames} of the newest 1000 frames`);
}
await browser.close();
await server.close();
await site.close();
// the first minutes fill caches
const [first, last] = [told[Math.min(2, told.length - 1)], told[told.length - 1]];
if (last.heap > first.heap + 5 || last.process > first.process + 30) {
  console.error(`the page grew: heap from ${first.heap.toFixed(1)} to ${last.heap.toFixed(1)} MB, process from ${first.process.toFixed(0)} to ${last.process.toFixed(0)} MB`);
  process.exit(1);
}
