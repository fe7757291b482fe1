//! Sound of any rate and channel count to mono at the rate that a model reads.
//!
//! Channels are averaged; one that is wired the wrong way round, so that it would cancel the others, is turned over first.
//! The rate is changed by rubato's FFT resampler in blocks of 20 ms (more below 16 kHz) with a Blackman-Harris
//! window: flat to 93 % of the lower Nyquist frequency, and what lies above it is 80 dB down. Its delay is taken off, so
//! sample `n` of the output stands at the same time as sample `n * from / to` of the input.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::error::{Error, ErrorKind, Result};
use crate::input::{Audio, Hz};

/// The lowest rate that is accepted; telephone speech has 8000 Hz.
pub const LOWEST_RATE: Hz = Hz(1_000);
/// The highest rate that is accepted.
pub const HIGHEST_RATE: Hz = Hz(1_536_000);
/// The largest absolute sample that is accepted; full scale is 1.
pub const LARGEST_SAMPLE: f32 = 1e9;

/// Samples of a block at the lower of the two rates, at least: 20 ms at 16 kHz. Longer blocks have sharper filters and
/// more delay.
const BLOCK: u64 = 320;

/// Refuses samples that are not finite or absurdly large.
pub(crate) fn check_samples(samples: &[f32]) -> Result<()> {
    // The comparison is false for NaN. No early exit, so that the common case is one vectorised pass.
    let good = samples.iter().fold(true, |good, s| good & (s.abs() <= LARGEST_SAMPLE));
    if good {
        return Ok(());
    }
    let (at, value) =
        samples.iter().copied().enumerate().find(|(_, s)| s.is_nan() || s.abs() > LARGEST_SAMPLE).unwrap_or_default();
    Err(Error::new(ErrorKind::NotFinite, format!("sample {at} is {value}; samples are numbers, full scale is 1")))
}

/// Brings sound that arrives in pieces to mono at another rate. What comes out does not depend on how the sound was cut
/// into pieces.
pub struct Resampler {
    from: Hz,
    to: Hz,
    channels: usize,
    mixer: Mixer,
    /// Absent when only channels are mixed.
    filter: Option<Fft<f32>>,
    /// Mono input that does not make a block yet.
    pending: Vec<f32>,
    /// One block of output.
    block: Vec<f32>,
    /// Output still to be dropped: the delay of the filter.
    skip: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A resampler for sound of a rate and channel count.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when there is no channel or a rate is not within [`LOWEST_RATE`] and [`HIGHEST_RATE`].
    pub fn new(from: Hz, channels: usize, to: Hz) -> Result<Self> {
        for rate in [from, to] {
            if rate < LOWEST_RATE || rate > HIGHEST_RATE {
                return Err(Error::new(
                    ErrorKind::Sound,
                    format!("a rate of {} Hz; expected {} to {} Hz", rate.0, LOWEST_RATE.0, HIGHEST_RATE.0),
                ));
            }
        }
        if channels == 0 {
            return Err(Error::new(ErrorKind::Sound, "sound of 0 channels; expected at least 1"));
        }
        let filter = if from == to {
            None
        } else {
            // Blocks are whole at both rates, and even, so that the delay is a whole number of samples.
            let (rate, least) = (from.0 as usize, from.0 / gcd(from.0, to.0));
            let wanted = (u64::from(from.0) * BLOCK).div_ceil(u64::from(from.0.min(to.0)));
            let block = wanted.div_ceil(u64::from(least)).next_multiple_of(2) as usize * least as usize;
            let window = WindowFunction::BlackmanHarris2;
            let filter = Fft::new_custom(rate, to.0 as usize, block, 1, 1, window, FixedSync::Both).map_err(|e| {
                Error::new(ErrorKind::Sound, format!("no filter from {} to {} Hz", from.0, to.0)).with_source(e)
            })?;
            Some(filter)
        };
        let (input, output, skip) = match &filter {
            Some(f) => (f.input_frames_max(), f.output_frames_max(), f.output_delay()),
            None => (0, 0, 0),
        };
        Ok(Resampler {
            from,
            to,
            channels,
            mixer: Mixer::new(channels, from),
            filter,
            pending: Vec::with_capacity(input),
            block: vec![0.0; output],
            skip,
            taken: 0,
            given: 0,
        })
    }

