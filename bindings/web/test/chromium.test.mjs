// The page in Chromium, with a camera and a microphone that play files made of the test data.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { testdata } from './files.mjs';
import { serve } from './serve.mjs';

const here = import.meta.dirname;
const dist = join(here, '../dist');
const out = join(here, 'out');
const expected = JSON.parse(readFileSync(join(here, 'expected.json'), 'utf8'));
const listed = new Set(JSON.parse(readFileSync(join(dist, 'files.json'), 'utf8')).files.map(({ path }) => path));
const portrait = join(testdata, 'portrait.png');
const axe = readFileSync(join(here, '../node_modules/axe-core/axe.min.js'), 'utf8');

let site;
let browser;

/** @param {string[]} args */
const ffmpeg = (...args) => execFileSync('ffmpeg', ['-loglevel', 'error', '-y', ...args]);

before(async () => {
  mkdirSync(out, { recursive: true });
  // six seconds of the face, then four without
  if (!existsSync(join(out, 'camera.mjpeg'))) {
    ffmpeg('-loop', '1', '-t', '6', '-r', '30', '-i', portrait, '-f', 'lavfi', '-t', '4', '-r', '30', '-i', 'color=0x406080:s=640x480',
      '-filter_complex', '[0:v]scale=480:480,pad=640:480:80:0,setsar=1[a];[1:v]setsar=1[b];[a][b]concat=n=2', '-q:v', '3', join(out, 'camera.mjpeg'));
  }
  if (!existsSync(join(out, 'film.webm'))) {
    ffmpeg('-loop', '1', '-t', '4', '-r', '25', '-i', portrait, '-i', join(testdata, 'demo-voice.wav'), '-t', '4', '-c:v', 'libvpx', '-b:v', '2M', '-c:a', 'libopus', join(out, 'film.webm'));
  }
  ffmpeg('-i', join(testdata, 'demo-voice.wav'), '-ar', '48000', '-ac', '1', join(out, 'microphone.wav'));
  site = await serve(dist);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required', '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${join(out, 'camera.mjpeg')}`, `--use-file-for-fake-audio-capture=${join(out, 'microphone.wav')}`],
  });
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** A page that is ready; all requests of its context are told, and errors of it fail the test. */
async function open({ permissions = ['camera', 'microphone'], url = site.url, ...rest } = {}) {
  const context = await browser.newContext({ permissions, acceptDownloads: true, ...rest });
  const requests = [];
  context.on('request', (request) => requests.push({ method: request.method(), url: request.url() }));
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(url);
  await page.waitForSelector('html[data-ready]', { timeout: 60_000 });
  return { context, page, requests, errors };
}

const reading = (page, id) => page.locator(`#${id} .reading`).innerText();
const until = (page, id, pattern, timeout = 20_000) => page.waitForFunction(
  ([name, source]) => new RegExp(source).test(document.querySelector(`#${name} .reading`)?.textContent ?? ''), [id, pattern.source], { timeout });

/** The rows of the CSV that the page gives. */
async function csv(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#csv')]);
  const [head, ...rows] = readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => line.split(','));
  return rows.map((row) => Object.fromEntries(row.map((cell, index) => [head[index], cell])));
}

async function accessible(page, what) {
  // through the protocol, since the page's own policy allows no foreign script
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(' ')}`), [], what);
}

test('a picture is read as the program reads it, and nothing is asked of anybody', async () => {
  const { context, page, requests, errors } = await open();
  const [before, asked] = [requests.length, site.asked.length];
  await page.setInputFiles('#file', portrait);
  await until(page, 'face', /reads as happy 94 %/);
  assert.match(await page.innerText('#status'), /one face; the face reads as happy/);
  const [row] = await csv(page);
  for (const [emotion, score] of Object.entries(expected.picture.faces[0].scores)) {
    // four digits are written
    assert.ok(Math.abs(Number(row[emotion]) - score) <= 1.5e-4, `${emotion}: ${row[emotion]}, the program says ${score}`);
  }
  await accessible(page, 'a picture');
  assert.deepEqual(requests.slice(before).filter(({ url }) => !url.startsWith('blob:')), [], 'requests after the load');
  for (const { method, path } of site.asked.slice(asked)) assert.ok(method === 'GET' && (path === 'sw.js' || listed.has(path)), `${method} ${path}`);
  for (const { method, url } of requests) {
    assert.equal(method, 'GET');
    if (url.startsWith('blob:')) continue;
    assert.ok(url.startsWith(site.url), url);
    assert.ok(url === site.url || listed.has(url.slice(site.url.length)), `${url} is not listed`);
  }
  // each file came over the network once
  const models = site.asked.filter(({ path }) => path.endsWith('.safetensors')).map(({ path }) => path);
  assert.equal(new Set(models).size, models.length, models.join());
  assert.deepEqual(errors, []);
  await context.close();
});

test('a dropped picture is read too', async () => {
  const { context, page } = await open();
  const bytes = readFileSync(portrait).toString('base64');
  const transfer = await page.evaluateHandle((text) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'portrait.png', { type: 'image/png' }));
    return data;
  }, bytes);
  await page.dispatchEvent('#stage', 'drop', { dataTransfer: transfer });
  await until(page, 'face', /reads as happy/);
  await context.close();
});

test('a recording reads as the program reads it', async () => {
  const { context, page, errors } = await open();
  await page.setInputFiles('#file', join(testdata, 'demo-voice.wav'));
  const [segment] = expected.recording.segments;
  await until(page, 'voice', new RegExp(`reads as ${segment.emotion}`));
  const [row] = await csv(page);
  for (const [emotion, score] of Object.entries(segment.scores)) assert.ok(Math.abs(Number(row[emotion]) - score) <= 1.5e-4, `${emotion}: ${row[emotion]}, the program says ${score}`);
  assert.equal(await page.locator('#segments tr').count(), expected.recording.segments.length);
  await accessible(page, 'a recording');
  assert.deepEqual(errors, []);
  await context.close();
});

test('a film is read with its sound', async () => {
  const { context, page, errors } = await open();
  await page.setInputFiles('#file', join(out, 'film.webm'));
  await until(page, 'face', /reads as happy/);
  await until(page, 'voice', /reads as/);
  await page.waitForFunction(() => /ended/.test(document.querySelector('#status')?.textContent ?? ''), null, { timeout: 20_000 });
  const rows = await csv(page);
  assert.ok(rows.some(({ what }) => what === 'both'));
  assert.ok(rows.every(({ time_s }) => Number(time_s) <= 4.2), 'times are those of the film');
  assert.deepEqual(errors, []);
  await context.close();
});

test('what is no picture is refused with a word', async () => {
  const { context, page } = await open();
  await page.setInputFiles('#file', { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
  await page.waitForSelector('#error:not(:empty)');
  assert.match(await page.innerText('#error'), /broken\.png cannot be read as a picture/);
  await page.setInputFiles('#file', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('text') });
  assert.match(await page.innerText('#error'), /a\.txt is neither/);
  await context.close();
});

test('live: both senses and both fused; a face comes and goes; frames are read in time', async () => {
  const { context, page, requests, errors } = await open();
  const before = requests.length;
  await page.click('#camera');
  const started = Date.now();
  await until(page, 'face', /reads as/);
  const first = Date.now() - started;
  await page.click('#microphone');
  await until(page, 'voice', /reads as/, 30_000);
  await until(page, 'both', /reads as/);
  const shown = () => page.getAttribute('#boxes', 'aria-label');
  await page.waitForFunction(() => document.querySelector('#boxes')?.getAttribute('aria-label') === 'No face', null, { timeout: 30_000 });
  await page.waitForFunction(() => /Face 1 reads as happy/.test(document.querySelector('#boxes')?.getAttribute('aria-label') ?? ''), null, { timeout: 30_000 });
  assert.match(await shown(), /reads as/);
  await page.waitForFunction(() => globalThis.demeanorLatencies.length >= 500, null, { timeout: 60_000 });
  const latencies = (await page.evaluate(() => globalThis.demeanorLatencies)).sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor(share * latencies.length)];
  console.log(`live: first estimate ${first} ms after the press; ${latencies.length} frames, from arrival in the worker to the estimate: median ${at(0.5).toFixed(1)} ms, p95 ${at(0.95).toFixed(1)} ms`);
  assert.match(await page.getAttribute('#timeline', 'aria-label'), /face: .*happy/);
  await accessible(page, 'live');
  const cdp = await context.newCDPSession(page);
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize, totalSize } = await cdp.send('Runtime.getHeapUsage');
  console.log(`live: heap of the page ${(usedSize / 1e6).toFixed(1)} MB used, ${(totalSize / 1e6).toFixed(1)} MB in all`);
  // the baseline, and how it is taken away
  await page.click('#baseline');
  await page.waitForSelector('#unset', { timeout: 10_000 });
  await page.click('#unset');
  const rows = await csv(page);
  for (const what of ['face', 'voice', 'both']) assert.ok(rows.some((row) => row.what === what), what);
  assert.deepEqual(requests.slice(before).filter(({ url }) => !url.startsWith('blob:') && !url.endsWith('/tap.js')), [], 'requests while live');
  assert.deepEqual(errors, []);
  await context.close();
});

test('a device that is lost is told, and can be started again', async () => {
  const { context, page } = await open();
  await page.click('#camera');
  await until(page, 'face', /reads as/);
  // Chromium's pretended camera cannot be unplugged; this is what the browser tells the page of one that is
  await page.evaluate(() => document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended')));
  assert.match(await page.innerText('#error'), /The camera is gone\. Connect it again/);
  assert.equal(await page.innerText('#camera'), 'Start camera');
  await page.click('#camera');
  await until(page, 'face', /reads as/);
  assert.equal(await page.innerText('#error'), '');
  await context.close();
});

test('a permission that is refused is told', async () => {
  const { context, page, errors } = await open({ permissions: [] });
  for (const device of ['camera', 'microphone']) {
    await page.click(`#${device}`);
    await page.waitForFunction((name) => document.querySelector('#error')?.textContent.includes(name), device);
    assert.match(await page.innerText('#error'), new RegExp(`did not allow the ${device}\\. Allow it`));
  }
  await accessible(page, 'refused');
  assert.deepEqual(errors, []);
  await context.close();
});

