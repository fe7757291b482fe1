//! What the file names of well-known speech corpora say: the emotion, who speaks, which sentence.
//!
//! A corpus that is not listed is read by folders named by emotion, or by a table; see
//! [`SpeechSet::load`](super::speech::SpeechSet::load).

use demeanor::Emotion;

use super::speech::{RavdessName, Sex};

/// What a file name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedClip {
    /// The corpus whose names have this form.
    pub corpus: &'static str,
    /// The emotion; none for one that no model here has, such as boredom.
    pub emotion: Option<Emotion>,
    /// Who speaks.
    pub speaker: String,
    /// The speaker's sex, where the name or the corpus's description tells it.
    pub sex: Option<Sex>,
    /// The sentence that is spoken.
    pub sentence: String,
}

/// The corpora whose names are known: language, and the publication that describes the names.
pub const CORPORA: [(&str, &str, &str); 9] = [
    ("RAVDESS", "English", "Livingstone & Russo 2018"),
    ("nEMO", "Polish", "Christop 2024"),
    ("CREMA-D", "English", "Cao et al. 2014"),
    ("EMO-DB", "German", "Burkhardt et al. 2005"),
    ("SAVEE", "English", "Haq & Jackson 2009"),
    ("TESS", "English", "Dupuis & Pichora-Fuller 2010"),
    ("EMOVO", "Italian", "Costantini et al. 2014"),
    ("URDU", "Urdu", "Latif et al. 2018"),
    ("ShEMO", "Persian", "Mohamad Nezami et al. 2019"),
];

/// What a file name without its ending says; none when it has the form of no corpus that is known.
pub fn named(stem: &str) -> Option<NamedClip> {
    ravdess(stem)
        .or_else(|| nemo(stem))
        .or_else(|| crema_d(stem))
        .or_else(|| emo_db(stem))
        .or_else(|| savee(stem))
        .or_else(|| tess(stem))
        .or_else(|| emovo(stem))
        .or_else(|| urdu(stem))
        .or_else(|| shemo(stem))
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

fn some_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn sex(letter: &str) -> Option<Sex> {
    match letter {
        "F" | "f" => Some(Sex::Female),
        "M" | "m" => Some(Sex::Male),
        _ => None,
    }
}

/// `03-01-06-01-02-01-12`.
fn ravdess(stem: &str) -> Option<NamedClip> {
    let name = RavdessName::read(stem)?;
    Some(NamedClip {
        corpus: "RAVDESS",
        emotion: Some(name.emotion),
        speaker: format!("{:02}", name.actor),
        sex: Some(name.sex()),
        sentence: name.sentence.to_string(),
    })
}

/// `EB0_anger_12`: speaker, emotion, sentence.
fn nemo(stem: &str) -> Option<NamedClip> {
    let mut parts = stem.split('_');
    let (speaker, word, sentence) = (parts.next()?, parts.next()?, parts.next()?);
    let words = ["anger", "fear", "happiness", "neutral", "sadness", "surprised"];
    let is_speaker = speaker.len() == 3 && speaker.as_bytes()[..2].iter().all(u8::is_ascii_uppercase);
    if parts.next().is_some() || !is_speaker || !some_digits(&speaker[2..]) || !words.contains(&word) {
        return None;
    }
    some_digits(sentence).then(|| NamedClip {
        corpus: "nEMO",
        emotion: word.parse().ok(),
        speaker: speaker.to_owned(),
        sex: None,
        sentence: sentence.to_owned(),
    })
}

/// `1001_DFA_ANG_XX`: speaker, sentence, emotion, intensity.
fn crema_d(stem: &str) -> Option<NamedClip> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [speaker, sentence, word, _] = parts[..] else { return None };
    let emotion = match word {
        "ANG" => Emotion::Angry,
        "DIS" => Emotion::Disgust,
        "FEA" => Emotion::Fear,
        "HAP" => Emotion::Happy,
        "NEU" => Emotion::Neutral,
        "SAD" => Emotion::Sad,
        _ => return None,
    };
    let is_sentence = sentence.len() == 3 && sentence.bytes().all(|b| b.is_ascii_uppercase());
    (digits(speaker, 4) && is_sentence).then(|| NamedClip {
        corpus: "CREMA-D",
        emotion: Some(emotion),
        speaker: speaker.to_owned(),
        sex: None,
        sentence: sentence.to_owned(),
    })
}

