//! Sound to mel powers: frames under a window, two to a transform, and the mel filter bank, sixteen frames at a time.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::input::Hz;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Computes mel powers; holds tables and buffers, so that nothing is allocated in use.
pub(crate) struct MelPowers {
    isa: Isa,
    frame: usize,
    hop: usize,
    window: Vec<f32>,
    /// The window times the gain of the sound.
    gained: Vec<f32>,
    fft: Arc<dyn Fft<f32>>,
    /// Two frames under the window, padded with zeros to the length of the transform.
    pair: [Vec<f32>; 2],
    /// Both in one transform: the first in the real parts, the second in the imaginary ones.
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// The power of each bin in a group of frames.
    power: Vec<[f32; LANES]>,
    bank: MelBank,
}

impl MelPowers {
    /// Tables for frames of `frame` samples every `hop`, transforms of `fft` points (even, `frame` at least) and a bank of
    /// `bands`.
    pub(crate) fn new(rate: Hz, fft: usize, frame: usize, hop: usize, bands: usize) -> Self {
        let bank = MelBank::new(rate, fft, bands);
        let window = hamming(frame);
        let plan = FftPlanner::<f32>::new().plan_fft_forward(fft);
        MelPowers {
            isa: Isa::best(),
            frame,
            hop,
            gained: window.clone(),
            window,
            pair: [vec![0.0; fft], vec![0.0; fft]],
            spectrum: vec![Complex::default(); fft],
            scratch: vec![Complex::default(); plan.get_inplace_scratch_len()],
            power: vec![[0.0; LANES]; fft / 2 + 1],
            fft: plan,
            bank,
        }
    }

    /// The mel powers of as many frames as `rows` (`frames x bands`, frame by frame) has room for. Frame `t` is centred
    /// on sample `t hop` of the sound times `gain`, with zeros beyond both ends.
    pub(crate) fn run(&mut self, samples: &[f32], gain: f32, rows: &mut [f32]) {
        for (gained, weight) in self.gained.iter_mut().zip(&self.window) {
            *gained = weight * gain;
        }
        let bands = self.bank.spans.len();
        for (group, rows) in rows.chunks_mut(LANES * bands).enumerate() {
            let frames = rows.len() / bands;
            for first in (0..frames).step_by(2) {
                self.windowed(samples, group * LANES + first, 0);
                // beyond the last frame there is a last pair's other half, which nobody asks for
                self.windowed(samples, group * LANES + first + 1, 1);
                for ((z, x), y) in self.spectrum.iter_mut().zip(&self.pair[0]).zip(&self.pair[1]) {
                    *z = Complex::new(*x, *y);
                }
                self.fft.process_with_scratch(&mut self.spectrum, &mut self.scratch);
                self.isa.dispatch(Powers { spectrum: &self.spectrum, power: &mut self.power, lane: first });
            }
            self.isa.dispatch(Bands { bank: &self.bank, power: &self.power, rows });
        }
    }

    /// Makes each value `scale log10(max(value, least) + floor)`.
    pub(crate) fn logarithms(&self, values: &mut [f32], least: f32, floor: f32, scale: f32) {
        self.isa.dispatch(Logarithms { values, least, floor, scale });
    }

    /// Puts frame `t` under its window.
    fn windowed(&mut self, samples: &[f32], t: usize, part: usize) {
        let fft = self.spectrum.len();
        let lead = (fft - self.frame) / 2;
        // The window's first sample stands at `t * hop + lead - fft / 2`; what lies outside the sound is 0.
        let before = fft / 2 - lead;
        let first = (t * self.hop).saturating_sub(before);
        let skipped = (before + first).saturating_sub(t * self.hop).min(self.frame);
        let last = (t * self.hop + self.frame).saturating_sub(before).min(samples.len());
        let sound = samples.get(first..last).unwrap_or_default();
        let out = &mut self.pair[part][lead..lead + self.frame];
        let (start, rest) = out.split_at_mut(skipped);
        let (middle, end) = rest.split_at_mut(sound.len().min(rest.len()));
        start.fill(0.0);
        end.fill(0.0);
        for ((out, sample), weight) in middle.iter_mut().zip(sound).zip(&self.gained[skipped..]) {
            *out = sample * weight;
        }
    }
}

/// The power spectra of two frames that were transformed together, to two lanes.
struct Powers<'a> {
    spectrum: &'a [Complex<f32>],
    power: &'a mut [[f32; LANES]],
    lane: usize,
}

