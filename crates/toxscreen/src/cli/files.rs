//! Files that a command writes, held against those that it reads and each other before any work is done.

use super::{Result, shell_path, usage};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tox_study::spec::TrialSpec;
use tox_study::store::{FILES, FOLDERS};

/// What a file that a study keeps is to a command.
const OF_STUDY: &str = "a file of the study";

/// The files of a command.
#[derive(Default)]
pub struct Files {
    /// With what they are to the command.
    taken: Vec<(&'static str, PathBuf)>,
    /// Folders of a study, of which all files are its own.
    folders: Vec<PathBuf>,
    /// With the option that names them.
    written: Vec<(&'static str, PathBuf)>,
}

impl Files {
    /// Data sets that are read: names of known ones, paths, or two paths with a comma between.
    pub fn data<'a>(self, data: impl IntoIterator<Item = &'a str>) -> Self {
        let paths = data.into_iter();
        let paths = paths.flat_map(|data| data.split(',').chain([data]).map(Path::new));
        let paths: Vec<&Path> = paths.collect();
        self.read(paths)
    }

    /// Files that are read.
    pub fn read<'a>(mut self, files: impl IntoIterator<Item = &'a Path>) -> Self {
        let files = files
            .into_iter()
            .map(|file| ("which is read", file.to_owned()));
        self.taken.extend(files);
        self
    }

    /// The files that trials read, each once.
    pub fn of_trials<'a>(self, specs: impl Iterator<Item = &'a TrialSpec>) -> Self {
        let (mut data, mut files) = (BTreeSet::new(), BTreeSet::new());
        for spec in specs {
            data.extend(spec.data_sets().into_iter().map(|data| data.dataset));
            files.extend(spec.files().into_iter().map(|(path, _)| path));
        }
        self.data(data.iter().map(String::as_str))
            .read(files.iter().map(Path::new))
    }

    /// The files that a study keeps in its folder.
    pub fn study(mut self, dir: &Path) -> Self {
        let own = FILES
            .iter()
            .chain(&[".lock"])
            .map(|name| (OF_STUDY, dir.join(name)));
        self.taken.extend(own);
        self.folders.extend(FOLDERS.map(|name| dir.join(name)));
        self
    }

    /// Files that are written because of an option.
    pub fn written<'a>(
        mut self,
        option: &'static str,
        files: impl IntoIterator<Item = &'a Path>,
    ) -> Self {
        let files = files.into_iter().map(|file| (option, file.to_owned()));
        self.written.extend(files);
        self
    }

    /// Refuses a file to write that would overwrite what is read or another one, is a folder, or has no folder.
    pub fn check(&self) -> Result<()> {
        for (i, (option, file)) in self.written.iter().enumerate() {
            let shown = file.display();
            if file.is_dir() {
                let message =
                    format!("{option} {shown} is a folder: expected the name of a file to write");
                return Err(usage(message, format!("give {option} a file in it")));
            }
            let folder = file.parent().filter(|f| *f != Path::new(""));
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                return Err(usage(
                    format!("{option} {shown}: there is no such folder"),
                    format!("make it first: mkdir -p {}", shell_path(folder)),
                ));
            }
            // What is neither file nor folder, such as a terminal or a pipe, takes whatever is written.
            if file.exists() && !file.is_file() {
                continue;
            }
            let own = place(file);
            if self
                .folders
                .iter()
                .any(|folder| own.starts_with(place(folder)))
            {
                return Err(usage(
                    format!("{option} would overwrite {shown}, {OF_STUDY}"),
                    format!("give {option} another folder"),
                ));
            }
            if let Some((what, _)) = self.taken.iter().find(|(_, taken)| place(taken) == own) {
                return Err(usage(
                    format!("{option} would overwrite {shown}, {what}"),
                    format!("give {option} another name"),
                ));
            }
            let twin = self.written[..i]
                .iter()
                .find(|(_, other)| place(other) == own);
            if let Some((other, _)) = twin {
                return Err(usage(
                    format!("{other} and {option} both write {shown}"),
                    "give each a name of its own",
                ));
            }
        }
        Ok(())
    }
}

/// Where a file lies or would lie, whatever the links and dots on the way.
fn place(file: &Path) -> PathBuf {
    let found = file.canonicalize().ok();
    let made = || {
        let folder = file.parent().filter(|f| *f != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(file.file_name()?))
    };
    found.or_else(made).unwrap_or_else(|| file.to_owned())
}
