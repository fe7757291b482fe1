//! A detector that has seen a frame of a size allocates nothing for the next ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use demeanor::face::detect::{DetectSettings, Detector};
use demeanor::{Frame, PixelLayout, Region};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything to the system's allocator; counting does not allocate
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Noise of a seed in blocks of a few pixels: plenty of windows that pass some stages.
fn noise(seed: u32, width: usize, height: usize) -> Vec<u8> {
    (0..width * height * 3)
        .map(|i| {
            let (x, y) = ((i / 3 % width / 7) as u32, (i / 3 / width / 5) as u32);
            let mut v = seed ^ x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B);
            v ^= v >> 15;
            v = v.wrapping_mul(0x2C1B_3C6D);
            (v >> 13) as u8
        })
        .collect()
}

#[test]
fn a_warm_detector_allocates_nothing() {
    for settings in [DetectSettings::default(), DetectSettings::live()] {
        let mut detector = Detector::frontal().unwrap();
        let (mut regions, mut detections) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
        let area = Region { x: 100.0, y: 50.0, width: 300.0, height: 250.0 };
        for seed in 0..4 {
            let pixels = noise(seed, 640, 480);
            let frame = Frame::new(&pixels, 640, 480, PixelLayout::Rgb8).unwrap();
            let before = COUNT.get();
            detector.detect(&frame, &settings, &mut regions).unwrap();
            detector.detections(&frame, &settings, &mut detections).unwrap();
            detector.detect_within(&frame, &area, &settings, &mut regions).unwrap();
            let count = COUNT.get() - before;
            assert!(seed == 0 || count == 0, "{count} allocations at frame {seed}");
        }
    }
}
