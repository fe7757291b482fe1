//! Judges the windows of a row, several side by side.
//!
//! One algorithm, written over [`Windows`]: a portable form that the compiler vectorises, AVX2 and AVX-512. All of them
//! do the same single-precision operations in the same order, so they agree bit by bit.

use super::Isa;
use super::vector::{Simd, SimdOp};
use crate::face::detect::cascade::{Feature, Plan, PlanStage, Rule};

/// Rows of the integral images of a picture and of its squared values, laid out as a plan asks for it. Both wrap around;
/// differences over a window come out right all the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sums<'a> {
    pub values: &'a [i32],
    pub squares: &'a [i32],
}

/// How many numbers beyond the last window's last corner must be readable.
pub(crate) const SPARE: usize = 16;

/// Adds to `found` which of `count` neighbouring windows pass all stages; the first one's top left corner is at `from`.
/// As in OpenCV, the window after one that fails at the first stage is left out.
///
/// What does not fit the sums is not judged.
pub(crate) fn scan(isa: Isa, plan: &Plan, sums: Sums<'_>, from: usize, count: usize, found: &mut Vec<u32>) {
    // every instruction set reads no further than this; see `Windows::load`
    let end = from + count + plan.reach + SPARE;
    if plan.stages.is_empty() || sums.values.len() < end || sums.squares.len() < end {
        debug_assert!(false, "rows of {} numbers, expected {end}", sums.values.len());
        return;
    }
    isa.dispatch(Scan { plan, sums, from, count, found });
}

/// The windows of a row; bounds have been checked.
struct Scan<'a> {
    plan: &'a Plan,
    sums: Sums<'a>,
    from: usize,
    count: usize,
    found: &'a mut Vec<u32>,
}

impl SimdOp for Scan<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        scan_with(simd.windows(), self.plan, self.sums, self.from, self.count, self.found);
    }
}

/// `N` windows side by side.
pub trait Windows: Copy {
    /// How many, at most 16.
    const N: usize;
    /// A whole number (`i32`) per window.
    type Whole: Copy;
    /// A number (`f32`) per window.
    type Real: Copy;

    /// `from[at..at + N]`.
    ///
    /// # Safety
    /// `at + N` is at most `from.len()`.
    unsafe fn load(self, from: &[i32], at: usize) -> Self::Whole;
    fn plus(self, a: Self::Whole, b: Self::Whole) -> Self::Whole;
    fn minus(self, a: Self::Whole, b: Self::Whole) -> Self::Whole;
    fn zero(self) -> Self::Real;
    /// `votes` and the vote of a feature of this value: `below` where `value * norm` is less than the threshold.
    fn vote(self, votes: Self::Real, value: Self::Whole, norm: Self::Real, rule: &Rule) -> Self::Real;
    /// A bit for each window, the first lowest: whether its votes reach the threshold.
    fn reaching(self, votes: Self::Real, threshold: f32) -> u32;
    /// `1 / sqrt(v)` for `v = area * squares - sum * sum`, and a bit for each window: whether `v` is at least `least`.
    fn norm(self, sum: Self::Whole, squares: Self::Whole, area: f64, least: f64) -> (Self::Real, u32);
    /// The first `N` are the numbers of the windows.
    fn numbers(self, of: Self::Real) -> [f32; 16];
}

/// See [`scan`], which has checked the bounds.
#[inline(always)]
fn scan_with<L: Windows>(lanes: L, plan: &Plan, sums: Sums<'_>, from: usize, count: usize, found: &mut Vec<u32>) {
    let mut left_out = 0; // bit 0: whether the next window is
    for first in (0..count).step_by(L::N) {
        let windows = u32::MAX >> (32 - (count - first).min(L::N));
        let at = from + first;
        // SAFETY: first < count and corners lie within `reach`, so this ends before from + count + reach + SPARE
        let (norm, varied) = unsafe {
            let inner = |of: &[i32]| {
                let [a, b, c, d] = plan.inner.map(|corner| lanes.load(of, at + corner as usize));
                lanes.minus(lanes.plus(a, d), lanes.plus(b, c))
            };
            lanes.norm(inner(sums.values), inner(sums.squares), plan.area, plan.least)
        };
        let varied = varied & windows;
        if varied == 0 {
            left_out = 0;
            continue;
        }
        let mut alive = varied;
        let mut begins = [0; 3];
        for (i, stage) in plan.stages.iter().enumerate() {
            // SAFETY: as above
            let votes = unsafe { votes(lanes, plan, stage, begins, sums.values, at, norm) };
            let passing = lanes.reaching(votes, stage.threshold);
            if i == 0 {
                let skipped = after_failures(varied & !passing, left_out);
                left_out = skipped >> L::N & 1;
                alive &= !skipped;
            }
            alive &= passing;
            begins = stage.ends;
            if alive & alive.wrapping_sub(1) == 0 {
                // none is left, or one, which alone is judged faster
                if alive != 0 {
                    let lane = alive.trailing_zeros() as usize;
                    let rest = &plan.stages[i + 1..];
                    if !passes(plan, rest, begins, sums.values, at + lane, lanes.numbers(norm)[lane]) {
                        alive = 0;
                    }
                }
                break;
            }
        }
        while alive != 0 {
            found.push(first as u32 + alive.trailing_zeros());
            alive &= alive - 1;
        }
    }
}