/// `03a01Fa`: speaker, sentence, emotion by its German initial, version.
fn emo_db(stem: &str) -> Option<NamedClip> {
    if stem.len() != 7 || !stem.is_ascii() {
        return None;
    }
    let (speaker, sentence, letter, version) = (&stem[..2], &stem[2..5], &stem[5..6], &stem[6..]);
    let emotion = match letter {
        "W" => Some(Emotion::Angry),
        "E" => Some(Emotion::Disgust),
        "A" => Some(Emotion::Fear),
        "F" => Some(Emotion::Happy),
        "T" => Some(Emotion::Sad),
        "N" => Some(Emotion::Neutral),
        "L" => None,
        _ => return None,
    };
    let sex = match speaker {
        "03" | "10" | "11" | "12" | "15" => Sex::Male,
        "08" | "09" | "13" | "14" | "16" => Sex::Female,
        _ => return None,
    };
    let is_sentence = matches!(&sentence[..1], "a" | "b") && digits(&sentence[1..], 2);
    (is_sentence && version.bytes().all(|b| b.is_ascii_lowercase())).then(|| NamedClip {
        corpus: "EMO-DB",
        emotion,
        speaker: speaker.to_owned(),
        sex: Some(sex),
        sentence: sentence.to_owned(),
    })
}

/// `DC_sa01`: speaker (all are men), emotion by its first letters, sentence of that emotion.
fn savee(stem: &str) -> Option<NamedClip> {
    let (speaker, rest) = stem.split_once('_')?;
    if !matches!(speaker, "DC" | "JE" | "JK" | "KL") || rest.len() < 3 || !rest.is_ascii() {
        return None;
    }
    let (word, number) = rest.split_at(rest.len() - 2);
    let emotion = match word {
        "a" => Emotion::Angry,
        "d" => Emotion::Disgust,
        "f" => Emotion::Fear,
        "h" => Emotion::Happy,
        "n" => Emotion::Neutral,
        "sa" => Emotion::Sad,
        "su" => Emotion::Surprise,
        _ => return None,
    };
    digits(number, 2).then(|| NamedClip {
        corpus: "SAVEE",
        emotion: Some(emotion),
        speaker: speaker.to_owned(),
        sex: Some(Sex::Male),
        sentence: rest.to_owned(),
    })
}

/// `OAF_back_angry`: speaker (an older and a younger woman), word, emotion; `ps` is a pleasant surprise.
fn tess(stem: &str) -> Option<NamedClip> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [speaker, sentence, word] = parts[..] else { return None };
    // one file of the release has a letter less
    let speaker = match speaker {
        "OAF" | "OA" => "OAF",
        "YAF" => "YAF",
        _ => return None,
    };
    let emotion = if word == "ps" { Emotion::Surprise } else { word.parse().ok()? };
    Some(NamedClip {
        corpus: "TESS",
        emotion: Some(emotion),
        speaker: speaker.to_owned(),
        sex: Some(Sex::Female),
        sentence: sentence.to_owned(),
    })
}

/// `dis-f1-b1`: emotion by its Italian word, speaker, sentence.
fn emovo(stem: &str) -> Option<NamedClip> {
    let parts: Vec<&str> = stem.split('-').collect();
    let [word, speaker, sentence] = parts[..] else { return None };
    let emotion = match word {
        "rab" => Emotion::Angry,
        "dis" => Emotion::Disgust,
        "pau" => Emotion::Fear,
        "gio" => Emotion::Happy,
        "tri" => Emotion::Sad,
        "sor" => Emotion::Surprise,
        "neu" => Emotion::Neutral,
        _ => return None,
    };
    (speaker.len() == 2 && speaker.is_ascii() && digits(&speaker[1..], 1)).then_some(())?;
    Some(NamedClip {
        corpus: "EMOVO",
        emotion: Some(emotion),
        sex: Some(sex(&speaker[..1])?),
        speaker: speaker.to_owned(),
        sentence: sentence.to_owned(),
    })
}