test('a hidden tab reads nothing, and goes on when it is seen', async () => {
  const { context, page } = await open();
  await page.click('#camera');
  await until(page, 'face', /reads as/);
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  const count = () => page.evaluate(() => globalThis.demeanorLatencies.length);
  await hide(true);
  // a frame that is being read already is read to its end
  let before = -1;
  for (let seen = await count(); seen !== before; seen = await count()) {
    before = seen;
    await page.waitForTimeout(1000);
  }
  assert.match(await page.innerText('#status'), /Paused while this tab is hidden/);
  await page.waitForTimeout(1000);
  assert.equal(await count(), before);
  await hide(false);
  await page.waitForFunction((seen) => globalThis.demeanorLatencies.length > seen + 5, before);
  await context.close();
});

test('keyboard alone: everything is reached, in order, and works', async () => {
  const { context, page } = await open();
  const reached = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    const id = await page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
    if (id === 'camera' && !reached.includes('camera')) await page.keyboard.press('Enter');
    reached.push(id);
  }
  for (const id of ['camera', 'microphone', 'open', 'stop', 'clean', 'A']) assert.ok(reached.includes(id), `${id} in ${reached.join()}`);
  await until(page, 'face', /reads as/);
  await context.close();
});

test('it works without a network after the first visit', async () => {
  const own = await serve(dist, { policy: false });
  const { context, page, errors } = await open({ url: own.url });
  await own.close();
  await page.reload();
  await page.waitForSelector('html[data-ready]');
  await page.setInputFiles('#file', portrait);
  await until(page, 'face', /reads as happy/);
  await page.setInputFiles('#file', join(testdata, 'demo-voice.wav'));
  await until(page, 'voice', /reads as/);
  assert.deepEqual(errors, []);
  // the service worker adds the policy that this server did not send
  const policy = await page.evaluate(async () => (await fetch('face.js')).headers.get('content-security-policy'));
  assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
  await context.close();
});

