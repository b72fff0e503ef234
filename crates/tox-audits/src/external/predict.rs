//! A learner that answers queries about rows: what it found becomes an oracle of attacks that need no
//! gradient.

use super::error::ExternalError;
use super::process::{Program, Running};
use super::work::failed;
use serde::Deserialize;
use serde_json::json;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tox_data::arrays;
use tox_data::features::Values;
use tox_robust::Oracle;

/// Longest line that an answer is.
const LONGEST: usize = 4096;

/// A process that answers queries.
pub struct Served<'a> {
    shape: [usize; 3],
    classes: usize,
    folder: PathBuf,
    limit: Duration,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    running: Running,
    stdin: ChildStdin,
    lines: Receiver<String>,
    queries: u64,
    stop: &'a mut dyn FnMut() -> bool,
    /// Told the queries so far.
    progress: &'a mut dyn FnMut(u64),
    /// Why it answers no more.
    ended: Option<Option<ExternalError>>,
}

/// A line of its stdout.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    error: Option<String>,
}

impl<'a> Served<'a> {
    /// Starts it. `stop` says whether to end, `progress` hears of queries.
    pub fn start(
        program: &Program<'_>,
        (shape, classes): ([usize; 3], usize),
        stop: &'a mut dyn FnMut() -> bool,
        progress: &'a mut dyn FnMut(u64),
    ) -> Result<Self, ExternalError> {
        let mut running = program.start(Stdio::piped())?;
        let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(ExternalError::Query {
                what: "its streams are closed".into(),
                words: running.words(),
            });
        };
        let (send, lines) = channel();
        std::thread::spawn(move || {
            use std::io::Read;
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                let read = reader
                    .by_ref()
                    .take(LONGEST as u64)
                    .read_until(b'\n', &mut line);
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                if read.is_ok_and(|n| n == 0) || send.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            shape,
            classes,
            folder: program.folder.to_owned(),
            limit: program.limit,
            state: RefCell::new(State {
                running,
                stdin,
                lines,
                queries: 0,
                stop,
                progress,
                ended: None,
            }),
        })
    }

    /// Number of queries, or why it answered no more; `None` if it was stopped.
    pub fn end(self) -> Result<Option<u64>, ExternalError> {
        let state = self.state.into_inner();
        match state.ended {
            Some(Some(error)) => Err(error),
            Some(None) => Ok(None),
            None => Ok(Some(state.queries)),
        }
    }

    fn ask(
        &self,
        state: &mut State<'_>,
        pixels: &[f32],
    ) -> Result<Option<Vec<f32>>, ExternalError> {
        let rows = pixels.len() / self.size();
        let names =
            ["query.npy", "query.scores.npy"].map(|name| format!("q{}-{name}", state.queries));
        let paths = names.clone().map(|name| self.folder.join(name));
        let [c, h, w] = self.shape;
        arrays::write(
            &paths[0],
            &[rows, c, h, w],
            &Values::Floats(pixels.to_vec()),
        )?;
        let line = json!({ "x": names[0], "scores": names[1] }).to_string() + "\n";
        let sent = state
            .stdin
            .write_all(line.as_bytes())
            .and_then(|()| state.stdin.flush());
        let wrong = |state: &State<'_>, what: String| ExternalError::Query {
            what,
            words: state.running.words(),
        };
        if let Err(e) = sent {
            return Err(wrong(state, format!("it reads no more ({e})")));
        }
        let begun = Instant::now();
        let reply = loop {
            if (state.stop)() {
                return Ok(None);
            }
            match state.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < self.limit => {}
                Err(RecvTimeoutError::Timeout) => {
                    let limit = self.limit.as_secs();
                    return Err(wrong(state, format!("no answer after {limit} s")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(wrong(state, "it ended".into()));
                }
            }
        };
        match serde_json::from_str::<Reply>(&reply) {
            Ok(Reply {
                ok: true,
                error: None,
            }) => {}
            Ok(Reply {
                error: Some(error), ..
            }) => return Err(wrong(state, error)),
            Ok(_) | Err(_) => {
                let short: String = reply.chars().take(200).collect();
                return Err(wrong(
                    state,
                    format!("expected {{\"ok\": true}}, found {short:?}"),
                ));
            }
        }
        let scores = self.scores(&paths[1], rows);
        for path in paths {
            std::fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        state.queries += 1;
        (state.progress)(state.queries);
        scores.map(Some)
    }

    fn scores(&self, path: &Path, rows: usize) -> Result<Vec<f32>, ExternalError> {
        let name = || {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let wrong = |what: String| ExternalError::Predictions {
            name: name(),
            what,
            expected: format!("{rows} x {} finite scores", self.classes),
        };
        let most = (rows * self.classes * 8 + 16_384) as u64;
        let length = std::fs::symlink_metadata(path).ok().filter(|m| m.is_file());
        match length.map(|m| m.len()) {
            None => return Err(wrong("there is no such file".into())),
            Some(length) if length > most => {
                return Err(wrong(format!("it has {length} bytes, at most {most}")));
            }
            Some(_) => {}
        }
        let found = arrays::read(path).map_err(|source| ExternalError::Read {
            name: name(),
            source,
        })?;
        if found.shape != [rows, self.classes] {
            return Err(wrong(format!("its shape is {:?}", found.shape)));
        }
        let scores: Vec<f32> = found.values.iter().map(|v| *v as f32).collect();
        match scores.iter().all(|score| score.is_finite()) {
            true => Ok(scores),
            false => Err(wrong("a score is not finite".into())),
        }
    }
}

impl Oracle for Served<'_> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let mut state = self.state.borrow_mut();
        let none = || vec![0.0; pixels.len() / self.size() * self.classes];
        if state.ended.is_some() {
            return none();
        }
        match self.ask(&mut state, pixels) {
            Ok(Some(scores)) => scores,
            Ok(None) => {
                state.ended = Some(None);
                none()
            }
            Err(error) => {
                state.ended = Some(Some(error));
                none()
            }
        }
    }

    fn has_gradient(&self) -> bool {
        false
    }

    /// There is none: attacks that ask for it are refused before.
    fn pullback(
        &self,
        pixels: &[f32],
        _cotangent: &mut tox_robust::Cotangent<'_>,
    ) -> (Vec<f32>, Vec<f32>) {
        (self.logits(pixels), vec![0.0; pixels.len()])
    }

    fn stopped(&self) -> bool {
        self.state.borrow().ended.is_some()
    }
}