    /// Takes the next piece, appends what is ready to `out`. Allocates only when `out` must grow.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when the piece has another rate or channel count than the resampler,
    /// [`ErrorKind::NotFinite`] when a sample is not a number or beyond [`LARGEST_SAMPLE`]; the piece is then not taken.
    pub fn push(&mut self, piece: &Audio<'_>, out: &mut Vec<f32>) -> Result<()> {
        if piece.rate() != self.from || piece.channels() != self.channels {
            return Err(Error::new(
                ErrorKind::Sound,
                format!(
                    "expected {} channels at {} Hz, found {} at {} Hz",
                    self.channels,
                    self.from.0,
                    piece.channels(),
                    piece.rate().0
                ),
            ));
        }
        check_samples(piece.samples())?;
        self.taken += (piece.samples().len() / self.channels) as u64;
        if self.filter.is_none() {
            self.mixer.mix(piece.samples(), out);
            return Ok(());
        }
        let room = self.room();
        let mut rest = piece.samples();
        while !rest.is_empty() {
            let count = rest.len().min((room - self.pending.len()) * self.channels);
            let (now, later) = rest.split_at(count);
            self.mixer.mix(now, &mut self.pending);
            rest = later;
            if self.pending.len() == room {
                self.run(out, u64::MAX)?;
            }
        }
        Ok(())
    }