test('the policy holds: no other host, no inline script, no form, no frame', async () => {
  const other = await serve(here, { policy: false });
  const { context, page } = await open();
  const blocked = await page.evaluate(async (url) => {
    const told = [];
    document.addEventListener('securitypolicyviolation', (event) => told.push(event.effectiveDirective));
    await fetch(url).catch(() => {});
    const image = new Image();
    image.src = `${url}a.png`;
    const script = document.createElement('script');
    script.textContent = 'globalThis.ran = true';
    document.body.append(script);
    const form = document.createElement('form');
    form.action = url;
    document.body.append(form);
    form.submit();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { told, ran: 'ran' in globalThis };
  }, other.url);
  assert.deepEqual(new Set(blocked.told), new Set(['connect-src', 'img-src', 'script-src-elem', 'form-action']));
  assert.equal(blocked.ran, false);
  assert.deepEqual(other.asked, []);
  // a foreign page that frames it shows nothing of it
  writeFileSync(join(out, 'frame.html'), `<!doctype html><title>foreign</title><iframe src="${site.url}"></iframe>`);
  const foreign = await context.newPage();
  await foreign.goto(`${other.url}out/frame.html`);
  await foreign.waitForTimeout(1000);
  const frame = foreign.frames()[1];
  const shown = await frame.evaluate(() => document.body.innerText).catch(() => '');
  assert.doesNotMatch(shown, /Demeanor|Start camera/);
  await context.close();
  await other.close();
});

