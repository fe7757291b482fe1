/** An emotion that an expression can read as. */
export type Emotion = 'angry' | 'disgust' | 'fear' | 'happy' | 'sad' | 'surprise' | 'neutral' | 'calm' | 'contempt';
/** What an expression reads as; unsure when no score is high enough. */
export type Reading = Emotion | 'unsure';
/** A probability for each label of the model; they sum to 1. */
export type Scores = Partial<Record<Emotion, number>>;
/** A box in pixels of the picture. */
export interface Region { x: number; y: number; width: number; height: number }
/** Points [x, y] in pixels of the picture; right and left are the person's own. */
export interface Landmarks {
  right_eye: [number, number]; left_eye: [number, number]; nose: [number, number];
  mouth: [number, number]; right_ear: [number, number]; left_ear: [number, number];
}
/** What something reads as. */
export interface Told { emotion: Reading; score: number; scores: Scores }
export interface FaceRecord extends Told {
  region: Region;
  /** How sure the detector is, 0 to 1; null where the picture was read whole. */
  confidence: number | null;
  landmarks: Landmarks | null;
  /** How much there was to be read, 0 to 1. */
  quality: number;
}
export interface PictureRecord { width: number; height: number; /** The largest first. */ faces: FaceRecord[] }
export interface SegmentRecord extends Told { start_s: number; end_s: number }
export interface RecordingRecord { duration_s: number; model: string; segments: SegmentRecord[] }
/** What is null until something was read. */
export interface MaybeTold { emotion: Reading | null; score: number | null; scores: Scores | null }
export interface SeenRecord extends MaybeTold {
  /** The number of the face, from 1. */
  id: number; region: Region; confidence: number; landmarks: Landmarks | null; quality: number;
}
export interface VoiceRecord extends MaybeTold { speaking: boolean; level_db: number }
export interface FusedRecord extends Told { face_weight: number; speech_weight: number }
export interface EstimateRecord {
  time_s: number; frame?: number; faces: SeenRecord[]; voice: VoiceRecord | null; fused: FusedRecord | null;
}
/** Pixels of one, three or four bytes (grey, RGB, RGBA), rows from the top without gaps. */
export interface Pixels { data: Uint8Array | Uint8ClampedArray; width: number; height: number }
/** What a face can be read from. */
export type Picture = Pixels | ImageData | VideoFrame | HTMLVideoElement | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | ImageBitmap;
/** Sound: samples from -1 to 1, interleaved where there are several channels (1 unless told), and the rate in Hz. */
export interface Sound { samples: Float32Array; rate: number; channels?: number }
/** Where a model comes from: a place, or its bytes. */
export type Source = string | URL | ArrayBuffer | Uint8Array;
