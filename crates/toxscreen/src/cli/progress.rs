//! What a user sees while trials run: bars with the time left on a terminal, plain lines
//! otherwise. All on stderr.

use super::{duration, say};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tox_data::checkpoint::NOTE;
use tox_study::runner::{End, News, Notice};
use tox_study::store::Store;

/// Shortest time between two plain lines about one trial.
const PACE: Duration = Duration::from_secs(10);

/// Steps of a bar.
const STEPS: f64 = 1000.0;

/// The progress of a study.
pub struct Progress {
    names: Vec<String>,
    bars: Option<(MultiProgress, ProgressBar)>,
    running: BTreeMap<usize, Running>,
    /// Trials that have ended, those that were done before among them.
    ended: usize,
    /// Trials that there are to do, those that were done before among them.
    total: usize,
}

struct Running {
    begun: Instant,
    told: Instant,
    done: f64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of `total` trials of a study, of which `ended` are done already.
    pub fn new(store: &Store, ended: usize, total: usize) -> Self {
        let trials = &store.study.trials;
        let names: Vec<_> = trials
            .iter()
            .map(|t| format!("{} seed {}", t.cell(), t.spec.seed))
            .collect();
        let bars = std::io::stderr().is_terminal().then(|| {
            let multi = MultiProgress::new();
            let total = multi.add(ProgressBar::new((STEPS * total as f64) as u64));
            total.set_style(style(
                "{prefix:24} {bar:30} {percent:>3} %  {msg}, {eta} left",
            ));
            total.set_prefix("all trials");
            (multi, total)
        });
        Self {
            names,
            bars,
            running: BTreeMap::new(),
            ended,
            total,
        }
    }

    /// Takes in what is new about a trial.
    pub fn hear(&mut self, notice: Notice) {
        let i = notice.trial;
        match notice.news {
            News::Started => {
                let bar = self.bars.as_ref().map(|(multi, total)| {
                    let bar = multi.insert_before(total, ProgressBar::new(STEPS as u64));
                    bar.set_style(style("{prefix:24} {bar:30} {percent:>3} %  {wide_msg}"));
                    bar.set_prefix(self.names[i].clone());
                    bar
                });
                let now = Instant::now();
                self.running.insert(
                    i,
                    Running {
                        begun: now,
                        told: now,
                        done: 0.0,
                        bar,
                    },
                );
                self.line(i, "started");
            }
            News::Progress { done, message } => {
                let Some(run) = self.running.get_mut(&i) else {
                    return;
                };
                run.done = done.clamp(0.0, 1.0);
                if message.contains(NOTE) {
                    self.line(i, &message);
                } else if let Some(bar) = &run.bar {
                    bar.set_position((run.done * STEPS) as u64);
                    bar.set_message(message);
                } else if run.told.elapsed() >= PACE {
                    run.told = Instant::now();
                    let percent = run.done * 100.0;
                    self.line(i, &format!("{percent:.0} %: {message}"));
                }
            }
            News::Ended(end) => {
                let Some(run) = self.running.remove(&i) else {
                    return;
                };
                if let Some(bar) = run.bar {
                    bar.finish_and_clear();
                }
                self.ended += usize::from(end != End::Stopped);
                let spent = duration(run.begun.elapsed().as_secs_f64());
                match end {
                    End::Done => self.line(i, &format!("done in {spent}")),
                    End::Stopped => self.line(i, "stopped, will go on from its checkpoint"),
                    End::Failed(failure) => {
                        self.line(i, &format!("FAILED after {spent}: {}", failure.message));
                    }
                }
            }
        }
        if let Some((_, total)) = &self.bars {
            let shares: f64 = self.running.values().map(|r| r.done).sum();
            total.set_position(((self.ended as f64 + shares) * STEPS) as u64);
            total.set_message(format!("{} of {} trials", self.ended, self.total));
        }
    }

    /// A line that stays, above the bars if there are any.
    fn line(&self, i: usize, text: &str) {
        let width = self.total.to_string().len();
        let line = format!(
            "[{:>width$}/{}] {}: {text}",
            self.ended, self.total, self.names[i]
        );
        match &self.bars {
            // A bar shows that its trial has started.
            Some(_) if text == "started" => {}
            Some((multi, _)) => drop(multi.println(line)),
            None => say(format_args!("{line}")),
        }
    }

    /// Takes the bars away.
    pub fn close(self) {
        if let Some((_, total)) = self.bars {
            total.finish_and_clear();
        }
    }
}

/// The progress of one computation in this process.
pub struct Bar {
    name: String,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Bar {
    /// Of a computation that has just begun.
    pub fn new(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(STEPS as u64);
            bar.set_style(style(
                "{prefix} {bar:30} {percent:>3} %, {eta} left  {wide_msg}",
            ));
            bar.set_prefix(name.to_owned());
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            told: Instant::now(),
        }
    }

    /// Share of the work done, 0 to 1, and what is going on.
    pub fn tell(&mut self, share: f64, what: &str) {
        let share = share.clamp(0.0, 1.0);
        if what.contains(NOTE) {
            match &self.bar {
                Some(bar) => bar.println(what),
                None => say(format_args!("{what}")),
            }
        } else if let Some(bar) = &self.bar {
            bar.set_position((share * STEPS) as u64);
            bar.set_message(what.to_owned());
        } else if self.told.elapsed() >= PACE {
            self.told = Instant::now();
            say(format_args!("{} {:.0} %: {what}", self.name, share * 100.0));
        }
    }

    /// Takes the bar away.
    pub fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
