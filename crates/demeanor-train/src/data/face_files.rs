//! Sets of pictures that are files: which file has which label, which split, and what else is known of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use demeanor::{Emotion, Error, ErrorKind, Result};
use demeanor_media::picture::EXTENSIONS;

use super::speech::LabelMap;
use super::{Split, face_corpora, table};

/// The table that a folder may hold.
const MANIFEST: &str = "manifest.csv";
/// RAF-DB's list of labels, as the release spells it, and as it should be.
const RAF_DB_LISTS: [&str; 2] = ["list_patition_label.txt", "list_partition_label.txt"];
/// Folders within folders that are searched.
const DEEPEST: usize = 6;

/// A picture that is still to be decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceFile {
    /// Where it is.
    pub path: PathBuf,
    /// The same below the set's folder, with `/` between its parts.
    pub name: String,
    /// What it is labelled.
    pub emotion: Emotion,
    /// The part of the set that it belongs to.
    pub split: Split,
    /// What else is known of it, by name.
    pub about: BTreeMap<String, String>,
}

/// The labelled pictures of a folder, and what the user should know of how they were found.
///
/// A folder is one that holds a table `manifest.csv` ([`of_table`]); or `SPLIT/EMOTION/*`, or `EMOTION/*` (all training
/// pictures); or any tree with folders named by emotion or the file names of a known set ([`face_corpora`]). Folders whose
/// names are no emotion are looked up in `labels.csv` ([`LabelMap`]).
///
/// # Errors
/// [`ErrorKind::File`] when something cannot be read, [`ErrorKind::Data`] when there is no labelled picture.
pub fn of_folder(root: &Path) -> Result<(Vec<FaceFile>, Vec<String>)> {
    let manifest = root.join(MANIFEST);
    if manifest.is_file()
        && let Some(found) = of_table(&manifest)?
    {
        return Ok(found);
    }
    let labels = LabelMap::beside(root)?;
    let (mut files, mut notes) = of_named_folders(root, &labels)?;
    if files.is_empty() {
        (files, notes) = of_tree(root, &labels)?;
    }
    if files.is_empty() {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "{} holds no picture with a label: expected fer2013.csv, icml_face_data.csv, a table manifest.csv (path,emotion), \
                 folders SPLIT/EMOTION/*.png (such as train/happy), or the file names of a known set (such as JAFFE: \
                 KA.AN1.39.tiff)",
                root.display()
            ),
        ));
    }
    Ok((files, notes))
}

