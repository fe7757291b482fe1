// Reads the emotion that a face and a voice express. An expression reads as happy or sad; what anyone feels, no program knows.
import { MODELS, bytes, library } from './load.js';
import { pixels } from './pixels.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {import('./records.js').Picture} Picture */
/** @typedef {import('./records.js').Sound} Sound */
/** @typedef {import('./records.js').PictureRecord} PictureRecord */
/** @typedef {import('./records.js').RecordingRecord} RecordingRecord */
/** @typedef {import('./records.js').EstimateRecord} EstimateRecord */
/** @typedef {import('./records.js').Scores} Scores */
/**
 * @typedef {object} Loading
 * @property {Source} [wasm] the WASM file, where it is not beside the package
 * @property {'simd' | 'relaxed'} [instructions] which WASM file, where the choice shall not be made by what runs
 * @property {number} [minScore] below this score an expression reads as unsure
 */

/** Reads the faces of pictures. */
export class FaceReader {
  #reader;
  #minScore;

  /**
   * @param {import('./wasm/demeanor.js').FaceReader} reader
   * @param {number} [minScore]
   * @private use FaceReader.load()
   */
  constructor(reader, minScore) {
    this.#reader = reader;
    this.#minScore = minScore;
  }

  /**
   * A reader with the built-in models, or with others.
   * @param {Loading & { model?: Source, detector?: Source }} [options]
   */
  static async load(options = {}) {
    const [wasm, model, detector] = await Promise.all([
      library(options), bytes(options.model ?? MODELS.face), bytes(options.detector ?? MODELS.detector),
    ]);
    return new FaceReader(new wasm.FaceReader(model, detector), options.minScore);
  }

  /** The name of the model. */
  get model() {
    return this.#reader.model;
  }

