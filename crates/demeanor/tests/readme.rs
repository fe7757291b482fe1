//! The examples of the repository's README are those of the library's, which are compiled and run as tests.

use std::path::Path;

/// The lines of each block of Rust.
fn examples(text: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|l| *l != "```").filter(|l| !l.starts_with("# ")).collect();
            if ["rust", "rust,no_run"].contains(&language) {
                found.push(block);
            }
        }
    }
    found
}

#[test]
fn the_examples_of_both_readmes_agree_and_are_short() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (front, library) = (read("../../README.md"), read("README.md"));
    let (front, library) = (examples(&front), examples(&library));
    assert_eq!(front, library);
    assert_eq!(front.len(), 3);
    for example in front {
        assert!(example.iter().filter(|line| !line.is_empty()).count() < 10, "{example:#?}");
    }
}