/// The votes on `N` windows of a stage whose features begin at `begins`.
///
/// # Safety
/// `at + plan.reach + N` is at most `sums.len()`.
#[inline(always)]
unsafe fn votes<L: Windows>(
    lanes: L,
    plan: &Plan,
    stage: &PlanStage,
    begins: [usize; 3],
    sums: &[i32],
    at: usize,
    norm: L::Real,
) -> L::Real {
    let mut votes = lanes.zero();
    // SAFETY: no corner lies further than `reach` from the window's own
    let load = |corner: u32| unsafe { lanes.load(sums, at + corner as usize) };
    let twice = |a| lanes.plus(a, a);
    for Feature { at, rule } in plan.edges.get(begins[0]..stage.ends[0]).unwrap_or(&[]) {
        let [a, b, c, d, e, f] = at.map(load);
        let value = lanes.plus(lanes.minus(lanes.plus(a, b), lanes.plus(c, d)), twice(lanes.minus(e, f)));
        votes = lanes.vote(votes, value, norm, rule);
    }
    for Feature { at, rule } in plan.lines.get(begins[1]..stage.ends[1]).unwrap_or(&[]) {
        let [a, b, c, d, e, f, g, h] = at.map(load);
        let outer = lanes.minus(lanes.plus(a, b), lanes.plus(c, d));
        let inner = lanes.minus(lanes.plus(e, f), lanes.plus(g, h));
        let value = lanes.plus(lanes.plus(outer, inner), twice(inner));
        votes = lanes.vote(votes, value, norm, rule);
    }
    for Feature { at, rule } in plan.quads.get(begins[2]..stage.ends[2]).unwrap_or(&[]) {
        let [a, b, c, d, e, f, g, h, i] = at.map(load);
        let corners = lanes.plus(lanes.plus(a, b), lanes.plus(c, d));
        let sides = lanes.plus(lanes.plus(e, f), lanes.plus(g, h));
        let value = lanes.plus(corners, twice(lanes.minus(twice(i), sides)));
        votes = lanes.vote(votes, value, norm, rule);
    }
    votes
}

/// Whether one window passes stages whose features begin at `begins`.
#[inline(always)]
fn passes(plan: &Plan, stages: &[PlanStage], mut begins: [usize; 3], sums: &[i32], at: usize, norm: f32) -> bool {
    for stage in stages {
        // SAFETY: `scan` has checked that every corner of every window is within the sums
        let votes = unsafe { votes(Single, plan, stage, begins, sums, at, norm) };
        if votes < stage.threshold {
            return false;
        }
        begins = stage.ends;
    }
    true
}

/// Which windows are left out because the one before failed and was not left out itself; bit 0 of `left_out` says so of
/// the first. The bit after the last window says so of the next one.
///
/// In each run of failures that begins with one not left out, the second, fourth ... and the one after are left out.
/// Adding a bit at each begin carries through its run, and the parity of the places tells the second from the first.
#[inline]
fn after_failures(failed: u32, left_out: u32) -> u32 {
    const ODD: u32 = 0xAAAA_AAAA;
    let counted = failed & !left_out;
    let code = ((counted << 1) | ODD).wrapping_sub(counted) ^ ODD;
    code ^ (failed | left_out)
}

/// One window.
#[derive(Clone, Copy)]
struct Single;

impl Windows for Single {
    const N: usize = 1;
    type Whole = i32;
    type Real = f32;

    #[inline(always)]
    unsafe fn load(self, from: &[i32], at: usize) -> i32 {
        debug_assert!(at < from.len());
        // SAFETY: the caller sees to it
        unsafe { *from.get_unchecked(at) }
    }