  /**
   * A pipeline that shares the weights of this reader, and of one for voices: nothing is loaded again.
   * @param {{ speech?: SpeechReader, minScore?: number }} [options]
   */
  pipeline({ speech, minScore } = {}) {
    const inner = speech ? SpeechReader.pipelineOf(speech, this.#reader, minScore) : this.#reader.pipeline(minScore);
    return new Pipeline(inner);
  }

  /**
   * The faces of a picture, the largest first.
   * @param {Picture} picture
   * @returns {PictureRecord}
   */
  read(picture) {
    const { data, width, height } = pixels(picture);
    return JSON.parse(this.#reader.read(/** @type {Uint8Array} */ (data), width, height, this.#minScore));
  }

  /**
   * What a picture reads as that is a face already: nothing is looked for.
   * @param {Picture} picture
   * @returns {PictureRecord}
   */
  readWhole(picture) {
    const { data, width, height } = pixels(picture);
    return JSON.parse(this.#reader.readWhole(/** @type {Uint8Array} */ (data), width, height, this.#minScore));
  }

  /** Gives its memory back; the reader cannot be used any more. */
  free() {
    this.#reader.free();
  }
}

/** Reads voices of recordings. */
export class SpeechReader {
  #reader;
  #minScore;

  /**
   * @param {import('./wasm/demeanor.js').SpeechReader} reader
   * @param {number} [minScore]
   * @private use SpeechReader.load()
   */
  constructor(reader, minScore) {
    this.#reader = reader;
    this.#minScore = minScore;
  }

  /**
   * A reader with the built-in model, or with another.
   * @param {Loading & { model?: Source }} [options]
   */
  static async load(options = {}) {
    const [wasm, model] = await Promise.all([library(options), bytes(options.model ?? MODELS.speech)]);
    return new SpeechReader(new wasm.SpeechReader(model), options.minScore);
  }

  /** The name of the model. */
  get model() {
    return this.#reader.model;
  }

  /**
   * A pipeline that shares the weights of this reader: nothing is loaded again.
   * @param {{ minScore?: number }} [options]
   */
  pipeline({ minScore } = {}) {
    return new Pipeline(this.#reader.pipeline(minScore));
  }

  /**
   * @param {SpeechReader} speech
   * @param {import('./wasm/demeanor.js').FaceReader} face
   * @param {number} [minScore]
   * @internal use pipeline() of a FaceReader
   */
  static pipelineOf(speech, face, minScore) {
    return face.pipelineWith(speech.#reader, minScore);
  }

  /**
   * The scores of one utterance of any length; null where it is silent.
   * @param {Sound} sound
   * @returns {Scores | null}
   */
  read({ samples, rate, channels = 1 }) {
    return JSON.parse(this.#reader.read(samples, channels, rate));
  }

  /**
   * The utterances of a recording with what they read as.
   * @param {Sound} sound
   * @returns {RecordingRecord}
   */
  record({ samples, rate, channels = 1 }) {
    return JSON.parse(this.#reader.record(samples, channels, rate, this.#minScore));
  }

  /** Gives its memory back; the reader cannot be used any more. */
  free() {
    this.#reader.free();
  }
}

/** Follows faces and a voice in time, and fuses both. Times are in seconds from the start and never go back. */
export class Pipeline {
  #pipeline;

  /**
   * @param {import('./wasm/demeanor.js').Pipeline} pipeline
   * @internal use Pipeline.load(), or pipeline() of a reader
   */
  constructor(pipeline) {
    this.#pipeline = pipeline;
  }

  /**
   * A pipeline with the built-in models, or others; `false` leaves a sense out.
   * @param {Loading & { face?: Source | false, detector?: Source, speech?: Source | false }} [options]
   */
  static async load(options = {}) {
    const { face, speech, detector, minScore, ...rest } = options;
    const [faces, voices] = await Promise.all([
      face === false ? undefined : FaceReader.load({ ...rest, model: face, detector }),
      speech === false ? undefined : SpeechReader.load({ ...rest, model: speech }),
    ]);
    const pipeline = faces ? faces.pipeline({ speech: voices, minScore }) : voices?.pipeline({ minScore });
    // the pipeline has its own hold of the weights
    faces?.free();
    voices?.free();
    if (!pipeline) throw new Error('a pipeline needs a sense; leave only one of face and speech out');
    return pipeline;
  }

  /**
   * Sees a frame.
   * @param {Picture} picture
   * @param {number} time_s
   */
  see(picture, time_s) {
    const { data, width, height } = pixels(picture);
    this.#pipeline.see(/** @type {Uint8Array} */ (data), width, height, time_s);
  }

  /**
   * Hears sound whose first sample is of a time.
   * @param {Sound} sound
   * @param {number} time_s
   */
  hear({ samples, rate, channels = 1 }, time_s) {
    this.#pipeline.hear(samples, channels, rate, time_s);
  }

  /** Ends the sound: an utterance that is still going on is read as it is. */
  endOfSound() {
    this.#pipeline.endOfSound();
  }

  /**
   * From when until when the person is at rest: later scores are corrected for it. An empty stretch ends the correction.
   * @param {number} from_s
   * @param {number} until_s
   */
  rest(from_s, until_s) {
    this.#pipeline.rest(from_s, until_s);
  }

  /**
   * What is estimated now.
   * @returns {EstimateRecord}
   */
  estimate() {
    return JSON.parse(this.#pipeline.estimate());
  }

  /** The voice, for the takeVoice of a pipeline in another worker. */
  get voice() {
    return this.#pipeline.voice;
  }

  /**
   * Takes the voice that a pipeline in another worker hears by the same clock.
   * @param {string} voice
   */
  takeVoice(voice) {
    this.#pipeline.takeVoice(voice);
  }

  /** Whether a baseline corrects what is told. */
  get hasBaseline() {
    return this.#pipeline.hasBaseline;
  }

  /** Gives its memory back; the pipeline cannot be used any more. */
  free() {
    this.#pipeline.free();
  }
}

/** The instructions that the kernels run with, such as "wasm relaxed". */
export async function instructions() {
  return (await library()).instructions();
}
