//! A cluster under test.

use super::TOXSCREEN;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A task in the queue.
pub struct Task {
    /// `JOB_TASK`.
    pub id: String,
    pub running: bool,
}

/// Slurm: a fake one with a folder of its own, or the one of this machine.
pub struct Cluster {
    fake: Option<(tempfile::TempDir, PathBuf)>,
    env: Vec<(&'static str, String)>,
}

impl Cluster {
    pub fn fake() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (bin, state) = (dir.path().join("bin"), dir.path().join("state"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&state).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/fake-slurm.sh");
        for name in ["sbatch", "squeue", "scontrol", "scancel", "srun"] {
            symlink(&script, bin.join(name)).unwrap();
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let env = vec![("PATH", path), ("FAKE_SLURM", state.display().to_string())];
        Self {
            fake: Some((dir, state)),
            env,
        }
    }

    pub fn real() -> Self {
        Self {
            fake: None,
            env: Vec::new(),
        }
    }

    /// With a variable in every command.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub fn is_fake(&self) -> bool {
        self.fake.is_some()
    }

    /// The folder of the fake one.
    pub fn state(&self) -> &Path {
        &self.fake.as_ref().unwrap().1
    }

    /// toxscreen with these words.
    pub fn command(&self, dir: &Path, words: &str) -> Command {
        let mut command = TOXSCREEN.saving(dir, words.split(' '));
        command.env("XDG_CONFIG_HOME", dir.join("config"));
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    pub fn spawn(&self, dir: &Path, words: &str) -> Child {
        let mut command = self.command(dir, words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// A program of the cluster; what it says.
    pub fn call(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(args)
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// Our tasks in the queue.
    pub fn queue(&self) -> Vec<Task> {
        let listed = self.call("squeue", &["--me", "-h", "-r", "-o", "%j|%i|%T|%r"]);
        let lines = listed.lines().filter(|line| line.starts_with("tox-"));
        lines
            .map(|line| {
                let parts: Vec<&str> = line.split('|').collect();
                Task {
                    id: parts[1].to_owned(),
                    running: parts[2] == "RUNNING",
                }
            })
            .collect()
    }

    /// Waits until `until` says so.
    pub fn wait<T>(&self, what: &str, mut until: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = until() {
                return found;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(600),
                "waited for {what}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts a task back into the queue, to run at once.
    pub fn requeue(&self, id: &str) {
        self.call("scontrol", &["requeue", id]);
        self.at_once();
    }

    /// A real Slurm lets what was put back wait for two minutes.
    pub fn at_once(&self) {
        if !self.is_fake() {
            for task in self.queue().iter().filter(|task| !task.running) {
                let id = format!("JobId={}", task.id);
                self.call("scontrol", &["update", &id, "StartTime=now"]);
            }
        }
    }
}

/// Processes of trials of the study in `dir`.
pub fn trials(dir: &Path) -> Vec<u32> {
    let dir = dir.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    ids.filter(|id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.split('\0').collect();
        let program = words
            .first()
            .is_some_and(|word| word.ends_with("toxscreen"));
        program && words.get(1) == Some(&"trial") && line.contains(&dir)
    })
    .collect()
}

/// Sends a signal to a process, which may be gone.
pub fn signal(signal: &str, process: u32) {
    let mut kill = Command::new("kill");
    kill.args([signal, &process.to_string()])
        .stderr(Stdio::null());
    kill.status().unwrap();
}
