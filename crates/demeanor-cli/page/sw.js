// Keeps the page's files for use without a network, and answers with the strict policy also where the server sends none.
const CACHE = `demeanor-${'8044514dbce8'}`;
const FILES = ["boxes.js","colours.js","csv.js","demeanor/index.js","demeanor/licences/BLAZEFACE-NOTICE","demeanor/licences/LICENSE-APACHE","demeanor/licences/LICENSE-MIT","demeanor/licences/MODELS.md","demeanor/licences/README.md","demeanor/load.js","demeanor/models/blazeface-v1.1.safetensors","demeanor/models/face-v2.1.safetensors","demeanor/models/speech-v2.safetensors","demeanor/pixels.js","demeanor/wasm/demeanor.js","demeanor/wasm/relaxed.wasm","demeanor/wasm/simd.wasm","face.js","icon.svg","index.html","main.js","panel.js","style.css","tap.js","timeline.js","voice.js"];
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const place = (path) => new URL(path, registration.scope).href;
const KNOWN = new Set(FILES.map(place));
/** Models and WASM are kept when they are first used; the rest at once. */
const SMALL = FILES.filter((path) => !/\.(wasm|safetensors)$/.test(path));

addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SMALL.map(place))).then(() => skipWaiting()));
});

addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith('demeanor-') && name !== CACHE) await caches.delete(name);
    await clients.claim();
  })());
});

/** What is being fetched, so that two workers that ask at once fetch once. */
const running = new Map();

async function file(url) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(url);
  if (kept) return kept;
  if (!running.has(url)) {
    running.set(url, fetch(url).then(async (response) => {
      if (response.ok) await cache.put(url, response.clone());
      return response;
    }).finally(() => running.delete(url)));
  }
  return (await running.get(url)).clone();
}

addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  const name = url.origin + (url.pathname.endsWith('/') ? `${url.pathname}index.html` : url.pathname);
  if (event.request.method !== 'GET' || !KNOWN.has(name)) return;
  event.respondWith(file(name).then((response) => {
    const headers = new Headers(response.headers);
    headers.set('content-security-policy', POLICY);
    headers.set('referrer-policy', 'no-referrer');
    headers.set('x-content-type-options', 'nosniff');
    return new Response(response.body, { status: response.status, headers });
  }));
});