/// The pictures of a table with the columns `path` and `emotion` (or `label`), and where known `split`; its other columns
/// are kept as what is known of a picture. Paths are relative to the table. None where it has a column `pixels`: it then is
/// one of FER-2013's form.
///
/// # Errors
/// [`ErrorKind::File`] when it cannot be read; [`ErrorKind::Data`] when a column is missing or a row is malformed (the message
/// names the line).
pub fn of_table(path: &Path) -> Result<Option<(Vec<FaceFile>, Vec<String>)>> {
    let at = |e: Error| Error::new(e.kind(), format!("{}: {e}", path.display()));
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::File, format!("{} cannot be opened: {e}", path.display())).with_source(e)
    };
    let mut head = String::new();
    // a table of pixels has short first lines too; one that is no text is told of by its own reader
    if BufReader::new(File::open(path).map_err(failed)?).read_line(&mut head).is_err()
        || table::cells(&head).any(|cell| cell.eq_ignore_ascii_case("pixels"))
    {
        return Ok(None);
    }
    let labels = LabelMap::beside(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let begin = |columns: &table::Columns| {
        let find = |names: &[&str]| {
            columns.find(names).ok_or_else(|| {
                let found: String = columns.names().join(", ").chars().take(80).collect();
                let why = "expected emotion, pixels and Usage, or path and emotion";
                Error::new(ErrorKind::Data, format!("line 1: no column \"{}\": {why}, found \"{found}\"", names[0]))
            })
        };
        let known = [find(&["path", "file", "filename"])?, find(&["emotion", "label"])?];
        let split = columns.find(&["split", "usage"]);
        let others = columns.names().iter().enumerate();
        let others = others.filter(|(i, name)| !known.contains(i) && Some(*i) != split && !name.is_empty());
        Ok((known, split, others.map(|(i, name)| (i, name.clone())).collect::<Vec<_>>()))
    };
    type Columns = ([usize; 2], Option<usize>, Vec<(usize, String)>);
    let parse = |([file, label], split, others): &Columns, _: usize, line: &str| {
        let cells: Vec<&str> = table::cells(line).collect();
        let cell = |at: usize| cells.get(at).copied().filter(|c| !c.is_empty());
        let absent = |name: &str| Error::new(ErrorKind::Data, format!("the row has no \"{name}\""));
        let name = cell(*file).ok_or_else(|| absent("path"))?;
        let mut about = face_corpora::named(stem(name)).map(|n| n.about).unwrap_or_default();
        about.extend(others.iter().filter_map(|(i, column)| Some((column.clone(), cell(*i)?.to_owned()))));
        let emotion = labels.read(cell(*label).ok_or_else(|| absent("emotion"))?)?;
        let split = split.and_then(cell).map_or(Ok(Split::Train), str::parse)?;
        Ok(emotion.map(|emotion| FaceFile { path: folder.join(name), name: name.to_owned(), emotion, split, about }))
    };
    let (rows, problems) =
        table::read(BufReader::new(File::open(path).map_err(failed)?), 20, begin, parse).map_err(at)?;
    if let Some(problem) = problems.into_iter().next() {
        return Err(at(problem));
    }
    let unlabelled = rows.iter().filter(|row| row.is_none()).count();
    let files: Vec<FaceFile> = rows.into_iter().flatten().collect();
    if files.is_empty() {
        return Err(at(Error::new(ErrorKind::Data, "it names no picture with an emotion that is known here")));
    }
    let note = (unlabelled > 0).then(|| format!("{unlabelled} pictures whose label is no emotion here were left out"));
    Ok(Some((files, note.into_iter().collect())))
}

/// The folders of a folder that name a split; none of what is no folder.
///
/// # Errors
/// [`ErrorKind::File`] when it cannot be read.
pub fn split_folders(folder: &Path) -> Result<Vec<(PathBuf, Split)>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let named = |p: PathBuf| file_name(&p).parse().ok().map(|split| (p, split));
    Ok(entries(folder)?.into_iter().filter(|p| p.is_dir()).filter_map(named).collect())
}

/// `SPLIT/EMOTION/*` or, where no folder names a split, `EMOTION/*` as training pictures.
fn of_named_folders(root: &Path, labels: &LabelMap) -> Result<(Vec<FaceFile>, Vec<String>)> {
    let mut splits = split_folders(root)?;
    if splits.is_empty() {
        splits.push((root.to_path_buf(), Split::Train));
    }
    splits.sort_by_key(|&(_, split)| split);
    let (mut files, mut strangers) = (Vec::new(), Vec::new());
    for (folder, split) in splits {
        let mut classes: Vec<(Emotion, PathBuf)> = Vec::new();
        for path in entries(&folder)?.into_iter().filter(|p| p.is_dir()) {
            match labels.read(&file_name(&path)) {
                Ok(Some(emotion)) => classes.push((emotion, path)),
                _ => strangers.push(below(root, &path)),
            }
        }
        classes.sort();
        for (emotion, class) in classes {
            for path in entries(&class)?.into_iter().filter(|p| is_picture(p)) {
                let name = below(root, &path);
                let about = face_corpora::named(stem(&name)).map(|n| n.about).unwrap_or_default();
                files.push(FaceFile { path, name, emotion, split, about });
            }
        }
    }
    let note = || format!("folders that name no emotion were left out: {}", listed(&strangers));
    let notes = if strangers.is_empty() { Vec::new() } else { vec![note()] };
    Ok((files, notes))
}

