//! Files are written under another name and renamed when they are whole.

use std::io::Write;
use std::path::Path;

use crate::output::Output;

/// Writes a file by way of a temporary one beside it, so that nobody ever sees half of it, whatever stops us.
///
/// # Errors
/// When the file cannot be written, or `fill` fails; nothing is left behind then.
pub fn write_whole(
    path: &Path,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut output = Output::create(path, overwrite)?;
    output.write(fill)?;
    output.finish()
}
