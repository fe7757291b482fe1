// @ts-check
// What `demeanor live --serve` reads, or another live connection (#key=...), as bars on a transparent ground. A token, where the
// server asks for one, stands behind the # too (#token=...): that part of an address is never sent.
const hash = new URLSearchParams(location.hash.slice(1));
const bars = /** @type {HTMLElement} */ (document.getElementById("bars"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));

/** @param {string} text */
function say(text) {
  said.textContent = text;
  said.hidden = text === "";
}

/** @param {{emotion: string, scores: Record<string, number>} | null} read */
function show(read) {
  bars.replaceChildren();
  if (!read) return;
  const title = document.createElement("h1");
  title.textContent = read.emotion === "unsure" ? "unsure" : `reads as ${read.emotion}`;
  bars.append(title);
  const top = Math.max(...Object.values(read.scores));
  for (const [emotion, score] of Object.entries(read.scores)) {
    const row = document.createElement("div");
    row.className = score === top ? "row first" : "row";
    const name = document.createElement("span");
    name.textContent = emotion;
    const track = document.createElement("span");
    track.className = "track";
    const bar = document.createElement("i");
    bar.style.width = `${Math.round(100 * score)}%`;
    track.append(bar);
    row.append(name, track);
    bars.append(row);
  }
}

let pause = 500;

function watch() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/v1/watch`);
  socket.onopen = () => {
    pause = 500;
    say("");
    const first = {};
    for (const name of ["token", "key"]) {
      const value = hash.get(name);
      if (value) Object.assign(first, { [name]: value });
    }
    if (Object.keys(first).length) socket.send(JSON.stringify(first));
  };
  socket.onmessage = (event) => {
    const line = JSON.parse(event.data);
    if (line.error) return;
    const face = line.faces?.find((/** @type {any} */ f) => f.scores);
    const voice = line.voice?.scores ? line.voice : null;
    show(line.fused ?? face ?? voice ?? null);
  };
  socket.onclose = (event) => {
    show(null);
    say(event.reason || "waiting for the server");
    setTimeout(watch, pause);
    pause = Math.min(2 * pause, 10000);
  };
}

watch();
