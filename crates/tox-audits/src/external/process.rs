//! The process of a learner: started in a folder of its own, watched, stopped, and ended with all that it
//! started.

use super::error::{ExternalError, Words};
use super::protocol::Event;
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Environment variables that a learner is given as they are, beside those of a recipe.
const PASSED: [&str; 16] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TEMP",
    "TZ",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
];

/// Variables that say how many threads a library may use.
const THREADS: [&str; 5] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Time between SIGTERM and SIGKILL; less than a trial itself has to stop.
const GRACE: Duration = Duration::from_secs(20);

/// How often a process is looked after.
const PACE: Duration = Duration::from_millis(20);

/// Most bytes of a stream that are kept, and most lines that a message holds.
const KEPT: usize = 64 << 10;
const LINES: usize = 6;
const LONGEST: usize = 300;

/// Exit codes that mean something.
const STOPPED: i32 = 75;
const UNFIT: i32 = 3;

/// A program to be run.
pub struct Program<'a> {
    pub argv: Vec<String>,
    /// Where it runs.
    pub folder: &'a Path,
    /// Names of variables that it is given beside [`PASSED`].
    pub environment: &'a [String],
    /// Variables that are set for it.
    pub set: Vec<(&'static str, String)>,
    pub threads: usize,
    pub limit: Duration,
}

/// How it ended, where that is no failure.
#[derive(Clone, Debug)]
pub enum Ended {
    Done {
        /// Its last words.
        words: Words,
        /// What it wrote to stdout.
        said: Vec<String>,
    },
    /// It was asked to stop.
    Stopped,
}

impl Program<'_> {
    fn command(&self) -> Command {
        let (program, args) = match self.argv.split_first() {
            Some((program, args)) => (program.as_str(), args),
            None => ("", &[][..]),
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder).env_clear();
        let own = self.environment.iter().map(String::as_str);
        for name in PASSED.into_iter().chain(own) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for name in THREADS {
            command.env(name, self.threads.to_string());
        }
        for (name, value) in [
            ("PYTHONHASHSEED", "0"),
            ("PYTHONUNBUFFERED", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ] {
            command.env(name, value);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        apart(&mut command);
        command
    }

    /// Starts it; its streams are read from now on. `stdin` is what it reads.
    pub fn start(&self, stdin: Stdio) -> Result<Running, ExternalError> {
        let mut command = self.command();
        let child = command.stdin(stdin).spawn();
        let mut child = child.map_err(|source| ExternalError::Start {
            program: self.argv.first().cloned().unwrap_or_default(),
            source,
        })?;
        let (out, err) = (Tail::default(), Tail::default());
        if let Some(stderr) = child.stderr.take() {
            err.follow(stderr);
        }
        Ok(Running { child, out, err })
    }

    /// Runs it to its end. `stop` says whether it is to stop; `events` is what it writes of its progress.
    pub fn run(
        &self,
        phase: &'static str,
        events: &Path,
        stop: &mut dyn FnMut() -> bool,
        progress: &mut dyn FnMut(f64, &str),
    ) -> Result<Ended, ExternalError> {
        let mut running = self.start(Stdio::null())?;
        if let Some(stdout) = running.child.stdout.take() {
            running.out.follow(stdout);
        }
        let (begun, mut events) = (Instant::now(), Events::new(events));
        // When it was asked to stop, and whether by the clock.
        let mut asked: Option<(Instant, bool)> = None;
        let status = loop {
            if let Some(status) = running.child.try_wait().map_err(ExternalError::Wait)? {
                break status;
            }
            let late = begun.elapsed() > self.limit;
            if asked.is_none() && (late || stop()) {
                running.terminate();
                asked = Some((Instant::now(), late));
            }
            let grace = |late| if late { Duration::from_secs(5) } else { GRACE };
            if asked.is_some_and(|(when, late)| when.elapsed() > grace(late)) {
                running.kill();
            }
            events.tell(progress);
            std::thread::sleep(PACE);
        };
        // What it started must not outlive it.
        running.kill();
        let words = running.words();
        let code = status.code();
        match asked {
            Some((_, true)) => {
                let limit = self.limit;
                return Err(ExternalError::Timeout { limit, words });
            }
            Some((_, false)) if code != Some(0) => return Ok(Ended::Stopped),
            Some((_, false)) | None => {}
        }
        match code {
            Some(0) => {
                let said = running.out.lines();
                Ok(Ended::Done { words, said })
            }
            Some(STOPPED) => Err(ExternalError::Unasked { words }),
            Some(UNFIT) => Err(ExternalError::Unfit { words }),
            Some(_) | None => Err(ExternalError::Ended {
                how: how(status),
                phase,
                words,
            }),
        }
    }
}

/// A process that runs, and what it said last.
pub struct Running {
    pub child: Child,
    pub out: Tail,
    err: Tail,
}

impl Running {
    /// Its last words: of stderr, or else of stdout.
    pub fn words(&self) -> Words {
        let words = self.err.lines();
        match words.is_empty() {
            true => Words(self.out.lines()),
            false => Words(words),
        }
    }

    /// Asks it, and all that it started, to end.
    pub fn terminate(&mut self) {
        signal(&mut self.child, false);
    }

    /// Ends it, and all that it started.
    pub fn kill(&mut self) {
        signal(&mut self.child, true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        // It cannot refuse; without this it would stay as a zombie.
        let _ = self.child.wait();
    }
}

/// How a process ended, in words.
pub fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return match signal {
                9 => "signal 9 (killed, which is what the system does when memory runs out)"
                    .to_owned(),
                signal => format!("signal {signal}"),
            };
        }
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// Gives the process a group of its own, so that all that it starts is ended with it; it ends with this
/// process, however that ends.
fn apart(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        #[cfg(target_os = "linux")]
        {
            let kill = Some(rustix::process::Signal::KILL);
            let with_parent = move || Ok(rustix::process::set_parent_process_death_signal(kill)?);
            // SAFETY: between fork and exec it makes one system call, allocates nothing and takes no lock.
            unsafe { command.pre_exec(with_parent) };
        }
    }
    #[cfg(not(unix))]
    let _ = command;
}

