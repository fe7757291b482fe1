//! The network as detector, on pictures: what it finds of one portrait, and that nothing makes it fail.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use demeanor::face::detect::{BlazeFaceModel, Detection, Detector, MAX_FACES, Search};
use demeanor::{Frame, PixelLayout, Region};

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn detector() -> Detector {
    let file = std::fs::read(beside("crates/demeanor-models/blazeface-v1.1/model.safetensors")).unwrap();
    Detector::blazeface(&BlazeFaceModel::load(&file).unwrap())
}

/// RGB pixels.
#[derive(Clone)]
struct Picture {
    data: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn portrait() -> Picture {
        let file = BufReader::new(std::fs::File::open(beside("testdata/portrait.png")).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        Picture { data, width: info.width as usize, height: info.height as usize }
    }

    fn of(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
        let data = (0..width * height).flat_map(|i| pixel(i % width, i / width)).collect();
        Picture { data, width, height }
    }

    fn at(&self, x: f32, y: f32) -> [u8; 3] {
        if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
            return [90; 3];
        }
        let from = (y as usize * self.width + x as usize) * 3;
        [self.data[from], self.data[from + 1], self.data[from + 2]]
    }

    /// The same turned clockwise about its middle.
    fn turned(&self, degrees: f32) -> Picture {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (cx, cy) = (self.width as f32 / 2.0, self.height as f32 / 2.0);
        Picture::of(self.width, self.height, |x, y| {
            let (u, v) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
            self.at(cx + u * cos + v * sin, cy - u * sin + v * cos)
        })
    }

    fn frame(&self) -> Frame<'_> {
        Frame::new(&self.data, self.width, self.height, PixelLayout::Rgb8).unwrap()
    }
}

fn find(detector: &mut Detector, picture: &Picture, search: &Search) -> Vec<Detection> {
    let mut found = vec![Detection::of_region(Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 })];
    detector.detect(&picture.frame(), search, &mut found).unwrap();
    for face in &found {
        let marks = face.landmarks.unwrap();
        let all = [marks.right_eye, marks.left_eye, marks.nose, marks.mouth, marks.right_ear, marks.left_ear];
        assert!(all.iter().flatten().all(|v| v.is_finite()));
        assert!((0.0..=1.0).contains(&face.confidence) && face.region.width > 0.0);
        assert_eq!(face.region.width, face.region.height);
    }
    found
}

#[test]
fn the_portrait_has_one_face_at_any_tilt() {
    let (portrait, mut detector) = (Picture::portrait(), detector());
    let upright = find(&mut detector, &portrait, &Search::default());
    assert_eq!(upright.len(), 1, "{upright:?}");
    let Region { x, y, width, height } = upright[0].region;
    // the astronaut's face
    let (middle_x, middle_y) = (x + width / 2.0, y + height / 2.0);
    assert!((middle_x - 224.0).abs() < 15.0 && (middle_y - 115.0).abs() < 20.0, "{:?}", upright[0]);
    assert!((80.0..140.0).contains(&width));
    let marks = upright[0].landmarks.unwrap();
    assert!(marks.right_eye[0] < marks.left_eye[0] && marks.mouth[1] > marks.nose[1]);
    for degrees in [-90.0, -45.0, -25.0, -10.0, 10.0, 25.0, 45.0, 90.0, 135.0, 180.0] {
        let search = Search { any_rotation: f32::abs(degrees) > 90.0, ..Search::default() };
        let found = find(&mut detector, &portrait.turned(degrees), &search);
        assert_eq!(found.len(), 1, "{degrees} degrees: {found:?}");
        let roll = found[0].landmarks.unwrap().roll().to_degrees();
        let off = (roll - degrees + 540.0).rem_euclid(360.0) - 180.0;
        assert!(off.abs() < 15.0, "{degrees} degrees read as {roll}");
    }
}

#[test]
fn light_and_layout_do_not_matter() {
    let (portrait, mut detector) = (Picture::portrait(), detector());
    let upright = find(&mut detector, &portrait, &Search::default())[0].region;
    for light in [0.5, 0.15, 0.06] {
        let dim = Picture::of(portrait.width, portrait.height, |x, y| {
            portrait.at(x as f32, y as f32).map(|v| (f32::from(v) * light).round() as u8)
        });
        let found = find(&mut detector, &dim, &Search::default());
        // the surest one; at 0.06 a false one follows it, see docs/detector.md
        assert!(found[0].region.iou(&upright) > 0.7, "at {light} of the light: {found:?}");
        assert!(light < 0.1 || found.len() == 1, "at {light} of the light: {found:?}");
    }
    let mut expected = Vec::new();
    detector.detect(&portrait.frame(), &Search::default(), &mut expected).unwrap();
    for layout in [PixelLayout::Bgr8, PixelLayout::Rgba8] {
        let data: Vec<u8> = portrait
            .data
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&[r, g, b]| if layout == PixelLayout::Bgr8 { vec![b, g, r] } else { vec![r, g, b, 7] })
            .collect();
        let frame = Frame::new(&data, portrait.width, portrait.height, layout).unwrap();
        let mut found = Vec::new();
        detector.detect(&frame, &Search::default(), &mut found).unwrap();
        assert_eq!(found, expected, "{layout:?}");
    }
}

