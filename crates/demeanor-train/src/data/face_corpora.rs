//! What the file names of well-known sets of pictures say: the emotion, whose face it is, and what else groups them.
//!
//! A set that is not listed is read by folders named by emotion, or by a table; see
//! [`FaceSet::load`](super::faces::FaceSet::load).

use std::collections::BTreeMap;

use demeanor::Emotion;

/// The attribute that says whose face it is: people are drawn and held out whole where it is known.
pub const PERSON: &str = "person";

/// What a file name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPicture {
    /// The set whose names have this form.
    pub corpus: &'static str,
    /// The emotion; none where the names do not tell it.
    pub emotion: Option<Emotion>,
    /// What else it says, by name: [`PERSON`], `sex`, `age`, `angle` and so on.
    pub about: BTreeMap<String, String>,
}

/// The sets whose names are known, and the publication that describes them. RAF-DB's names tell the split, its file
/// `list_patition_label.txt` the emotion; CK+ has its emotions in folders.
pub const CORPORA: [(&str, &str); 8] = [
    ("JAFFE", "Lyons et al. 1998"),
    ("KDEF", "Lundqvist et al. 1998"),
    ("CK+", "Lucey et al. 2010"),
    ("FACES", "Ebner et al. 2010"),
    ("RaFD", "Langner et al. 2010"),
    ("NimStim", "Tottenham et al. 2009"),
    ("CFD", "Ma et al. 2015"),
    ("RAF-DB", "Li et al. 2017"),
];

/// What a file name without its ending says; none when it has the form of no set that is known.
pub fn named(stem: &str) -> Option<NamedPicture> {
    if !stem.is_ascii() {
        return None;
    }
    jaffe(stem)
        .or_else(|| kdef(stem))
        .or_else(|| ck(stem))
        .or_else(|| faces(stem))
        .or_else(|| rafd(stem))
        .or_else(|| nimstim(stem))
        .or_else(|| cfd(stem))
}

fn picture(corpus: &'static str, emotion: Option<Emotion>, about: &[(&str, &str)]) -> NamedPicture {
    let about = about.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NamedPicture { corpus, emotion, about }
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

fn sex(letter: &str) -> Option<&'static str> {
    match letter {
        "F" | "f" | "female" => Some("female"),
        "M" | "m" | "male" => Some("male"),
        _ => None,
    }
}

/// Two letters for an emotion, as several sets write them.
fn two_letters(letters: &str) -> Option<Emotion> {
    Some(match letters {
        "AN" => Emotion::Angry,
        "DI" => Emotion::Disgust,
        "FE" | "AF" => Emotion::Fear,
        "HA" => Emotion::Happy,
        "NE" => Emotion::Neutral,
        "SA" => Emotion::Sad,
        "SU" | "SP" => Emotion::Surprise,
        "CA" => Emotion::Calm,
        _ => return None,
    })
}

/// `KA.AN1.39`: person (all are women), emotion with the number of the pose, number of the picture.
fn jaffe(stem: &str) -> Option<NamedPicture> {
    let parts: Vec<&str> = stem.split('.').collect();
    let [person, pose, number] = parts[..] else { return None };
    let is_person = person.len() == 2 && person.bytes().all(|b| b.is_ascii_uppercase());
    let emotion = two_letters(pose.get(..2)?)?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_person && is_number(&pose[2..]) && is_number(number))
        .then(|| picture("JAFFE", Some(emotion), &[(PERSON, person), ("sex", "female")]))
}

/// `AF01ANS`: session, sex, person, emotion, angle (full and half left, straight, half and full right).
fn kdef(stem: &str) -> Option<NamedPicture> {
    let (session, rest) = (stem.get(..1)?, stem.get(1..)?);
    let (person, emotion, angle) = (rest.get(..3)?, rest.get(3..5)?, rest.get(5..)?);
    let angle = match angle {
        "S" => "straight",
        "HL" | "HR" => "half profile",
        "FL" | "FR" => "profile",
        _ => return None,
    };
    let sex = sex(&person[..1])?;
    let emotion = two_letters(emotion)?;
    (matches!(session, "A" | "B") && digits(&person[1..], 2))
        .then(|| picture("KDEF", Some(emotion), &[(PERSON, person), ("sex", sex), ("angle", angle)]))
}

/// `S010_004_00000017`: person, sequence, picture; the emotion is that of the folder.
fn ck(stem: &str) -> Option<NamedPicture> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [person, sequence, number] = parts[..] else { return None };
    let is_person = person.strip_prefix('S').is_some_and(|rest| digits(rest, 3));
    (is_person && digits(sequence, 3) && digits(number, 8)).then(|| picture("CK+", None, &[(PERSON, person)]))
}

/// `004_o_m_a_b`: person, age (young, middle-aged, old), sex, emotion, version.
fn faces(stem: &str) -> Option<NamedPicture> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [person, age, letter, emotion, version] = parts[..] else { return None };
    let age = match age {
        "y" => "young",
        "m" => "middle-aged",
        "o" => "old",
        _ => return None,
    };
    let emotion = match emotion {
        "a" => Emotion::Angry,
        "d" => Emotion::Disgust,
        "f" => Emotion::Fear,
        "h" => Emotion::Happy,
        "n" => Emotion::Neutral,
        "s" => Emotion::Sad,
        _ => return None,
    };
    let sex = sex(letter)?;
    (digits(person, 3) && matches!(version, "a" | "b"))
        .then(|| picture("FACES", Some(emotion), &[(PERSON, person), ("sex", sex), ("age", age)]))
}

