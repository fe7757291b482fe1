//! One path: what a picture reads as does not depend on the command that reads it.
#![cfg(feature = "train")]

mod program;

use std::collections::BTreeMap;
use std::path::Path;

use demeanor::Emotion;
use demeanor_train::data::Split;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::evaluate;
use program::{face_model, folder, pictures, run};

/// Names, top emotions and scores of the pictures of testdata that `face --whole` reads, and the names of the others.
type Read = (BTreeMap<String, (String, BTreeMap<Emotion, f32>)>, Vec<String>);

fn read_whole(folder: &Path, model: &str) -> Read {
    let (mut read, mut refused) = (BTreeMap::new(), Vec::new());
    let mut names: Vec<_> =
        std::fs::read_dir(pictures()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".py"));
    names.sort();
    for name in names {
        std::fs::copy(pictures().join(&name), folder.join(&name)).unwrap();
        let run = run(folder, &format!("face --whole --json --min-score 0 --model {model} {name}"));
        if run.status != 0 {
            refused.push(name);
            continue;
        }
        let face = run.json().remove(0)["faces"][0].take();
        let scores = serde_json::from_value(face["scores"].clone()).unwrap();
        read.insert(name, (face["emotion"].as_str().unwrap().to_owned(), scores));
    }
    (read, refused)
}

#[test]
fn eval_reads_every_picture_as_face_does() {
    let folder = folder("one-path");
    std::fs::write(folder.join("m.safetensors"), face_model()).unwrap();
    let mut models = vec![("m.safetensors".to_owned(), face_model())];
    models.extend(demeanor_models::newest(demeanor_models::Sense::Face).map(|m| (m.name.to_owned(), m.bytes.to_vec())));
    for (model, bytes) in models {
        let (read, refused) = read_whole(&folder, &model);
        assert!(read.len() > 25 && refused.len() > 8, "{} were read, {} refused", read.len(), refused.len());
        let set = folder.join(format!("set-{model}"));
        // each where its reading says that it belongs, so that `eval` must call all of them right
        for (name, emotion) in
            read.iter().map(|(n, (e, _))| (n, e.as_str())).chain(refused.iter().map(|n| (n, "happy")))
        {
            let class = set.join("test").join(emotion);
            std::fs::create_dir_all(&class).unwrap();
            std::fs::copy(pictures().join(name), class.join(name)).unwrap();
        }
        let faces = FaceSet::load(&set, &LoadOptions::default()).unwrap();
        let all = faces.indices(Split::Test);
        assert_eq!(all.len(), read.len(), "{:?}", faces.notes);
        let note = format!("{} broken pictures were left out", refused.len());
        assert!(faces.notes.iter().any(|n| n.starts_with(&note)), "{:?}", faces.notes);
        let scores = evaluate::face_scores(&bytes, Default::default(), &faces, &all).unwrap();
        for (&i, scores) in all.iter().zip(&scores) {
            let name = faces.pictures[i].name.rsplit('/').next().unwrap();
            let found: BTreeMap<Emotion, f32> = scores.iter().collect();
            assert_eq!(found, read[name].1, "{model}, {name}");
        }
        let run = run(&folder, &format!("eval face set-{model} --model {model} --json"));
        let found = run.ends(0, "broken pictures").json().remove(0);
        assert_eq!((found["samples"].as_u64(), found["accuracy"].as_f64()), (Some(read.len() as u64), Some(1.0)));
    }
}
