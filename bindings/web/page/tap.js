// Gives the sound on in pieces of 50 ms, each with the time of its first sample by the clock of the audio.
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(Math.round(sampleRate / 20));
    this.count = 0;
    this.time = 0;
    this.port.onmessage = ({ data }) => {
      this.to = data;
    };
  }

  process([channels]) {
    const samples = channels[0];
    if (!samples || !this.to) return true;
    for (let i = 0; i < samples.length; i++) {
      if (this.count === 0) this.time = currentTime + i / sampleRate;
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.piece[this.count++] = sum / channels.length;
      if (this.count === this.piece.length) {
        const piece = this.piece.slice();
        this.to.postMessage({ samples: piece, rate: sampleRate, time: this.time }, [piece.buffer]);
        this.count = 0;
      }
    }
    return true;
  }
}
registerProcessor('tap', Tap);
