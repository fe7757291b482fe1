//! Files are written under another name and renamed when they are whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// Writes a file by way of a temporary one beside it, so that nobody ever sees half of it, whatever stops us.
///
/// # Errors
/// When the file cannot be written, or `fill` fails; nothing is left behind then.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).map_err(anyhow::Error::from).and_then(|file| {
        let mut file = BufWriter::new(file);
        fill(&mut file)?;
        file.flush()?;
        std::fs::rename(&temporary, path)?;
        Ok(())
    });
    if written.is_err() {
        // the first error is the one to tell
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