/** The page and the server of a program, where one is named; ends with `close`. */
async function program() {
  const child = spawn(/** @type {string} */ (process.env.DEMEANOR), ['serve', '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise((resolve) => child.stdout.once('data', resolve));
  return { url: /http:\S+/.exec(String(line))?.[0] ?? '', close: () => child.kill() };
}
const skip = process.env.DEMEANOR ? false : 'DEMEANOR names no program';

test('the page of the program: the same, and nothing is asked but its files', { skip }, async () => {
  const own = await program();
  const { context, page, requests, errors } = await open({ url: `${own.url}/` });
  await page.setInputFiles('#file', portrait);
  await until(page, 'face', /reads as happy/);
  for (const { method, url } of requests.filter(({ url }) => !url.startsWith('blob:'))) {
    const path = url.slice(own.url.length + 1);
    assert.ok(method === 'GET' && url.startsWith(own.url) && (path === '' || listed.has(path)), `${method} ${url}`);
  }
  assert.deepEqual(errors, []);
  await context.close();
  own.close();
});

test('a foreign page reaches nothing of the program', { skip }, async () => {
  const own = await program();
  const other = await serve(out, { policy: false });
  const context = await browser.newContext();
  const page = await context.newPage();
  writeFileSync(join(out, 'foreign.html'), '<!doctype html><title>foreign</title>');
  await page.goto(`${other.url}foreign.html`);
  const told = await page.evaluate(async (url) => {
    const socket = (/** @type {string} */ path) => new Promise((resolve) => {
      const opened = new WebSocket(url.replace('http', 'ws') + path);
      opened.onopen = () => resolve('open');
      opened.onerror = () => resolve('refused');
    });
    const post = (/** @type {string} */ type) => fetch(`${url}/v1/face`, { method: 'POST', headers: { 'content-type': type }, body: 'x' }).then(() => 'read', () => 'refused');
    const blind = () => fetch(`${url}/v1/face`, { method: 'POST', mode: 'no-cors', body: 'x' }).then((answer) => answer.type, () => 'refused');
    return [await socket('/v1/live'), await socket('/v1/watch'), await post('text/plain'), await post('image/png'), await blind(), await fetch(`${url}/v1/models`).then(() => 'read', () => 'refused')];
  }, own.url);
  // what a page may send blindly it cannot read; the server refused it before it was read
  assert.deepEqual(told, ['refused', 'refused', 'refused', 'refused', 'opaque', 'refused']);
  const metrics = await (await fetch(`${own.url}/metrics`)).text();
  assert.match(metrics, /path="\/v1\/face",status="403"/);
  assert.doesNotMatch(metrics, /path="\/v1\/face",status="2/);
  await context.close();
  await other.close();
  own.close();
});

for (const [name, viewport, scheme] of [['desktop', { width: 1280, height: 900 }, 'light'], ['phone', { width: 390, height: 844 }, 'dark']]) {
  test(`looks: ${name}, ${scheme}`, async () => {
    const { context, page } = await open({ viewport, colorScheme: scheme, ...(name === 'phone' ? { isMobile: true, hasTouch: true } : {}) });
    await accessible(page, 'empty');
    await page.screenshot({ path: join(out, `${name}-empty.png`) });
    await page.click('#microphone');
    await page.click('#camera');
    await until(page, 'voice', /reads as/, 30_000);
    await page.waitForFunction(() => /Face 1 reads as happy/.test(document.querySelector('#boxes')?.getAttribute('aria-label') ?? ''), null, { timeout: 30_000 });
    await page.waitForTimeout(2500);
    await accessible(page, 'live');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} px wider than the window`);
    await page.waitForFunction(() => /Face 1 reads as happy/.test(document.querySelector('#boxes')?.getAttribute('aria-label') ?? ''), null, { timeout: 30_000 });
    await page.screenshot({ path: join(out, `${name}.png`), fullPage: name === 'desktop' });
    await context.close();
  });
}