    #[inline(always)]
    fn plus(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn minus(self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }

    #[inline(always)]
    fn zero(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn vote(self, votes: f32, value: i32, norm: f32, rule: &Rule) -> f32 {
        votes + if value as f32 * norm < rule.threshold { rule.below } else { rule.above }
    }

    #[inline(always)]
    fn reaching(self, votes: f32, threshold: f32) -> u32 {
        u32::from(votes >= threshold)
    }

    #[inline(always)]
    fn norm(self, sum: i32, squares: i32, area: f64, least: f64) -> (f32, u32) {
        // exact: whole numbers below 2^53
        let v = area * f64::from(squares) - f64::from(sum) * f64::from(sum);
        (1.0 / (v as f32).sqrt(), u32::from(v >= least))
    }

    #[inline(always)]
    fn numbers(self, of: f32) -> [f32; 16] {
        [of; 16]
    }
}

/// Sixteen windows, on any processor.
#[derive(Clone, Copy)]
pub struct Sixteen;

impl Windows for Sixteen {
    const N: usize = 16;
    type Whole = [i32; 16];
    type Real = [f32; 16];

    #[inline(always)]
    unsafe fn load(self, from: &[i32], at: usize) -> [i32; 16] {
        debug_assert!(at + 16 <= from.len());
        // SAFETY: the caller sees to it; arrays of i32 may begin wherever an i32 may
        unsafe { *from.as_ptr().add(at).cast() }
    }

    #[inline(always)]
    fn plus(self, a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn minus(self, a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn zero(self) -> [f32; 16] {
        [0.0; 16]
    }

    #[inline(always)]
    fn vote(self, votes: [f32; 16], value: [i32; 16], norm: [f32; 16], rule: &Rule) -> [f32; 16] {
        std::array::from_fn(|i| Single.vote(votes[i], value[i], norm[i], rule))
    }

    #[inline(always)]
    fn reaching(self, votes: [f32; 16], threshold: f32) -> u32 {
        (0..16).map(|i| u32::from(votes[i] >= threshold) << i).sum()
    }

    #[inline(always)]
    fn norm(self, sum: [i32; 16], squares: [i32; 16], area: f64, least: f64) -> ([f32; 16], u32) {
        let each: [(f32, u32); 16] = std::array::from_fn(|i| Single.norm(sum[i], squares[i], area, least));
        (each.map(|(norm, _)| norm), (0..16).map(|i| each[i].1 << i).sum())
    }

    #[inline(always)]
    fn numbers(self, of: [f32; 16]) -> [f32; 16] {
        of
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::*;

    use super::{Rule, Windows};

    /// Eight windows; the proof that the processor has AVX2.
    #[derive(Clone, Copy)]
    pub struct Eight(());

    impl Eight {
        /// # Safety
        /// The processor must have AVX2.
        #[inline(always)]
        pub(crate) unsafe fn new() -> Self {
            Eight(())
        }
    }

    impl Windows for Eight {
        const N: usize = 8;
        type Whole = __m256i;
        type Real = __m256;

        #[inline(always)]
        unsafe fn load(self, from: &[i32], at: usize) -> __m256i {
            debug_assert!(at + 8 <= from.len());
            // SAFETY: the caller sees to the bounds, the type to the processor
            unsafe { _mm256_loadu_si256(from.as_ptr().add(at).cast()) }
        }

        #[inline(always)]
        fn plus(self, a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe { _mm256_add_epi32(a, b) }
        }

        #[inline(always)]
        fn minus(self, a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe { _mm256_sub_epi32(a, b) }
        }

        #[inline(always)]
        fn zero(self) -> __m256 {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        fn vote(self, votes: __m256, value: __m256i, norm: __m256, rule: &Rule) -> __m256 {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe {
                let value = _mm256_mul_ps(_mm256_cvtepi32_ps(value), norm);
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(value, _mm256_set1_ps(rule.threshold));
                let vote = _mm256_blendv_ps(_mm256_set1_ps(rule.above), _mm256_set1_ps(rule.below), below);
                _mm256_add_ps(votes, vote)
            }
        }

        #[inline(always)]
        fn reaching(self, votes: __m256, threshold: f32) -> u32 {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(votes, _mm256_set1_ps(threshold))).cast_unsigned() }
        }

        #[inline(always)]
        fn norm(self, sum: __m256i, squares: __m256i, area: f64, least: f64) -> (__m256, u32) {
            // SAFETY: an `Eight` exists only where the processor has it
            unsafe {
                let half = |sum, squares| {
                    let sum = _mm256_cvtepi32_pd(sum);
                    let squares = _mm256_mul_pd(_mm256_cvtepi32_pd(squares), _mm256_set1_pd(area));
                    let v = _mm256_sub_pd(squares, _mm256_mul_pd(sum, sum));
                    let varied = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GE_OQ>(v, _mm256_set1_pd(least)));
                    (_mm256_cvtpd_ps(v), varied.cast_unsigned())
                };
                let (low, varied_low) = half(_mm256_castsi256_si128(sum), _mm256_castsi256_si128(squares));
                let (high, varied_high) =
                    half(_mm256_extracti128_si256::<1>(sum), _mm256_extracti128_si256::<1>(squares));
                let v = _mm256_set_m128(high, low);
                (_mm256_div_ps(_mm256_set1_ps(1.0), _mm256_sqrt_ps(v)), varied_low | varied_high << 4)
            }
        }

        #[inline(always)]
        fn numbers(self, of: __m256) -> [f32; 16] {
            let mut numbers = [0.0; 16];
            // SAFETY: an `Eight` exists only where the processor has it; there is room for eight
            unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), of) };
            numbers
        }
    }

