//! Writes docs/paper.md from the files of metrics that docs/paper/rows.toml names: `just paper`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    std::fs::write(root.join("docs/paper.md"), demeanor_train::paper::document(root)?)?;
    Ok(())
}