    /// Ends the sound: appends what the filter still holds. The output then has `ceil(input * to / from)` samples, and the
    /// resampler is ready for another sound.
    ///
    /// # Errors
    /// None that a caller can bring about.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        if self.filter.is_some() {
            let room = self.room();
            let whole = (u128::from(self.taken) * u128::from(self.to.0)).div_ceil(u128::from(self.from.0)) as u64;
            while self.given < whole {
                self.pending.resize(room, 0.0);
                self.run(out, whole)?;
            }
        }
        self.pending.clear();
        (self.taken, self.given, self.skip) = (0, 0, 0);
        self.mixer = Mixer::new(self.channels, self.from);
        if let Some(filter) = &mut self.filter {
            filter.reset();
            self.skip = filter.output_delay();
        }
        Ok(())
    }

    /// Input samples in a block.
    fn room(&self) -> usize {
        self.filter.as_ref().map_or(0, |f| f.input_frames_next())
    }

    /// Filters the pending block; appends no more than makes `whole` samples in all.
    fn run(&mut self, out: &mut Vec<f32>, whole: u64) -> Result<()> {
        let Some(filter) = &mut self.filter else { return Ok(()) };
        let failed = |e: String| Error::new(ErrorKind::Sound, format!("the resampler failed: {e}"));
        let input = SequentialSlice::new(&self.pending, 1, self.pending.len()).map_err(|e| failed(e.to_string()))?;
        let room = self.block.len();
        let mut output = SequentialSlice::new_mut(&mut self.block, 1, room).map_err(|e| failed(e.to_string()))?;
        let (_, made) = filter.process_into_buffer(&input, &mut output, None).map_err(|e| failed(e.to_string()))?;
        let dropped = self.skip.min(made);
        self.skip -= dropped;
        let kept = ((made - dropped) as u64).min(whole - self.given) as usize;
        out.extend_from_slice(&self.block[dropped..dropped + kept]);
        self.given += kept as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Brings whole stretches of sound to mono at one rate, one after the other. What is so already is not copied.
pub(crate) struct ToMono {
    to: Hz,
    /// The resampler of the last stretch that needed one, with its rate and channel count.
    resampler: Option<(Hz, usize, Resampler)>,
    samples: Vec<f32>,
}

impl ToMono {
    pub(crate) fn new(to: Hz) -> Self {
        ToMono { to, resampler: None, samples: Vec::new() }
    }

    /// The whole stretch as [`resample`] gives it.
    ///
    /// # Errors
    /// As [`resample`].
    pub(crate) fn convert<'a>(&'a mut self, audio: &Audio<'a>) -> Result<Audio<'a>> {
        let (rate, channels) = (audio.rate(), audio.channels());
        if rate == self.to && channels == 1 {
            return Ok(*audio);
        }
        let same = self.resampler.take_if(|(r, c, _)| (*r, *c) == (rate, channels));
        let (_, _, resampler) = self.resampler.insert(match same {
            Some(same) => same,
            None => (rate, channels, Resampler::new(rate, channels, self.to)?),
        });
        self.samples.clear();
        resampler.push(audio, &mut self.samples)?;
        resampler.finish(&mut self.samples)?;
        Ok(Audio::mono(&self.samples, self.to))
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What is told apart from a constant offset and rumble before channels are compared, in Hz.
const COMPARED_FROM_HZ: f32 = 60.0;
/// How long channels are compared for, in seconds.
const COMPARED_FOR_S: f32 = 0.5;
/// How long it takes to turn a channel over, in seconds: at once would be a click.
const TURNED_IN_S: f32 = 0.02;
/// The square of the correlation below which a channel counts as turned over: -0.6.
const OPPOSED: f32 = 0.36;
/// The square of the correlation above which it does not any more: -0.3.
const AGREED: f32 = 0.09;

/// The mean of channels, each turned over while it runs against those before it. Sample by sample, so that it does not
/// depend on how the sound was cut into pieces.
struct Mixer {
    /// The first channel's slow part.
    slow: f32,
    /// The other channels.
    others: Vec<Channel>,
    /// How much of the difference a slow part follows.
    follow: f32,
    /// What is kept of the sums with each sample.
    keep: f32,
    /// The most that a gain changes with each sample.
    step: f32,
}

#[derive(Clone)]
struct Channel {
    slow: f32,
    /// Energy of the channels before it, its own, and what they share.
    before: f32,
    own: f32,
    shared: f32,
    is_opposed: bool,
    gain: f32,
}

impl Mixer {
    fn new(channels: usize, rate: Hz) -> Mixer {
        let rate = rate.0 as f32;
        let channel = Channel { slow: 0.0, before: 0.0, own: 0.0, shared: 0.0, is_opposed: false, gain: 1.0 };
        Mixer {
            slow: 0.0,
            others: vec![channel; channels.saturating_sub(1)],
            follow: 1.0 - (-std::f32::consts::TAU * COMPARED_FROM_HZ / rate).exp(),
            keep: (-1.0 / (COMPARED_FOR_S * rate)).exp(),
            step: 2.0 / (TURNED_IN_S * rate),
        }
    }

    /// Appends the mean of each group of channels.
    fn mix(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.others.is_empty() {
            out.extend_from_slice(samples);
            return;
        }
        let channels = self.others.len() + 1;
        out.extend(samples.chunks_exact(channels).map(|group| self.mean(group, channels as f32)));
    }

    fn mean(&mut self, group: &[f32], count: f32) -> f32 {
        let mut sum = group[0];
        let mut quick = sum - self.slow;
        self.slow += self.follow * quick;
        for (channel, &sample) in self.others.iter_mut().zip(&group[1..]) {
            let own = sample - channel.slow;
            channel.slow += self.follow * own;
            channel.before = channel.before * self.keep + quick * quick;
            channel.own = channel.own * self.keep + own * own;
            channel.shared = channel.shared * self.keep + quick * own;
            let (shared, whole) = (channel.shared * channel.shared, channel.before * channel.own);
            if channel.shared >= 0.0 || shared < AGREED * whole {
                channel.is_opposed = false;
            } else if shared > OPPOSED * whole {
                channel.is_opposed = true;
            }
            let wanted = if channel.is_opposed { -1.0 } else { 1.0 };
            channel.gain += (wanted - channel.gain).clamp(-self.step, self.step);
            sum += channel.gain * sample;
            quick += channel.gain * own;
        }
        sum / count
    }
}

/// A whole sound as mono at another rate: `ceil(n * to / from)` samples.
///
/// # Errors
/// As [`Resampler::new`] and [`Resampler::push`].
pub fn resample(audio: &Audio<'_>, to: Hz) -> Result<Vec<f32>> {
    let mut resampler = Resampler::new(audio.rate(), audio.channels(), to)?;
    let frames = (audio.samples().len() / audio.channels()) as u128;
    let mut out = Vec::with_capacity((frames * u128::from(to.0)).div_ceil(u128::from(audio.rate().0)) as usize);
    resampler.push(audio, &mut out)?;
    resampler.finish(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(rate: u32, hz: f64, seconds: f64) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..(f64::from(rate) * seconds) as usize).map(|n| (n as f64 * step).sin() as f32).collect()
    }

    #[test]
    fn a_channel_that_is_turned_over_does_not_erase_the_voice() {
        for channels in [2, 3, 6] {
            for turned in 0..channels {
                for offset in [0.0, 0.05] {
                    let voice = tone(48_000, 200.0, 2.0);
                    let sign = |c: usize| if c == turned { -1.0 } else { 1.0 };
                    let all = voice.iter().flat_map(|s| (0..channels).map(move |c| 0.5 * s * sign(c) + offset));
                    let mono =
                        resample(&Audio::new(&all.collect::<Vec<_>>(), channels, Hz(48_000)).unwrap(), Hz(16_000));
                    let late = &mono.unwrap()[8_000..];
                    let mean = late.iter().sum::<f32>() / late.len() as f32;
                    let power = late.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>() / late.len() as f32;
                    assert!((power / 0.125 - 1.0).abs() < 0.02, "{turned} of {channels}, offset {offset}: {power}");
                }
            }
        }
    }

    #[test]
    fn channels_that_differ_are_averaged_as_they_are() {
        // unlike voices, one channel silent, a quarter of a turn apart
        let (a, b) = (tone(16_000, 180.0, 1.0), tone(16_000, 311.0, 1.0));
        let late = tone(16_000, 180.0, 1.1).split_off(22);
        for other in [b, vec![0.0; 16_000], late[..16_000].to_vec()] {
            let both: Vec<f32> = a.iter().zip(&other).flat_map(|(a, b)| [*a, *b]).collect();
            let mono = resample(&Audio::new(&both, 2, Hz(16_000)).unwrap(), Hz(16_000)).unwrap();
            let mean: Vec<f32> = a.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
            assert!(mono[1600..] == mean[1600..]);
        }
    }

    fn mono(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
        resample(&Audio::new(samples, 1, Hz(from)).unwrap(), Hz(to)).unwrap()
    }

    fn rms(samples: &[f32]) -> f64 {
        (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    const RATES: [u32; 9] = [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000];

    #[test]
    fn tones_keep_height_time_and_level() {
        for rate in RATES {
            let nyquist = f64::from(rate.min(16_000)) / 2.0;
            // A sweep in steps to 93 % of the lower Nyquist frequency.
            for step in 1..=15 {
                let hz = nyquist * 0.93 * f64::from(step) / 15.0;
                let out = mono(&tone(rate, hz, 0.5), rate, 16_000);
                let want = tone(16_000, hz, 0.5);
                assert_eq!(out.len(), want.len(), "{rate} Hz");
                // The ends see the sudden start and stop of the tone.
                let error: Vec<f32> = out.iter().zip(&want).map(|(a, b)| a - b).collect();
                let error = rms(&error[1000..7000]);
                assert!(error < 2e-3, "{rate} Hz, tone {hz:.0} Hz: error {error}");
            }
        }
    }

    #[test]
    fn what_lies_above_nyquist_is_gone() {
        for rate in [22_050, 32_000, 44_100, 48_000, 96_000, 192_000] {
            for hz in [8_400.0, 9_000.0, 10_000.0, 15_000.0, 23_000.0, 40_000.0, 90_000.0] {
                if hz < f64::from(rate) / 2.0 {
                    let out = mono(&tone(rate, hz, 0.5), rate, 16_000);
                    let left = 20.0 * (rms(&out[1000..7000]) * 2f64.sqrt()).log10();
                    assert!(left < -80.0, "{rate} Hz, tone {hz} Hz: {left:.1} dB left");
                }
            }
        }
    }

    #[test]
    fn lengths_and_channels() {
        for (frames, rate, to, want) in [
            (1, 48_000, 16_000, 1),
            (3, 48_000, 16_000, 1),
            (4, 48_000, 16_000, 2),
            (100, 8_000, 16_000, 200),
            (5, 16_000, 16_000, 5),
            (0, 48_000, 16_000, 0),
            (47_999, 47_999, 16_000, 16_000),
        ] {
            assert_eq!(mono(&vec![0.5; frames], rate, to).len(), want, "{frames} at {rate} Hz");
        }
        let voice = tone(48_000, 440.0, 0.2);
        let surround: Vec<f32> = voice.iter().flat_map(|&s| [s; 8]).collect();
        let out = resample(&Audio::new(&surround, 8, Hz(48_000)).unwrap(), Hz(16_000)).unwrap();
        let worst = out.iter().zip(mono(&voice, 48_000, 16_000)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn one_converter_gives_what_single_resamplers_give() {
        let mut to_mono = ToMono::new(Hz(16_000));
        let sound = tone(48_000, 300.0, 0.3);
        for (rate, channels) in [(48_000, 2), (48_000, 2), (8_000, 1), (16_000, 1), (16_000, 3), (48_000, 2)] {
            let audio = Audio::new(&sound, channels, Hz(rate)).unwrap();
            assert_eq!(to_mono.convert(&audio).unwrap().samples(), resample(&audio, Hz(16_000)).unwrap());
        }
    }

    #[test]
    fn refuses_what_is_no_sound() {
        for (rate, channels) in [(0, 1), (999, 1), (2_000_000, 1), (48_000, 0)] {
            assert!(Resampler::new(Hz(rate), channels, Hz(16_000)).is_err(), "{rate} Hz, {channels} channels");
        }
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            let error = resample(&Audio::new(&[0.0, bad], 1, Hz(48_000)).unwrap(), Hz(16_000)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFinite);
        }
        let mut resampler = Resampler::new(Hz(48_000), 2, Hz(16_000)).unwrap();
        let error = resampler.push(&Audio::new(&[0.0], 1, Hz(48_000)).unwrap(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sound);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pieces_do_not_matter(seed in 0u32..1000, rate in proptest::sample::select(RATES.to_vec()), cuts in proptest::collection::vec(1usize..3000, 1..20)) {
            let sound: Vec<f32> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761 + 2 * seed) >> 16) as f32 / 32_768.0 - 1.0).collect();
            let whole = resample(&Audio::new(&sound, 2, Hz(rate)).unwrap(), Hz(16_000)).unwrap();
            let mut resampler = Resampler::new(Hz(rate), 2, Hz(16_000)).unwrap();
            // The second round checks that `finish` leaves nothing behind.
            for _ in 0..2 {
                let (mut out, mut rest, mut cuts) = (Vec::new(), &sound[..], cuts.iter().cycle());
                while !rest.is_empty() {
                    let (piece, later) = rest.split_at(rest.len().min(2 * cuts.next().unwrap()));
                    resampler.push(&Audio::new(piece, 2, Hz(rate)).unwrap(), &mut out).unwrap();
                    rest = later;
                }
                resampler.finish(&mut out).unwrap();
                prop_assert!(out == whole);
            }
        }
    }
}