fn signal(child: &mut Child, kill: bool) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let signal = if kill { Signal::KILL } else { Signal::TERM };
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // A group that is gone needs no signal.
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    }
    #[cfg(not(unix))]
    {
        let _ = kill;
        let _ = child.kill();
    }
}

/// The end of a stream that somebody else writes, however much that is.
#[derive(Clone, Default)]
pub struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Reads `from` to its end, on a thread of its own: what the process started may hold it open.
    pub fn follow(&self, mut from: impl Read + Send + 'static) {
        let tail = self.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 8 << 10];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                tail.add(&bytes[..count]);
            }
        });
    }

    /// Puts what was read elsewhere behind the rest.
    pub fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let more = kept.len().saturating_sub(KEPT);
        kept.drain(..more);
    }

    /// Its last lines, none of them long.
    fn lines(&self) -> Vec<String> {
        // The thread may not have read all of a process that has just ended.
        std::thread::sleep(Duration::from_millis(30));
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let short = |line: &&str| match line.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{} ...", &line[..end]),
            None => (*line).to_owned(),
        };
        last.iter().map(short).collect()
    }
}

/// `events.jsonl`, as it grows.
struct Events {
    path: PathBuf,
    read: u64,
    done: f64,
    last: Instant,
}

impl Events {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: 0,
            done: 0.0,
            last: Instant::now(),
        }
    }

    /// Passes on the newest line now and then. A line that is none of ours says nothing, and ends
    /// nothing: it is progress alone.
    fn tell(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        if self.last.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.last = Instant::now();
        let Some(text) = self.more() else { return };
        let event = |line: &str| serde_json::from_str::<Event>(line).ok();
        if let Some(event) = text.lines().rev().find_map(event) {
            let done = event.done.filter(|done| (0.0..=1.0).contains(done));
            self.done = done.unwrap_or(self.done);
            let message: String = event.message.chars().take(LONGEST).collect();
            progress(self.done, &message);
        }
    }

    /// Whole lines that are new, the last of them.
    fn more(&mut self) -> Option<String> {
        let mut file = std::fs::File::open(&self.path).ok()?;
        let length = file.metadata().ok().filter(|m| m.is_file())?.len();
        if length <= self.read {
            return None;
        }
        let from = self.read.max(length.saturating_sub(KEPT as u64));
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(KEPT as u64).read_to_end(&mut bytes).ok()?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
        self.read = from + whole as u64;
        Some(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }
}