/// All pictures below a folder whose emotion is told by their names, by RAF-DB's list, or by a folder above them; the split is
/// that of a folder above them, or of RAF-DB's names, else all are training pictures.
fn of_tree(root: &Path, labels: &LabelMap) -> Result<(Vec<FaceFile>, Vec<String>)> {
    let mut paths = Vec::new();
    walk(root, 0, &mut paths)?;
    paths.sort();
    let list = paths.iter().find(|p| RAF_DB_LISTS.contains(&file_name(p).as_str()));
    let list = match list {
        Some(path) => {
            let failed = |e: std::io::Error| {
                Error::new(ErrorKind::File, format!("{} cannot be read: {e}", path.display())).with_source(e)
            };
            face_corpora::raf_db(&fs::read_to_string(path).map_err(failed)?)
        }
        None => BTreeMap::new(),
    };
    let (mut files, mut unlabelled) = (Vec::new(), 0usize);
    for path in paths.into_iter().filter(|p| is_picture(p)) {
        let name = below(root, &path);
        let own = stem(&name);
        let folders: Vec<&str> = name.split('/').rev().skip(1).collect();
        let of_folders = folders.iter().find_map(|f| labels.read(f).ok().flatten());
        let named = face_corpora::named(own);
        let listed = list.get(own.strip_suffix("_aligned").unwrap_or(own));
        let of_name = named.as_ref().and_then(|n| n.emotion);
        let Some(emotion) = listed.copied().or(of_name).or(of_folders) else {
            unlabelled += 1;
            continue;
        };
        let of_list = listed.and_then(|_| own.split('_').next()?.parse().ok());
        let split = of_list.or_else(|| folders.iter().rev().find_map(|f| f.parse().ok())).unwrap_or(Split::Train);
        let about = named.map(|n| n.about).unwrap_or_default();
        files.push(FaceFile { path, name, emotion, split, about });
    }
    files.sort_by(|a, b| (a.split, a.emotion, &a.name).cmp(&(b.split, b.emotion, &b.name)));
    let note = (unlabelled > 0).then(|| format!("{unlabelled} pictures without a label were left out"));
    Ok((files, note.into_iter().collect()))
}

/// All files below a folder, hidden ones left out.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    EXTENSIONS.contains(&ending.as_str())
}

