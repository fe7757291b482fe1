//! The detector finds what OpenCV 4 finds: `testdata/detect/make_goldens.py` made the pictures and OpenCV's boxes.

use std::path::{Path, PathBuf};

use demeanor::face::detect::{HaarDetector, HaarSettings};
use demeanor::{Frame, PixelLayout, Region};
use serde::Deserialize;

/// Regions match when they overlap by more than this (intersection over union).
const IOU: f32 = 0.8;
/// At least this part of the boxes must match, in both directions.
const PART: f64 = 0.98;

#[derive(Deserialize)]
struct Goldens {
    settings: Vec<Setting>,
    pictures: Vec<Golden>,
}

#[derive(Deserialize)]
struct Setting {
    scale: f32,
    neighbours: u32,
    min: u32,
    max: u32,
}

#[derive(Deserialize)]
struct Golden {
    #[serde(default)]
    file: String,
    /// Of the picture that is composed of FER-2013 faces.
    #[serde(default)]
    files: Vec<String>,
    /// Where heads were put: left, top, width, height.
    #[serde(default)]
    faces: Vec<[f32; 4]>,
    /// OpenCV's boxes, one list per setting.
    found: Vec<Vec<[f32; 4]>>,
}

struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/detect")
}

fn goldens(file: &str) -> Goldens {
    serde_json::from_slice(&std::fs::read(folder().join(file)).unwrap()).unwrap()
}

fn read_png(path: &Path) -> Grey {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    assert_eq!(info.bit_depth, png::BitDepth::Eight);
    Grey { width: info.width as usize, height: info.height as usize, pixels }
}

fn region([x, y, width, height]: [f32; 4]) -> Region {
    Region { x, y, width, height }
}

/// Boxes that match and boxes, of both programs.
#[derive(Default)]
struct Tally {
    ours: [usize; 2],
    theirs: [usize; 2],
    equal: [usize; 2],
}

impl Tally {
    fn compare(&mut self, detector: &mut HaarDetector, picture: &Grey, setting: &Setting, theirs: &[[f32; 4]]) {
        let frame = Frame::new(&picture.pixels, picture.width, picture.height, PixelLayout::Grey8).unwrap();
        let settings = HaarSettings {
            scale_factor: setting.scale,
            min_neighbours: setting.neighbours,
            min_face_px: setting.min,
            max_face_px: Some(setting.max).filter(|&px| px > 0),
        };
        let mut ours = Vec::new();
        detector.detect(&frame, &settings, &mut ours).unwrap();
        let mut theirs: Vec<Region> = theirs.iter().copied().map(region).collect();
        let matched = |of: &[Region], in_: &[Region]| of.iter().filter(|a| in_.iter().any(|b| a.iou(b) > IOU)).count();
        self.ours[0] += matched(&ours, &theirs);
        self.ours[1] += ours.len();
        self.theirs[0] += matched(&theirs, &ours);
        self.theirs[1] += theirs.len();
        let key = |r: &Region| (r.x as i64, r.y as i64, r.width as i64);
        ours.sort_by_key(key);
        theirs.sort_by_key(key);
        self.equal[0] += usize::from(ours == theirs);
        self.equal[1] += 1;
    }

    fn check(&self, what: &str) {
        eprintln!(
            "{what}: {} of our {} boxes match, {} of OpenCV's {}; {} of {} lists are equal",
            self.ours[0], self.ours[1], self.theirs[0], self.theirs[1], self.equal[0], self.equal[1]
        );
        assert!(self.theirs[1] > 0, "{what}");
        assert!(self.ours[0] as f64 >= PART * self.ours[1] as f64, "{what}");
        assert!(self.theirs[0] as f64 >= PART * self.theirs[1] as f64, "{what}");
    }
}

#[test]
fn boxes_are_those_of_opencv() {
    let goldens = goldens("goldens.json");
    assert!(goldens.pictures.len() >= 100);
    let mut detector = HaarDetector::frontal().unwrap();
    let pictures: Vec<_> =
        goldens.pictures.iter().map(|golden| read_png(&folder().join("pictures").join(&golden.file))).collect();
    let mut heads = [0, 0];
    for (i, setting) in goldens.settings.iter().enumerate() {
        let mut tally = Tally::default();
        for (golden, picture) in goldens.pictures.iter().zip(&pictures) {
            tally.compare(&mut detector, picture, setting, &golden.found[i]);
        }
        tally.check(&format!(
            "scale {}, {} neighbours, {} to {} px",
            setting.scale, setting.neighbours, setting.min, setting.max
        ));
        // raw candidates: nothing is averaged away
        if setting.neighbours == 0 {
            assert_eq!(tally.equal[0], tally.equal[1]);
        }
    }
    // and they are where heads were put
    for golden in &goldens.pictures {
        for &head in &golden.faces {
            let head = region(head);
            let (x, y) = (head.x + head.width / 2.0, head.y + head.height / 2.0);
            let covers = |b: &[f32; 4]| b[0] < x && x < b[0] + b[2] && b[1] < y && y < b[1] + b[3];
            heads[0] += usize::from(golden.found[3].iter().any(covers));
            heads[1] += 1;
        }
    }
    eprintln!("{} of {} heads put into pictures are found", heads[0], heads[1]);
    assert!(heads[0] * 10 >= heads[1] * 8);
}

/// The same composition as `fer_picture` in the script.
fn compose_fer(number: usize, files: &[String], data: &Path) -> Grey {
    let (width, height) = (320, 240);
    let mut pixels: Vec<u8> = (0..width * height)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let slope = (x * (number % 7 + 1) + y * (number % 5 + 1)) / 8;
            (60 + (slope + ((x / 16) ^ (y / 16)) * 8 * (number % 2)) % 128) as u8
        })
        .collect();
    for (i, file) in files.iter().enumerate() {
        let face = read_png(&data.join(file));
        let times = 2 + (number + i) % 2;
        let (top, left) = (12 + i * 31 % 40, 6 + i * 156);
        for y in 0..face.height * times {
            for x in 0..face.width * times {
                pixels[(top + y) * width + left + x] = face.pixels[y / times * face.width + x / times];
            }
        }
    }
    Grey { width, height, pixels }
}

#[test]
fn boxes_are_those_of_opencv_on_fer_faces() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fer2013"));
    if !data.exists() {
        eprintln!("skipped: FER-2013 faces are not composed, because ../shared is absent");
        return;
    }
    let goldens = goldens("goldens_fer.json");
    let mut detector = HaarDetector::frontal().unwrap();
    let mut tally = Tally::default();
    for (number, golden) in goldens.pictures.iter().enumerate() {
        let picture = compose_fer(number, &golden.files, data);
        for (setting, theirs) in goldens.settings.iter().zip(&golden.found) {
            tally.compare(&mut detector, &picture, setting, theirs);
        }
    }
    tally.check("FER-2013 faces");
}
