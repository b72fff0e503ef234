//! A folder of class folders of images, either under `train/` and `test/` (and `val/`) or flat.
//!
//! Classes are the folder names in byte order. Images come in the order of the BLAKE3 hash of
//! `class/file`, so that every stretch of them mixes the classes, a copy of the folder gives the
//! same order, and a new file moves no other. Of a flat folder the last fifth in that order
//! (rounded down, at least one) is the test set. Images are grey if all that are
//! kept are, else all have three channels; transparency is dropped and 16-bit images become 8-bit.
//! Names that begin with a dot, files of other types and folders without an image are left out. All that is left
//! out or changed is counted in the notes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::extension;
use super::picture::{self, EXTENSIONS};
use super::pictures::Pictures;
use super::{some, spellings};
use crate::classes;
use crate::doubt::Doubt;
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::row_set::RowSet;

/// Folders in folders that are looked into.
const DEPTH: usize = 16;

/// Image files with their classes, in the order described above.
type Listing = Vec<(PathBuf, u16)>;

/// Training and test set of the folder at `path`; `resize` (pixels) is applied to each image as it
/// is read, so that images of different sizes can meet. Images of classes that are not among
/// `keep` are not decoded.
pub(crate) fn load(
    path: &Path,
    resize: Option<usize>,
    keep: Option<&[u16]>,
) -> Result<Files, DataError> {
    let Listed {
        class_names,
        mut train,
        mut valid,
        mut test,
        mut notes,
        origin,
    } = listing(path)?;
    if let Some(keep) = keep {
        let keep = classes::resolved(keep, &class_names);
        for listing in [&mut train, &mut valid, &mut test] {
            listing.retain(|(_, label)| keep.contains(label));
        }
    }
    let (brought, count) = (valid.len(), train.len() + valid.len());
    let mut pictures = Pictures::new(resize);
    for (file, label) in train.into_iter().chain(valid).chain(test) {
        pictures.push(&file, picture::decode(&file)?, label)?;
    }
    notes.extend(pictures.notes());
    let mut train = pictures.finish();
    let test = train.split_off(count);
    Ok(Files {
        notes,
        valid: brought,
        ..Files::of([train, test], class_names, origin)
    })
}

/// What is in a folder.
struct Listed {
    class_names: Vec<String>,
    train: Listing,
    valid: Listing,
    test: Listing,
    notes: Vec<String>,
    origin: Origin,
}

/// What was left out.
#[derive(Default)]
struct LeftOut {
    /// Names that begin with a dot.
    hidden: usize,
    /// Files by the end of their names.
    kinds: BTreeMap<String, usize>,
    /// Folders that are links, or too deep.
    folders: usize,
    /// Class folders without an image.
    empty: Vec<String>,
}

impl LeftOut {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.empty.is_empty() {
            notes.push(format!(
                "folders without an image are no classes and are left out: {}",
                some(&self.empty)
            ));
        }
        let files: usize = self.kinds.values().sum();
        if files > 0 {
            let kinds: Vec<String> = self
                .kinds
                .iter()
                .map(|(kind, n)| format!("{n} {kind}"))
                .collect();
            notes.push(format!(
                "files that are no image of a class are left out: {}",
                some(&kinds)
            ));
        }
        if self.hidden > 0 {
            notes.push(format!("{} hidden names are left out", self.hidden));
        }
        if self.folders > 0 {
            notes.push(format!(
                "{} folders in class folders that are links, or more than {DEPTH} deep, are left out",
                self.folders
            ));
        }
        notes
    }
}

/// Class names, and the files of the training, the validation and the test set.
fn listing(path: &Path) -> Result<Listed, DataError> {
    let mut left = LeftOut::default();
    let (folders, _) = entries(path, &mut LeftOut::default())?;
    let part = |names: &[&str]| {
        let found = |name: &&String| names.contains(&&name.to_lowercase()[..]);
        folders.iter().find(found).map(|name| path.join(name))
    };
    let train = part(&["train", "training"]);
    let valid = part(&["val", "valid", "validation"]);
    let test = part(&["test", "testing"]);
    let (Some(train), true) = (&train, valid.is_some() || test.is_some()) else {
        if let Some(train) = train.filter(|train| holds_folders_alone(train)) {
            return Err(Doubt::Parts {
                path: path.to_path_buf(),
                train: super::file_name(&train),
            }
            .into());
        }
        let classes = classes(path, &mut left)?;
        let class_names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
        let twins = spelled(path, &classes)?;
        let mut train = ordered(path, classes, &class_names)?;
        let test = train.split_off(train.len() - (train.len() / 5).max(1));
        return Ok(Listed {
            class_names,
            train,
            valid: Vec::new(),
            test,
            notes: [left.notes(), twins].concat(),
            origin: Origin::OneFile,
        });
    };
    let (beside, files) = entries(path, &mut left)?;
    let parts = [Some(train), valid.as_ref(), test.as_ref()];
    let used = |name: &String| parts.iter().flatten().any(|part| **part == path.join(name));
    left.empty
        .extend(beside.into_iter().filter(|name| !used(name)));
    files.iter().for_each(|file| left.count(file));
    let mut notes = Vec::new();
    if !left.empty.is_empty() {
        notes.push(format!(
            "beside train/ are left out: {}",
            some(&std::mem::take(&mut left.empty))
        ));
    }
    let found = classes(train, &mut left)?;
    notes.extend(spelled(train, &found)?);
    let class_names: Vec<String> = found.iter().map(|class| class.name.clone()).collect();
    let train = ordered(train, found, &class_names)?;
    let mut more = |part: Option<PathBuf>| -> Result<Option<Listing>, DataError> {
        let Some(part) = part else { return Ok(None) };
        let found = classes(&part, &mut left)?;
        ordered(&part, found, &class_names).map(Some)
    };
    let (valid, test) = (more(valid)?, more(test)?);
    let (valid, test) = match (valid, test) {
        (Some(valid), None) => {
            notes.push(
                "there is no test/: the images of the validation folder are the test set"
                    .to_owned(),
            );
            (Vec::new(), valid)
        }
        (valid, test) => (valid.unwrap_or_default(), test.unwrap_or_default()),
    };
    if !valid.is_empty() {
        notes.push(format!(
            "the {0} images of the validation folder follow the training images: `valid` = {0} takes just \
             them for validation",
            valid.len()
        ));
    }
    notes.extend(left.notes());
    Ok(Listed {
        class_names,
        train,
        valid,
        test,
        notes,
        origin: Origin::Files,
    })
}

