//! Runs trials, each in a child process, so that one that dies takes no other with it.
//!
//! A child is asked to stop by closing its stdin, which also happens when this process dies in
//! whatever way: no child outlives its runner for long.

mod queue;

use crate::child::Event;
use crate::files::{self, FileError};
use crate::plan::Trial;
use crate::recipe::Kernels;
use crate::store::{Failure, Store};
use crate::trial::Exit;
use queue::Queue;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Lines of a failed trial's stderr that are kept: its first error, and the last ones.
const STDERR_LINES: usize = 20;

/// How trials are run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The program that has the `trial` command.
    pub program: PathBuf,
    /// Trials at a time.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
    /// Device strings, at least one. A trial's place in the plan says which is its own, so that it goes on
    /// where it began.
    pub devices: Vec<String>,
    /// Trials at a time on each device that is no CPU.
    pub on_each: usize,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// Whether the user allows the programs that trials start.
    pub allow_commands: bool,
}

/// How often the user has asked to stop: once = children write checkpoints and end, twice = they
/// are killed.
pub type Stop = AtomicUsize;

/// News of a trial; `trial` counts the plan's trials from 0.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which trial.
    pub trial: usize,
    /// What is new.
    pub news: News,
}

/// What became of a trial.
#[derive(Clone, Debug)]
pub enum News {
    /// Its process was started.
    Started,
    /// It got somewhere.
    Progress {
        /// Share of the trial that is done, 0 to 1.
        done: f64,
        /// What is going on.
        message: String,
    },
    /// Its process ended.
    Ended(End),
}

/// How the process of a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With a record.
    Done,
    /// Asked to stop; it can be resumed.
    Stopped,
    /// Without a record.
    Failed(Failure),
}

/// The jobs of trials of a study, whose folders are made.
///
/// # Errors
/// When a folder cannot be written.
pub fn jobs(
    store: &Store,
    trials: impl IntoIterator<Item = usize>,
    options: &RunOptions,
) -> Result<VecDeque<Job>, FileError> {
    let mut jobs = VecDeque::new();
    for index in trials {
        let trial = &store.study.trials[index];
        let dir = store.trial_dir(&trial.id);
        files::create_dir(&dir)?;
        files::remove_matching(&dir, |name| name == "failure.json")?;
        let mut job = Job::new(index, trial, dir, options)?;
        job.shared = Some(store.dir().join("shared"));
        job.kernels = store.study.recipe.kernels.map(Kernels::word);
        jobs.push_back(job);
    }
    Ok(jobs)
}

/// One trial to be run somewhere.
pub struct Job {
    index: usize,
    id: String,
    dir: PathBuf,
    /// See [`crate::trial::TrialContext::shared`].
    shared: Option<PathBuf>,
    /// `TOXSCREEN_KERNELS` of its process, where it is not ours.
    pub(crate) kernels: Option<&'static str>,
    device: String,
    threads: usize,
}

impl Job {
    /// Writes the trial's spec into `dir`, which exists.
    pub fn new(
        index: usize,
        trial: &Trial,
        dir: PathBuf,
        options: &RunOptions,
    ) -> Result<Self, FileError> {
        files::write_derived(&dir.join("spec.json"), trial.spec_json().as_bytes())?;
        Ok(Self {
            index,
            id: trial.id.clone(),
            dir,
            shared: None,
            kernels: None,
            device: options.devices[index % options.devices.len()].clone(),
            threads: options.threads,
        })
    }

    fn failed(&self, message: String) -> End {
        End::Failed(Failure {
            trial: self.id.clone(),
            message,
            exit_code: None,
            stderr: Vec::new(),
        })
    }
}

/// Runs jobs, `options.jobs` at a time and `options.on_each` on a device that is no CPU, in order; `notify`
/// hears of each on this thread.
pub fn run_jobs(
    jobs: VecDeque<Job>,
    options: &RunOptions,
    stop: &Stop,
    notify: &mut dyn FnMut(Notice),
) {
    let workers = options.jobs.max(1).min(jobs.len());
    let queue = Queue::new(jobs, options.on_each);
    let (send, notices) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (send, queue) = (send.clone(), &queue);
            scope.spawn(move || {
                while let Some(job) = queue.next(stop) {
                    let tell = |news| {
                        let _ = send.send(Notice {
                            trial: job.index,
                            news,
                        });
                    };
                    tell(News::Started);
                    tell(News::Ended(run_job(&job, options, stop, &tell)));
                    queue.ended(&job);
                }
            });
        }
        drop(send);
        notices.iter().for_each(notify);
    });
}

/// A path that no program takes for an option.
fn no_option(path: &Path) -> PathBuf {
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-') => Path::new(".").join(path),
        _ => path.to_owned(),
    }
}

fn run_job(job: &Job, options: &RunOptions, stop: &Stop, tell: &dyn Fn(News)) -> End {
    let mut command = Command::new(&options.program);
    let dir = no_option(&job.dir);
    command.arg("trial").arg(dir.join("spec.json"));
    command.arg("--out").arg(&dir);
    command.args(["--device", &job.device]);
    command.args(["--threads", &job.threads.to_string()]);
    command.arg("--stop-with-stdin");
    if let Some(dir) = &options.data_dir {
        command.arg("--data-dir").arg(no_option(dir));
    }
    if let Some(dir) = &job.shared {
        command.arg("--shared").arg(no_option(dir));
    }
    if options.allow_commands {
        command.arg("--allow-commands");
    }
    if let Some(kernels) = job.kernels {
        command.env("TOXSCREEN_KERNELS", kernels);
    }
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => {
            let program = options.program.display();
            return job.failed(format!("cannot start {program}: {e}"));
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (waited, stderr) = std::thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map(last_lines).unwrap_or_default());
        let (send, events) = mpsc::channel();
        scope.spawn(move || {
            if let Some(out) = stdout {
                read_events(out, &mut |event| drop(send.send(event)));
            }
        });
        let waited = wait(&mut child, stop, &events, tell);
        (waited, errors.join().unwrap_or_default())
    });
    let status = match waited {
        Ok(status) => status,
        Err(e) => return job.failed(format!("cannot wait for the trial's process: {e}")),
    };
    if job.dir.join("record.json").is_file() {
        return End::Done;
    }
    if status.code() == Some(i32::from(Exit::Stopped.code())) || stop.load(Ordering::SeqCst) > 0 {
        return End::Stopped;
    }
    End::Failed(Failure {
        trial: job.id.clone(),
        message: reason(status, &stderr) + &on_device(&job.device, status),
        exit_code: status.code(),
        stderr,
    })
}