/// `Rafd090_01_Caucasian_female_angry_frontal`: camera (90 degrees is straight), person, group, sex, emotion, gaze.
fn rafd(stem: &str) -> Option<NamedPicture> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [camera, person, group, letter, word, gaze] = parts[..] else { return None };
    let angle = match camera.to_ascii_lowercase().strip_prefix("rafd")? {
        "090" => "straight",
        "045" | "135" => "half profile",
        "000" | "180" => "profile",
        _ => return None,
    };
    // children stand as Kid in the place of the group
    let emotion = match word {
        "contemptuous" => Emotion::Contempt,
        _ => word.parse().ok()?,
    };
    let sex = sex(letter)?;
    let about = [(PERSON, person), ("group", group), ("sex", sex), ("angle", angle), ("gaze", gaze)];
    digits(person, 2).then(|| picture("RaFD", Some(emotion), &about))
}

/// `01F_AN_C`: person with sex, emotion, mouth (open, closed, or exuberant).
fn nimstim(stem: &str) -> Option<NamedPicture> {
    let upper = stem.to_ascii_uppercase();
    let parts: Vec<&str> = upper.split('_').collect();
    let [person, emotion, mouth] = parts[..] else { return None };
    let sex = sex(person.get(2..)?)?;
    let emotion = two_letters(emotion)?;
    (digits(&person[..2], 2) && matches!(mouth, "O" | "C" | "X"))
        .then(|| picture("NimStim", Some(emotion), &[(PERSON, person), ("sex", sex)]))
}

/// `CFD-WM-040-023-HO`: group with sex, person, picture, expression; happy ones with closed and with open mouth.
fn cfd(stem: &str) -> Option<NamedPicture> {
    let parts: Vec<&str> = stem.split('-').collect();
    let ["CFD", whose, person, number, expression] = parts[..] else { return None };
    let group = match whose.get(..1)? {
        "A" => "Asian",
        "B" => "Black",
        "L" => "Latino",
        "W" => "White",
        _ => return None,
    };
    let emotion = match expression {
        "A" => Emotion::Angry,
        "F" => Emotion::Fear,
        "HC" | "HO" => Emotion::Happy,
        "N" => Emotion::Neutral,
        _ => return None,
    };
    let sex = sex(whose.get(1..)?)?;
    let name = format!("{whose}-{person}");
    (digits(person, 3) && digits(number, 3))
        .then(|| picture("CFD", Some(emotion), &[(PERSON, &name), ("sex", sex), ("group", group)]))
}

/// The emotions of RAF-DB's `list_patition_label.txt` by number, from 1.
pub const RAF_DB: [Emotion; 7] = [
    Emotion::Surprise,
    Emotion::Fear,
    Emotion::Disgust,
    Emotion::Happy,
    Emotion::Sad,
    Emotion::Angry,
    Emotion::Neutral,
];

/// Reads RAF-DB's list, a line `train_00001.jpg 5` for each picture: the emotion by the name of the picture without its
/// ending. Lines of another form are left out.
pub fn raf_db(list: &str) -> BTreeMap<String, Emotion> {
    let line = |line: &str| {
        let (file, number) = line.trim().split_once(char::is_whitespace)?;
        let number: usize = number.trim().parse().ok()?;
        let (stem, _) = file.rsplit_once('.')?;
        Some((stem.to_owned(), *RAF_DB.get(number.checked_sub(1)?)?))
    };
    list.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_known_sets_are_read() {
        for (stem, corpus, emotion, person, sex) in [
            ("KA.AN1.39", "JAFFE", Some(Emotion::Angry), "KA", Some("female")),
            ("YM.SU3.60", "JAFFE", Some(Emotion::Surprise), "YM", Some("female")),
            ("AF01ANS", "KDEF", Some(Emotion::Angry), "F01", Some("female")),
            ("BM35AFFL", "KDEF", Some(Emotion::Fear), "M35", Some("male")),
            ("S010_004_00000017", "CK+", None, "S010", None),
            ("004_o_m_a_b", "FACES", Some(Emotion::Angry), "004", Some("male")),
            ("Rafd090_01_Caucasian_female_angry_frontal", "RaFD", Some(Emotion::Angry), "01", Some("female")),
            ("Rafd045_63_Kid_male_contemptuous_left", "RaFD", Some(Emotion::Contempt), "63", Some("male")),
            ("01F_AN_C", "NimStim", Some(Emotion::Angry), "01F", Some("female")),
            ("23M_SP_O", "NimStim", Some(Emotion::Surprise), "23M", Some("male")),
            ("CFD-WM-040-023-HO", "CFD", Some(Emotion::Happy), "WM-040", Some("male")),
        ] {
            let found = named(stem).unwrap_or_else(|| panic!("{stem} is not read"));
            let about = |name: &str| found.about.get(name).map(String::as_str);
            assert_eq!((found.corpus, found.emotion), (corpus, emotion), "{stem}");
            assert_eq!((about(PERSON), about("sex")), (Some(person), sex), "{stem}");
            assert!(CORPORA.iter().any(|(name, _)| *name == corpus));
        }
        for stem in ["fer0000001", "IMG_1234", "happy", "AF01XXS", "KA.AN.39", "CFD-XM-040-023-HO", "é.AN1.3", "", "."]
        {
            assert_eq!(named(stem), None, "{stem}");
        }
    }

    #[test]
    fn the_list_of_raf_db_is_read() {
        let list = raf_db("train_00001.jpg 5\r\ntest_0001.jpg 1\nnonsense\ntrain_2.jpg 8\ntrain_3.jpg 0\n");
        let expected = [("train_00001", Emotion::Sad), ("test_0001", Emotion::Surprise)];
        assert_eq!(list, expected.map(|(name, e)| (name.to_owned(), e)).into());
    }
}