impl SimdOp for Powers<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        // Of z = x + i y, X[k] = (Z[k] + Z*[n - k]) / 2 and Y[k] = (Z[k] - Z*[n - k]) / 2i.
        let mirrored = std::iter::once(&self.spectrum[0]).chain(self.spectrum[1..].iter().rev());
        for ((power, z), m) in self.power.iter_mut().zip(self.spectrum).zip(mirrored) {
            let (x, y) = ([z.re + m.re, z.im - m.im], [z.im + m.im, m.re - z.re]);
            power[self.lane] = 0.25 * (x[0] * x[0] + x[1] * x[1]);
            power[self.lane + 1] = 0.25 * (y[0] * y[0] + y[1] * y[1]);
        }
    }
}

/// The filter bank of a group of frames.
struct Bands<'a> {
    bank: &'a MelBank,
    power: &'a [[f32; LANES]],
    rows: &'a mut [f32],
}

impl SimdOp for Bands<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        let bands = self.bank.spans.len();
        let mut weights = &self.bank.weights[..];
        for (band, &(first, count)) in self.bank.spans.iter().enumerate() {
            let (now, later) = weights.split_at(count);
            let mut sums = [0.0; LANES];
            for (weight, power) in now.iter().zip(&self.power[first..]) {
                for (sum, p) in sums.iter_mut().zip(power) {
                    *sum += weight * p;
                }
            }
            for (row, sum) in self.rows.chunks_exact_mut(bands).zip(sums) {
                row[band] = sum;
            }
            weights = later;
        }
    }
}

struct Logarithms<'a> {
    values: &'a mut [f32],
    least: f32,
    floor: f32,
    scale: f32,
}

impl SimdOp for Logarithms<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        for value in self.values {
            *value = self.scale * log10(value.max(self.least) + self.floor);
        }
    }
}

/// The periodic Hamming window, as `scipy.signal.get_window("hamming", n)`.
fn hamming(length: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU / length as f64;
    (0..length).map(|n| (0.54 - 0.46 * (n as f64 * step).cos()) as f32).collect()
}

/// Triangles on Slaney's mel scale, each of area 1 in Hz, of which only the bins that are not 0 are kept.
struct MelBank {
    /// First bin and number of bins of each band.
    spans: Vec<(usize, usize)>,
    /// The weights of all bands, one after the other.
    weights: Vec<f32>,
}

impl MelBank {
    fn new(rate: Hz, fft: usize, bands: usize) -> Self {
        let rate = f64::from(rate.0);
        let top = hz_to_mel(rate / 2.0);
        let edge = |m: usize| mel_to_hz(top * m as f64 / (bands + 1) as f64);
        let mut bank = MelBank { spans: Vec::with_capacity(bands), weights: Vec::new() };
        for band in 0..bands {
            let (low, centre, high) = (edge(band), edge(band + 1), edge(band + 2));
            let weight = |bin: usize| {
                let hz = bin as f64 * rate / fft as f64;
                let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre)).max(0.0);
                (triangle * 2.0 / (high - low)) as f32
            };
            let first = (0..=fft / 2).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let start = bank.weights.len();
            bank.weights.extend((first..=fft / 2).map(weight).take_while(|&w| w > 0.0));
            bank.spans.push((first, bank.weights.len() - start));
        }
        bank
    }
}

/// Slaney's scale: linear below 1000 Hz, then 27 steps for each factor of 6.4 (Slaney, Auditory Toolbox, 1998).
const LINEAR_HZ: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1000.0;