impl LeftOut {
    fn count(&mut self, file: &Path) {
        let kind = match extension(file) {
            kind if kind.is_empty() => "without an extension".to_owned(),
            kind => format!(".{kind}"),
        };
        *self.kinds.entry(kind).or_default() += 1;
    }
}

/// Names of the folders in `path`, and paths of its files, each in byte order; not those that begin with a dot.
fn entries(path: &Path, left: &mut LeftOut) -> Result<(Vec<String>, Vec<PathBuf>), DataError> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(DataError::read(path))? {
        let entry = entry.map_err(DataError::read(path))?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            left.hidden += 1;
        } else if entry.path().is_dir() {
            match name.into_string() {
                Ok(name) => folders.push(name),
                Err(_) => left.folders += 1,
            }
        } else {
            files.push(entry.path());
        }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

/// A class folder with images, which are named from the folder on.
struct Class {
    name: String,
    images: Vec<(String, PathBuf)>,
}

/// The folders of `path` that have images.
fn classes(path: &Path, left: &mut LeftOut) -> Result<Vec<Class>, DataError> {
    let (folders, files) = entries(path, left)?;
    files.iter().for_each(|file| left.count(file));
    let mut classes = Vec::new();
    for name in &folders {
        let mut images = Vec::new();
        walk(&path.join(name), "", DEPTH, left, &mut images)?;
        match images.is_empty() {
            true => left.empty.push(name.clone()),
            false => classes.push(Class {
                name: name.clone(),
                images,
            }),
        }
    }
    match classes.len() {
        0 => Err(DataError::Folder {
            path: path.to_path_buf(),
            what: if folders.is_empty() {
                "class folders"
            } else {
                "images"
            },
        }),
        count if count >= usize::from(u16::MAX) => Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "labels (class folders)".to_owned(),
            claimed: count.to_string(),
            limit: u64::from(u16::MAX),
        }),
        _ => Ok(classes),
    }
}

/// What is to be said of the names of `classes`.
fn spelled(path: &Path, classes: &[Class]) -> Result<Vec<String>, DataError> {
    let names = classes
        .iter()
        .map(|class| (class.name.clone(), class.images.len()));
    spellings::check(path, &names.collect::<Vec<_>>())
}

/// Whether a folder called train is one of class folders, and not the class of trains.
fn holds_folders_alone(path: &Path) -> bool {
    let found = entries(path, &mut LeftOut::default());
    let image = |file: &PathBuf| EXTENSIONS.contains(&&extension(file)[..]);
    found.is_ok_and(|(folders, files)| !folders.is_empty() && !files.iter().any(image))
}

/// Adds the images in `folder`, which a class knows as `inside`, and in its folders.
fn walk(
    folder: &Path,
    inside: &str,
    depth: usize,
    left: &mut LeftOut,
    images: &mut Vec<(String, PathBuf)>,
) -> Result<(), DataError> {
    let (folders, files) = entries(folder, left)?;
    for file in files {
        if EXTENSIONS.contains(&&extension(&file)[..]) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            images.push((format!("{inside}{name}"), file));
        } else {
            left.count(&file);
        }
    }
    for name in folders {
        let folder = folder.join(&name);
        if depth == 0 || folder.is_symlink() {
            left.folders += 1;
            continue;
        }
        walk(
            &folder,
            &format!("{inside}{name}/"),
            depth - 1,
            left,
            images,
        )?;
    }
    Ok(())
}

/// The images of `classes` in `path` in the order described above, with their places in `known`.
fn ordered(path: &Path, classes: Vec<Class>, known: &[String]) -> Result<Listing, DataError> {
    let mut files = Vec::new();
    for Class { name, images } in classes {
        let Some(label) = known.iter().position(|known| *known == name) else {
            return Err(DataError::FolderClass {
                path: path.join(name),
                known: known.join(", "),
            });
        };
        for (inside, file) in images {
            let hash = blake3::hash(format!("{name}/{inside}").as_bytes());
            files.push((*hash.as_bytes(), file, label as u16));
        }
    }
    files.sort_unstable();
    Ok(files
        .into_iter()
        .map(|(_, file, label)| (file, label))
        .collect())
}