    /// Sixteen windows; the proof that the processor has AVX-512 F.
    #[derive(Clone, Copy)]
    pub struct Sixteen(());

    impl Sixteen {
        /// # Safety
        /// The processor must have AVX-512 F.
        #[inline(always)]
        pub(crate) unsafe fn new() -> Self {
            Sixteen(())
        }
    }

    impl Windows for Sixteen {
        const N: usize = 16;
        type Whole = __m512i;
        type Real = __m512;

        #[inline(always)]
        unsafe fn load(self, from: &[i32], at: usize) -> __m512i {
            debug_assert!(at + 16 <= from.len());
            // SAFETY: the caller sees to the bounds, the type to the processor
            unsafe { _mm512_loadu_si512(from.as_ptr().add(at).cast()) }
        }

        #[inline(always)]
        fn plus(self, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe { _mm512_add_epi32(a, b) }
        }

        #[inline(always)]
        fn minus(self, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe { _mm512_sub_epi32(a, b) }
        }

        #[inline(always)]
        fn zero(self) -> __m512 {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        fn vote(self, votes: __m512, value: __m512i, norm: __m512, rule: &Rule) -> __m512 {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe {
                let value = _mm512_mul_ps(_mm512_cvtepi32_ps(value), norm);
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(value, _mm512_set1_ps(rule.threshold));
                let vote = _mm512_mask_blend_ps(below, _mm512_set1_ps(rule.above), _mm512_set1_ps(rule.below));
                _mm512_add_ps(votes, vote)
            }
        }

        #[inline(always)]
        fn reaching(self, votes: __m512, threshold: f32) -> u32 {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(votes, _mm512_set1_ps(threshold))) }
        }

        #[inline(always)]
        fn norm(self, sum: __m512i, squares: __m512i, area: f64, least: f64) -> (__m512, u32) {
            // SAFETY: a `Sixteen` exists only where the processor has it
            unsafe {
                let half = |sum, squares| {
                    let sum = _mm512_cvtepi32_pd(sum);
                    let squares = _mm512_mul_pd(_mm512_cvtepi32_pd(squares), _mm512_set1_pd(area));
                    let v = _mm512_sub_pd(squares, _mm512_mul_pd(sum, sum));
                    let varied = _mm512_cmp_pd_mask::<_CMP_GE_OQ>(v, _mm512_set1_pd(least));
                    (_mm256_castps_pd(_mm512_cvtpd_ps(v)), u32::from(varied))
                };
                let (low, varied_low) = half(_mm512_castsi512_si256(sum), _mm512_castsi512_si256(squares));
                let (high, varied_high) =
                    half(_mm512_extracti64x4_epi64::<1>(sum), _mm512_extracti64x4_epi64::<1>(squares));
                let v = _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low), high));
                (_mm512_div_ps(_mm512_set1_ps(1.0), _mm512_sqrt_ps(v)), varied_low | varied_high << 8)
            }
        }

        #[inline(always)]
        fn numbers(self, of: __m512) -> [f32; 16] {
            let mut numbers = [0.0; 16];
            // SAFETY: a `Sixteen` exists only where the processor has it; there is room for sixteen
            unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), of) };
            numbers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_after_failures_are_left_out() {
        for failed in 0..1 << 12 {
            for left_out in 0..2 {
                let mut expected = left_out;
                for i in 0..12 {
                    if failed >> i & 1 == 1 && expected >> i & 1 == 0 {
                        expected |= 1 << (i + 1);
                    }
                }
                assert_eq!(after_failures(failed, left_out), expected, "{failed:b} {left_out}");
            }
        }
    }
}