/// What a folder holds, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::File, format!("{} cannot be read: {e}", folder.display())).with_source(e)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|p| !file_name(p).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path as it is named below a folder, with `/` between its parts.
fn below(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The first three of a list, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 3 { format!("{shown} and {} more", names.len() - 3) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::faces::{FaceSet, LoadOptions};

    /// A folder with these pictures, each of another shade.
    fn folder(name: &str, files: &[&str]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("demeanor-face-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (i, file) in files.iter().enumerate() {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::from_fn(20, 24, |x, y| image::Luma([((x * 7 + y * 3) as usize + 11 * i) as u8]))
                .save_with_format(&path, image::ImageFormat::Png)
                .unwrap();
        }
        root
    }

    /// Name, emotion, split and person of each picture as it is loaded, without parts that are drawn.
    fn loaded(path: &Path) -> Vec<(String, Emotion, Split, Option<String>)> {
        let options = LoadOptions { validation_part: 0.0, test_part: 0.0, ..LoadOptions::default() };
        let set = FaceSet::load(path, &options).unwrap();
        let person = |about: &BTreeMap<String, String>| about.get(face_corpora::PERSON).cloned();
        set.pictures.into_iter().map(|p| (p.name, p.emotion, p.split, person(&p.about))).collect()
    }

    #[test]
    fn names_lists_folders_and_tables_label_pictures() {
        let is = |name: &str, e: Emotion, split: Split, person: Option<&str>| {
            (name.to_owned(), e, split, person.map(str::to_owned))
        };
        let jaffe = folder("jaffe", &["KA.AN1.39.png", "YM.HA2.5.png", "README.png"]);
        assert_eq!(
            loaded(&jaffe),
            [
                is("KA.AN1.39.png", Emotion::Angry, Split::Train, Some("KA")),
                is("YM.HA2.5.png", Emotion::Happy, Split::Train, Some("YM")),
            ]
        );
        let kdef = folder("kdef", &["KDEF/AF01/AF01ANS.png", "KDEF/AF01/AF01SUHL.png"]);
        assert_eq!(loaded(&kdef)[1].3.as_deref(), Some("F01"));
        let raf = folder("raf", &["Image/aligned/train_00001_aligned.png", "Image/aligned/test_0001_aligned.png"]);
        fs::create_dir_all(raf.join("EmoLabel")).unwrap();
        fs::write(raf.join("EmoLabel/list_patition_label.txt"), "train_00001.jpg 5\ntest_0001.jpg 4\n").unwrap();
        assert_eq!(
            loaded(&raf),
            [
                is("Image/aligned/train_00001_aligned.png", Emotion::Sad, Split::Train, None),
                is("Image/aligned/test_0001_aligned.png", Emotion::Happy, Split::Test, None),
            ]
        );
        let ck = folder("ck", &["anger/S010_004_00000017.png", "sorrow/S011_002_00000002.png"]);
        assert_eq!(loaded(&ck), [is("anger/S010_004_00000017.png", Emotion::Angry, Split::Train, Some("S010"))]);
        fs::write(ck.join("labels.csv"), "label,emotion\nsorrow,sad\n").unwrap();
        assert_eq!(loaded(&ck)[1], is("sorrow/S011_002_00000002.png", Emotion::Sad, Split::Train, Some("S011")));
        let table = folder("table", &["a/1.png", "a/2.png", "3.png"]);
        let text =
            "file,label,split,person,age\na/1.png,freude,test,x,30\na/2.png,angry,train,y,\n3.png,bored,test,z,5\n";
        fs::write(table.join("manifest.csv"), text).unwrap();
        fs::write(table.join("labels.csv"), "label,emotion\nfreude,happy\nbored,\n").unwrap();
        let expected = [
            is("a/1.png", Emotion::Happy, Split::Test, Some("x")),
            is("a/2.png", Emotion::Angry, Split::Train, Some("y")),
        ];
        assert_eq!(loaded(&table), expected);
        assert_eq!(loaded(&table.join("manifest.csv")), expected);
        fs::write(table.join("other.csv"), "path,feeling\na/1.png,happy\n").unwrap();
        let error = FaceSet::load(&table.join("other.csv"), &LoadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("other.csv: line 1: no column \"emotion\""), "{error}");
        for root in [jaffe, kdef, raf, ck, table] {
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn parts_are_drawn_by_persons_where_these_are_known() {
        let names: Vec<String> =
            (0..40).map(|i| format!("{}/S{:03}_001_{i:08}.png", ["happy", "sad"][i % 2], i / 4)).collect();
        let root = folder("persons", &names.iter().map(String::as_str).collect::<Vec<_>>());
        let options = LoadOptions { validation_part: 0.2, test_part: 0.2, ..LoadOptions::default() };
        let set = FaceSet::load(&root, &options).unwrap();
        assert_eq!(Split::ALL.map(|split| set.indices(split).len()), [24, 8, 8]);
        let mut splits: BTreeMap<&str, Split> = BTreeMap::new();
        for picture in &set.pictures {
            assert_eq!(*splits.entry(&picture.about[face_corpora::PERSON]).or_insert(picture.split), picture.split);
        }
        assert!(set.notes.iter().all(|n| n.contains("of the persons")), "{:?}", set.notes);
        fs::remove_dir_all(root).unwrap();
    }
}
