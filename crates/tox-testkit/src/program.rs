//! The program as a user runs it.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a command said.
pub struct Said {
    /// Its exit code; -1: a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Panics unless the exit code is `code` and all of `parts` were said.
    pub fn must(&self, code: i32, parts: &[&str]) {
        let all = self.all();
        assert_eq!(self.code, code, "{all}");
        for part in parts {
            assert!(all.contains(part), "{part}: {all}");
        }
    }

    /// Code, stdout, stderr.
    pub fn parts(self) -> (i32, String, String) {
        (self.code, self.stdout, self.stderr)
    }
}

/// A program under test; a test gives `env!("CARGO_BIN_EXE_...")`.
#[derive(Clone, Copy)]
pub struct Program(pub &'static str);

impl Program {
    /// In `dir`, with nothing to read.
    pub fn command<S: AsRef<std::ffi::OsStr>>(
        self,
        dir: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(self.0);
        command.args(args).current_dir(dir).stdin(Stdio::null());
        command
    }

    /// As [`Self::command`], saving itself twenty times a second.
    pub fn saving<S: AsRef<std::ffi::OsStr>>(
        self,
        dir: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.command(dir, args);
        command.env("TOXSCREEN_CHECKPOINT_SECONDS", "0.05");
        command
    }

    /// Runs it with these arguments.
    pub fn run(self, dir: &Path, args: &[&str]) -> Said {
        Said::of(self.command(dir, args).output().unwrap())
    }

    /// Runs it with these words, parted by single blanks.
    pub fn words(self, dir: &Path, words: &str) -> Said {
        Said::of(self.command(dir, words.split(' ')).output().unwrap())
    }

    /// As [`Self::words`] with `--json`, which must end with `code`.
    pub fn json(self, dir: &Path, words: &str, code: i32) -> Value {
        let said = self.words(dir, &format!("{words} --json"));
        assert_eq!(said.code, code, "{words}: {}", said.all());
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// What a shell in `dir` makes of a printed command line.
    pub fn shell(self, dir: &Path, line: &str) -> Said {
        let folder = Path::new(self.0).parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(dir)
            .env("PATH", path)
            .stdin(Stdio::null());
        Said::of(shell.output().unwrap())
    }
}

/// Drops all that it says.
pub fn silent(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

/// Ends a process as Ctrl-C does.
pub fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.unwrap().success());
}

/// A folder with a recipe in it.
pub fn folder(name: &str, recipe: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), recipe).unwrap();
    dir
}

/// The JSON of a file.
pub fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The folders of a study's trials, in the order of their names.
pub fn trials(study: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(study.join("trials")).unwrap();
    let mut trials: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    trials.sort();
    trials
}

/// The records of a study.
pub fn records(study: &Path) -> Vec<Value> {
    let trials = trials(study).into_iter();
    trials
        .map(|dir| dir.join("record.json"))
        .filter(|path| path.exists())
        .map(|path| read(&path))
        .collect()
}