#[test]
fn faces_at_the_border_and_many_of_them() {
    let (portrait, mut detector) = (Picture::portrait(), detector());
    // cut through the face by the left, the upper and the right border
    for (x, y, width, height) in [(200, 30, 250, 250), (120, 95, 250, 250), (20, 30, 225, 250)] {
        let cut = Picture::of(width, height, |u, v| portrait.at((x + u) as f32, (y + v) as f32));
        let found = find(&mut detector, &cut, &Search::default());
        assert!(found.len() <= 1, "{found:?}");
    }
    // 64 faces that stand so close that their boxes overlap, and one more row
    let wall = |rows: usize| {
        Picture::of(8 * 64, rows * 64, |x, y| {
            let (u, v) = ((x % 64) as f32, (y % 64) as f32);
            portrait.at(160.0 + u * 2.0, 50.0 + v * 2.0)
        })
    };
    let found = find(&mut detector, &wall(8), &Search::default());
    assert!((48..=MAX_FACES).contains(&found.len()), "{} of 64", found.len());
    let mut many = Vec::new();
    assert!(!detector.detect(&wall(4).frame(), &Search::default(), &mut many).unwrap());
    let few = Search { max_faces: 5, ..Search::default() };
    assert!(detector.detect(&wall(4).frame(), &few, &mut many).unwrap());
    assert_eq!(many.len(), 5);
    // the same face 64 times in the same place is one
    assert_eq!(find(&mut detector, &portrait, &Search::default()).len(), 1);
}

#[test]
fn frames_of_any_size_and_settings_of_any_kind() {
    let mut detector = detector();
    for (width, height) in [(1, 1), (1, 10_000), (10_000, 1), (2, 2), (15, 16), (17, 300), (129, 127), (3000, 40)] {
        let noise = Picture::of(width, height, |x, y| [((x * 37) ^ (y * 91)) as u8, (x * y) as u8, (x + y) as u8]);
        for min_face_px in [0, 24, 5000] {
            let search = Search { min_face_px, any_rotation: width < 1000 && height < 1000, ..Search::default() };
            find(&mut detector, &noise, &search);
        }
    }
    let flat = Picture::of(300, 200, |_, _| [128; 3]);
    assert!(find(&mut detector, &flat, &Search::default()).is_empty());
    let mut found = Vec::new();
    for min_confidence in [-0.1, 1.1, f32::NAN] {
        let search = Search { min_confidence, ..Search::default() };
        assert!(detector.detect(&flat.frame(), &search, &mut found).is_err());
    }
    for (x, y, width, height) in [
        (1000.0, 0.0, 10.0, 10.0),
        (-500.0, -10.0, 100.0, 100.0),
        (f32::NAN, 0.0, 100.0, 100.0),
        (10.0, 10.0, f32::NAN, -5.0),
        (10.0, 10.0, -50.0, 100.0),
    ] {
        let area = Region { x, y, width, height };
        detector.detect_within(&flat.frame(), &area, &Search::default(), &mut found).unwrap();
        assert!(found.is_empty(), "{area:?}");
    }
}

#[test]
fn a_part_of_a_frame_is_searched_alone() {
    let (portrait, mut detector) = (Picture::portrait(), detector());
    let mut found = Vec::new();
    let below = Region { x: 0.0, y: 260.0, width: 512.0, height: 252.0 };
    detector.detect_within(&portrait.frame(), &below, &Search::default(), &mut found).unwrap();
    assert!(found.is_empty(), "{found:?}");
    let around = Region { x: 120.0, y: 10.0, width: 220.0, height: 220.0 };
    detector.detect_within(&portrait.frame(), &around, &Search::default(), &mut found).unwrap();
    let whole = find(&mut detector, &portrait, &Search::default());
    assert_eq!(found.len(), 1);
    assert!(found[0].region.iou(&whole[0].region) > 0.7);
}
