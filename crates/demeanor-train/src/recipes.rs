//! The recipes that are in the program: of the released models, of what they learnt from, of the paper's networks, and
//! of the baselines before networks.

/// Names and texts (TOML), by name.
pub static ALL: &[(&str, &str)] = &[
    ("face-hog-svm", include_str!("../recipes/face-hog-svm.toml")),
    ("face-lbp-svm", include_str!("../recipes/face-lbp-svm.toml")),
    ("face-paper", include_str!("../recipes/face-paper.toml")),
    ("face-v1", include_str!("../recipes/face-v1.toml")),
    ("face-v2", include_str!("../recipes/face-v2.toml")),
    ("face-v2-deep", include_str!("../recipes/face-v2-deep.toml")),
    ("face-v2-on", include_str!("../recipes/face-v2-on.toml")),
    ("face-v2-taught", include_str!("../recipes/face-v2-taught.toml")),
    ("speech-mfcc-svm", include_str!("../recipes/speech-mfcc-svm.toml")),
    ("speech-mfcc-svm-smote", include_str!("../recipes/speech-mfcc-svm-smote.toml")),
    ("speech-paper", include_str!("../recipes/speech-paper.toml")),
    ("speech-v1", include_str!("../recipes/speech-v1.toml")),
    ("speech-v2", include_str!("../recipes/speech-v2.toml")),
    ("speech-v2-stream", include_str!("../recipes/speech-v2-stream.toml")),
    ("speech-v2-teacher", include_str!("../recipes/speech-v2-teacher.toml")),
];

/// The text of the recipe of this name.
pub fn named(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// All names, for messages.
pub fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::ClassicRecipe;
    use crate::recipe::Recipe;

    #[test]
    fn every_recipe_is_here_under_its_name_and_legal() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/recipes"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(files, ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, text) in ALL {
            if let Some(recipe) = ClassicRecipe::parse(text).unwrap() {
                assert_eq!((recipe.name.as_str(), recipe.is_for_faces()), (*name, name.starts_with("face-")));
                continue;
            }
            let recipe = Recipe::parse(text).unwrap();
            assert!(name.starts_with(if recipe.sense() == crate::recipe::Sense::Face { "face-" } else { "speech-" }));
            assert_eq!(Recipe::parse(&recipe.to_toml().unwrap()).unwrap(), recipe, "{name}");
        }
        assert_eq!(named("nobody"), None);
    }
}