/// `SM1_F10_A010`: speaker with sex, file of that speaker, emotion with its number. Every file is another utterance.
fn urdu(stem: &str) -> Option<NamedClip> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [speaker, file, number] = parts[..] else { return None };
    if !(stem.is_ascii() && speaker.len() >= 3 && speaker.starts_with('S') && file.starts_with('F')) {
        return None;
    }
    let emotion = match number.get(..1)? {
        "A" => Emotion::Angry,
        "H" => Emotion::Happy,
        "N" => Emotion::Neutral,
        "S" => Emotion::Sad,
        _ => return None,
    };
    (some_digits(&speaker[2..]) && some_digits(&file[1..]) && some_digits(&number[1..])).then_some(())?;
    Some(NamedClip {
        corpus: "URDU",
        emotion: Some(emotion),
        sex: Some(sex(&speaker[1..2])?),
        speaker: speaker.to_owned(),
        sentence: stem.to_owned(),
    })
}

/// `F01A01`: sex and number of the speaker, emotion, number. Every file is another utterance.
fn shemo(stem: &str) -> Option<NamedClip> {
    if stem.len() != 6 || !stem.is_ascii() || !digits(&stem[1..3], 2) || !digits(&stem[4..], 2) {
        return None;
    }
    let emotion = match &stem[3..4] {
        "A" => Emotion::Angry,
        "F" => Emotion::Fear,
        "H" => Emotion::Happy,
        "N" => Emotion::Neutral,
        "S" => Emotion::Sad,
        "W" => Emotion::Surprise,
        _ => return None,
    };
    Some(NamedClip {
        corpus: "ShEMO",
        emotion: Some(emotion),
        sex: Some(sex(&stem[..1])?),
        speaker: stem[..3].to_owned(),
        sentence: stem.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_corpus_are_read() {
        for (stem, corpus, emotion, speaker, sex, sentence) in [
            ("03-01-06-01-02-01-12", "RAVDESS", Some(Emotion::Fear), "12", Some(Sex::Female), "2"),
            ("EB0_surprised_7", "nEMO", Some(Emotion::Surprise), "EB0", None, "7"),
            ("1001_DFA_ANG_XX", "CREMA-D", Some(Emotion::Angry), "1001", None, "DFA"),
            ("03a01Fa", "EMO-DB", Some(Emotion::Happy), "03", Some(Sex::Male), "a01"),
            ("16b10Lb", "EMO-DB", None, "16", Some(Sex::Female), "b10"),
            ("JK_su15", "SAVEE", Some(Emotion::Surprise), "JK", Some(Sex::Male), "su15"),
            ("YAF_youth_ps", "TESS", Some(Emotion::Surprise), "YAF", Some(Sex::Female), "youth"),
            ("tri-m3-d2", "EMOVO", Some(Emotion::Sad), "m3", Some(Sex::Male), "d2"),
            ("SF9_F10_H010", "URDU", Some(Emotion::Happy), "SF9", Some(Sex::Female), "SF9_F10_H010"),
            ("M22W05", "ShEMO", Some(Emotion::Surprise), "M22", Some(Sex::Male), "M22W05"),
        ] {
            let found = named(stem).unwrap_or_else(|| panic!("{stem}"));
            assert_eq!((found.corpus, found.emotion, found.speaker.as_str()), (corpus, emotion, speaker), "{stem}");
            assert_eq!((found.sex, found.sentence.as_str()), (sex, sentence), "{stem}");
            assert!(CORPORA.iter().any(|c| c.0 == corpus));
        }
        for stem in
            ["", "a", "happy", "03a01Xa", "99a01Fa", "DC_z01", "clip_1_2", "é3a01F", "dis-x1-b1", "SM_F1_A1", "ÄÖÜ"]
        {
            assert_eq!(named(stem), None, "{stem}");
        }
    }
}