fn hz_to_mel(hz: f64) -> f64 {
    if hz < BREAK_HZ { hz / LINEAR_HZ } else { BREAK_HZ / LINEAR_HZ + (hz / BREAK_HZ).ln() * 27.0 / 6.4f64.ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    let at = BREAK_HZ / LINEAR_HZ;
    if mel < at { mel * LINEAR_HZ } else { BREAK_HZ * ((mel - at) * 6.4f64.ln() / 27.0).exp() }
}

/// The common logarithm of a positive, normal number; error below 1e-6. A form that the compiler can vectorise, which
/// calls to the mathematics library are not.
#[inline(always)]
fn log10(x: f32) -> f32 {
    // x = m 2^e with m within sqrt(1/2) and sqrt(2); ln m = 2 artanh((m - 1) / (m + 1)) by its series.
    let bits = x.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = (bits as i32 >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let r = (m - 1.0) / (m + 1.0);
    let q = r * r;
    let series = 2.0 + q * (2.0 / 3.0 + q * (2.0 / 5.0 + q * (2.0 / 7.0 + q * (2.0 / 9.0))));
    exponent * std::f32::consts::LOG10_2 + r * series * std::f32::consts::LOG10_E
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn the_bank_equals_librosa() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/speech/goldens.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let goldens = SafeTensors::deserialize(&bytes).unwrap();
        for (rate, fft, bands) in [(16_000, 512, 40), (16_000, 512, 64), (16_000, 512, 128), (8_000, 256, 26)] {
            let wanted = goldens.tensor(&format!("mel/{rate}/{fft}/{bands}")).unwrap();
            let wanted: Vec<f32> = wanted.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            let top = wanted.iter().fold(0f32, |top, w| top.max(w.abs()));
            let bank = MelBank::new(Hz(rate), fft, bands);
            let bins = fft / 2 + 1;
            let mut power = vec![[0.0; LANES]; bins];
            let mut rows = vec![0.0; LANES * bands];
            for isa in Isa::available() {
                for bin in 0..bins {
                    // another power in each frame
                    power.fill([0.0; LANES]);
                    power[bin] = std::array::from_fn(|frame| 1.0 + frame as f32);
                    isa.dispatch(Bands { bank: &bank, power: &power, rows: &mut rows });
                    for (frame, row) in rows.chunks_exact(bands).enumerate() {
                        for (band, found) in row.iter().enumerate() {
                            let wanted = wanted[band * bins + bin];
                            let error = (found / (1.0 + frame as f32) - wanted).abs() / wanted.abs().max(0.01 * top);
                            assert!(error < 1e-3, "{isa}, {rate} Hz, band {band}, bin {bin}: {error}");
                        }
                    }
                }
            }
        }
    }

    /// Each frame's powers as the definition has them, in double precision.
    fn defined(samples: &[f32], [fft, frame, hop, bands]: [usize; 4], t: usize) -> Vec<f64> {
        let (window, bank) = (hamming(frame), MelBank::new(Hz(16_000), fft, bands));
        let place = |n: usize| (t * hop + n) as isize - frame as isize / 2;
        let at = |n: usize| samples.get(usize::try_from(place(n)).ok()?).map(|s| f64::from(s * 0.5 * window[n]));
        let power = |bin: usize| {
            let turn = -std::f64::consts::TAU * bin as f64 / fft as f64;
            let mut sums = [0.0; 2];
            for n in 0..frame {
                let (sin, cos) = (turn * n as f64).sin_cos();
                sums = [sums[0] + at(n).unwrap_or(0.0) * cos, sums[1] + at(n).unwrap_or(0.0) * sin];
            }
            sums[0] * sums[0] + sums[1] * sums[1]
        };
        let powers: Vec<f64> = (0..=fft / 2).map(power).collect();
        let mut weights = bank.weights.iter();
        let band = |&(first, count): &(usize, usize)| {
            weights.by_ref().take(count).zip(&powers[first..]).map(|(w, p)| f64::from(*w) * p).sum()
        };
        bank.spans.iter().map(band).collect()
    }

    #[test]
    fn powers_are_as_defined_for_any_number_of_frames() {
        let samples: Vec<f32> = (0..1_900).map(|i| (i as f32 * 0.3).sin() * (i as f32 * 0.002).sin()).collect();
        let sizes @ [fft, frame, hop, bands] = [128, 100, 40, 8];
        let mut mel = MelPowers::new(Hz(16_000), fft, frame, hop, bands);
        // an odd number of frames, more than a group, and frames beyond the sound
        for frames in [1, 2, 16, 17, 49] {
            let mut rows = vec![f32::NAN; frames * bands];
            mel.run(&samples, 0.5, &mut rows);
            for (t, row) in rows.chunks_exact(bands).enumerate() {
                for (found, wanted) in row.iter().zip(defined(&samples, sizes, t)) {
                    let error = (f64::from(*found) - wanted).abs();
                    assert!(error < 1e-5 * wanted + 1e-8, "frame {t} of {frames}: {found}, wanted {wanted}");
                }
            }
        }
    }

    #[test]
    fn logarithm_is_exact_enough() {
        let mut x = 1e-30f32;
        while x < 1e30 {
            let error = (f64::from(log10(x)) - f64::from(x).log10()).abs();
            assert!(error < 1e-6 * f64::from(x).log10().abs().max(1.0), "{x}: {error}");
            x *= 1.000_37;
        }
    }
}
