// A server of the built site, with the headers that the README asks for; it counts what is asked of it.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';

export const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.json': 'application/json', '.md': 'text/plain; charset=utf-8' };

/** @param {string} folder @param {{ policy?: boolean, port?: number }} [options] */
export async function serve(folder, { policy = true, port = 0 } = {}) {
  /** @type {{ method: string, path: string }[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname.replace(/\/$/, '/index.html');
    asked.push({ method: request.method ?? '', path: path.slice(1) });
    try {
      const bytes = await readFile(join(folder, path));
      response.writeHead(200, {
        'content-type': TYPES[extname(path)] ?? 'application/octet-stream', 'cache-control': 'no-cache',
        ...(policy ? { 'content-security-policy': POLICY } : {}),
      });
      response.end(bytes);
    } catch {
      response.writeHead(404);
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}/`,
    asked,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

// node test/serve.mjs [port]: the site to look at
if (process.argv[1] === import.meta.filename) {
  console.log((await serve(join(import.meta.dirname, '../dist'), { port: Number(process.argv[2] ?? 8080) })).url);
}
