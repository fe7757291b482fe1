// Sends pictures to `demeanor serve` as frames of a stream, and prints what is estimated as lines of JSON.
//
//     node live.mjs ws://127.0.0.1:8642/v1/live *.jpg      (Node 22 or later; 20 with --experimental-websocket)
//
// `frames` is for browsers too: there the address of the page must be allowed by --allow-origin. TOKEN in the environment is the token
// of the server, if it asks for one. The pictures are taken to follow each other by a tenth of a second.

const PICTURE_FILE = 1;

/**
 * What each of the pictures reads as.
 * @param {string} url
 * @param {AsyncIterable<Uint8Array>} pictures files of pictures, as JPEG
 * @param {string} [token]
 */
export async function* frames(url, pictures, token) {
  const socket = new WebSocket(url);
  /** @type {string[]} */
  const lines = [];
  let wake = () => {};
  let closed = '';
  socket.onmessage = ({ data }) => {
    lines.push(data);
    wake();
  };
  socket.onclose = ({ reason }) => {
    closed = reason || 'the server ended the connection';
    wake();
  };
  const line = async () => {
    while (lines.length === 0) {
      if (closed) throw new Error(closed);
      await new Promise((resolve) => { wake = () => resolve(undefined); });
    }
    return JSON.parse(/** @type {string} */ (lines.shift()));
  };
  if (token) socket.onopen = () => socket.send(JSON.stringify({ token }));
  await line(); // {"key": ...}, by which others may watch
  let time = 0;
  for await (const picture of pictures) {
    const message = new Uint8Array(9 + picture.length);
    message[0] = PICTURE_FILE;
    new DataView(message.buffer).setFloat64(1, time, true);
    message.set(picture, 9);
    socket.send(message);
    yield await line();
    time += 0.1;
  }
  socket.close();
}

if (globalThis.process?.argv[1] && import.meta.url.endsWith(encodeURI(process.argv[1].split('/').at(-1) ?? ''))) {
  const { readFile } = await import('node:fs/promises');
  const [url, ...paths] = process.argv.slice(2);
  async function* files() {
    for (const path of paths) yield await readFile(path);
  }
  for await (const line of frames(url, files(), process.env.TOKEN)) console.log(JSON.stringify(line));
}