/// Waits for a child, passing on its progress and the user's wish to stop.
fn wait(
    child: &mut Child,
    stop: &Stop,
    events: &mpsc::Receiver<Event>,
    tell: &dyn Fn(News),
) -> std::io::Result<ExitStatus> {
    let mut stdin = child.stdin.take();
    loop {
        match events.recv_timeout(Duration::from_millis(50)) {
            Ok(Event::Progress { done, message, .. }) => tell(News::Progress { done, message }),
            Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            // Its stdout is closed: it ends, or does not talk any more.
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if stop.load(Ordering::SeqCst) > 0 {
            drop(stdin.take());
        }
        if stop.load(Ordering::SeqCst) > 1 {
            child.kill()?;
            return child.wait();
        }
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
    }
}

/// Passes on the events among a child's lines; other lines are none of ours.
fn read_events(out: impl Read, pass: &mut dyn FnMut(Event)) {
    for line in BufReader::new(out).lines() {
        let Ok(line) = line else { break };
        if let Ok(event) = serde_json::from_str(&line) {
            pass(event);
        }
    }
}

fn last_lines(from: impl Read) -> Vec<String> {
    let mut lines = VecDeque::new();
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
        lines.push_back(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        bytes.clear();
        if lines.len() > STDERR_LINES {
            // What followed the first error does not push it out.
            let oldest = usize::from(lines.front().is_some_and(|l| is_error(l)));
            lines.remove(oldest);
        }
    }
    lines.into()
}

fn is_error(line: &str) -> bool {
    line.starts_with("error:")
}

/// Why a process without a record ended: its first `error:` line (later ones follow from it), or
/// how the system ended it and its last words.
fn reason(status: ExitStatus, stderr: &[String]) -> String {
    if let Some(line) = stderr.iter().find(|l| is_error(l)) {
        return line.trim_start_matches("error:").trim().to_owned();
    }
    // Rust's own words before it aborts.
    let no_memory = |l: &&String| l.starts_with("memory allocation of ");
    if let Some(line) = stderr.iter().find(no_memory) {
        return format!("the trial ran out of memory ({line}); {LESS_MEMORY}");
    }
    if was_killed(status) {
        return format!(
            "the trial's process was killed ({status}), which is what the system does when memory runs out; \
             if nobody else did it, {LESS_MEMORY}"
        );
    }
    match stderr.iter().rev().find(|l| !l.is_empty()) {
        Some(last) => format!("the trial's process ended with {status}: {last}"),
        None => format!("the trial's process ended with {status} and said nothing"),
    }
}

/// What else to know of a process that ended on a device without a code of its own.
fn on_device(device: &str, status: ExitStatus) -> String {
    match device != "cpu" && status.code().is_none() && !was_killed(status) {
        true => format!(
            "; it ran on {device}, whose driver may have done that: `toxscreen devices` tries it"
        ),
        false => String::new(),
    }
}

/// What helps where memory does not suffice.
const LESS_MEMORY: &str = "run fewer trials at a time with --jobs, or take a smaller batch";

/// Whether a process was ended by SIGKILL, which it cannot answer.
fn was_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        status.signal() == Some(9)
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

/// As many trials at a time as the machine has cores for, given the threads of each.
pub fn default_jobs(threads: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / threads.max(1)).max(1)
}

/// The running program, which has the `trial` command.
///
/// # Errors
/// When the system does not tell.
pub fn this_program() -> Result<PathBuf, FileError> {
    std::env::current_exe().map_err(files::failed("find", Path::new("this program")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_survives_what_follows_it() {
        let mut text = "loading\n".repeat(30) + "error: the cause\n";
        for i in 0..50 {
            text.push_str(&format!("error: follows {i}\n"));
        }
        let lines = last_lines(text.as_bytes());
        assert_eq!(lines.len(), STDERR_LINES);
        assert_eq!(
            (lines[0].as_str(), lines[19].as_str()),
            ("error: the cause", "error: follows 49")
        );
        assert_eq!(reason(ExitStatus::default(), &lines), "the cause");
        let words = ["some".to_owned(), "last words".to_owned(), String::new()];
        assert!(reason(ExitStatus::default(), &words).ends_with(": last words"));
        let aborted = [
            "memory allocation of 303104 bytes failed".to_owned(),
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"
                .to_owned(),
        ];
        let said = reason(ExitStatus::default(), &aborted);
        assert!(
            said.contains("out of memory (memory allocation of 303104 bytes"),
            "{said}"
        );
        assert!(said.contains("--jobs"), "{said}");
    }

    #[test]
    fn a_path_is_never_an_option() {
        assert_eq!(no_option(Path::new("-dash/a")), Path::new("./-dash/a"));
        assert_eq!(no_option(Path::new("runs/-a")), Path::new("runs/-a"));
    }
}
