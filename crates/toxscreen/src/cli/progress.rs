//! What a user sees while trials run: bars with the time left on a terminal, plain lines
//! otherwise. All on stderr.

use super::{duration, say};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tox_data::checkpoint::NOTE;
use tox_data::text::one_line;
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
    begun: Instant,
    /// Trials' worth of work that was done now, without that of trials that are still running.
    made: f64,
}

struct Running {
    begun: Instant,
    told: Instant,
    /// Share that it had when it first said something: what a checkpoint brought is no work of now.
    from: Option<f64>,
    done: f64,
    bar: Option<ProgressBar>,
}

impl Running {
    /// Share of the trial that was done now.
    fn made(&self) -> f64 {
        self.done - self.from.unwrap_or(self.done)
    }
}

/// Shares of work below which nothing is said of the time left.
const TOO_LITTLE: f64 = 0.01;

/// The time that `left` of the work will take, in words, if `made` took `elapsed`.
fn time_left(elapsed: Duration, made: f64, left: f64) -> Option<String> {
    let known =
        made > 0.0 && made >= TOO_LITTLE * (made + left) && elapsed >= Duration::from_secs(1);
    let seconds = elapsed.as_secs_f64() * left / made;
    known.then(|| format!("about {} left", duration(seconds)))
}

/// [`time_left`] on a bar, which has a place for it.
fn time_left_or_not(elapsed: Duration, made: f64, left: f64) -> String {
    time_left(elapsed, made, left).unwrap_or_else(|| "estimating".to_owned())
}

/// The style of a bar of bytes: `{left}` in the template is the time left.
pub fn bytes(template: &str) -> ProgressStyle {
    style(template).with_key("left", |state: &ProgressState, out: &mut dyn Write| {
        let (made, all) = (state.pos() as f64, state.len().unwrap_or(0) as f64);
        let left = (all - made).max(0.0);
        // Nobody hears of a bar that cannot be drawn.
        let _ = out.write_str(&time_left_or_not(state.elapsed(), made, left));
    })
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
            total.set_style(style("{prefix:24} {bar:30} {percent:>3} %  {msg}"));
            total.set_prefix("all trials");
            (multi, total)
        });
        Self {
            names,
            bars,
            running: BTreeMap::new(),
            ended,
            total,
            begun: Instant::now(),
            made: 0.0,
        }
    }

    /// Time elapsed, work done in it, and work left, in trials.
    fn pace(&self) -> (Duration, f64, f64) {
        let running = self.running.values();
        let (made, done) = running.fold((self.made, self.ended as f64), |(made, done), r| {
            (made + r.made(), done + r.done)
        });
        let left = (self.total as f64 - done).max(0.0);
        (self.begun.elapsed(), made, left)
    }

    /// Takes in what is new about a trial.
    pub fn hear(&mut self, notice: Notice) {
        let i = notice.trial;
        match notice.news {
            News::Started => {
                let bar = self.bars.as_ref().map(|(multi, total)| {
                    let bar = multi.insert_before(total, ProgressBar::new(STEPS as u64));
                    bar.set_style(style("{prefix:24} {bar:30} {percent:>3} %  {wide_msg}"));
                    bar.set_prefix(one_line(&self.names[i]).into_owned());
                    bar
                });
                let now = Instant::now();
                self.running.insert(
                    i,
                    Running {
                        begun: now,
                        told: now,
                        from: None,
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
                run.from.get_or_insert(run.done);
                if message.contains(NOTE) {
                    self.line(i, &message);
                } else if let Some(bar) = &run.bar {
                    bar.set_position((run.done * STEPS) as u64);
                    bar.set_message(one_line(&message).into_owned());
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
                self.made += match end {
                    End::Stopped => 0.0,
                    // A trial of which nothing was heard was begun now.
                    End::Done | End::Failed(_) => 1.0 - run.from.unwrap_or(0.0),
                };
                let spent = duration(run.begun.elapsed().as_secs_f64());
                match end {
                    End::Done => {
                        let (elapsed, made, left) = self.pace();
                        let rest = time_left(elapsed, made, left).filter(|_| left > 0.0);
                        let rest = rest.map_or(String::new(), |rest| format!("; {rest} in all"));
                        self.line(i, &format!("done in {spent}{rest}"));
                    }
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
            let (elapsed, made, left) = self.pace();
            let rest = time_left_or_not(elapsed, made, left);
            total.set_message(format!("{} of {} trials, {rest}", self.ended, self.total));
        }
    }

    /// Says something of all trials.
    pub fn say(&self, line: &str) {
        let line = one_line(line);
        match &self.bars {
            Some((multi, _)) => drop(multi.println(line)),
            None => say(format_args!("{line}")),
        }
    }

    /// A line that stays, above the bars if there are any.
    fn line(&self, i: usize, text: &str) {
        let width = self.total.to_string().len();
        let line = format!(
            "[{:>width$}/{}] {}: {text}",
            self.ended, self.total, self.names[i]
        );
        // A bar shows that its trial has started.
        if self.bars.is_none() || text != "started" {
            self.say(&line);
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
    begun: Instant,
    told: Instant,
    /// Share that there was when it was first told: what a checkpoint brought is no work of now.
    from: Option<f64>,
}

impl Bar {
    /// Of a computation that has just begun.
    pub fn new(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(STEPS as u64);
            bar.set_style(style("{prefix} {bar:30} {percent:>3} %, {wide_msg}"));
            bar.set_prefix(name.to_owned());
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            begun: Instant::now(),
            told: Instant::now(),
            from: None,
        }
    }

    /// Share of the work done, 0 to 1, and what is going on.
    pub fn tell(&mut self, share: f64, what: &str) {
        let share = share.clamp(0.0, 1.0);
        let made = share - *self.from.get_or_insert(share);
        let rest = |made: f64| time_left(self.begun.elapsed(), made, 1.0 - share);
        if what.contains(NOTE) {
            match &self.bar {
                Some(bar) => bar.println(one_line(what)),
                None => say(format_args!("{what}")),
            }
        } else if let Some(bar) = &self.bar {
            let rest = rest(made).unwrap_or_else(|| "estimating".to_owned());
            bar.set_position((share * STEPS) as u64);
            bar.set_message(format!("{rest}  {}", one_line(what)));
        } else if self.told.elapsed() >= PACE {
            let rest = rest(made).map_or(String::new(), |rest| format!(", {rest}"));
            self.told = Instant::now();
            say(format_args!(
                "{} {:.0} %{rest}: {what}",
                self.name,
                share * 100.0
            ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_the_time_left_before_it_can_be_known() {
        let after = |seconds, made, left| time_left(Duration::from_secs(seconds), made, left);
        for (seconds, made, left) in [
            (0, 0.0, 1.0),
            (600, 0.0, 1.0),
            (600, 0.005, 0.995),
            (0, 0.5, 0.5),
        ] {
            assert_eq!(after(seconds, made, left), None);
            let said = time_left_or_not(Duration::from_secs(seconds), made, left);
            assert_eq!(said, "estimating");
        }
        assert_eq!(after(60, 0.25, 0.75).unwrap(), "about 3 min 00 s left");
        // Nine trials, of which one and a half were done now in a minute and a half, three before.
        assert_eq!(after(90, 1.5, 4.5).unwrap(), "about 4 min 30 s left");
    }

    #[test]
    fn what_a_checkpoint_brought_is_no_work_of_now() {
        let now = Instant::now();
        let mut running = Running {
            begun: now,
            told: now,
            from: None,
            done: 0.0,
            bar: None,
        };
        assert_eq!(running.made(), 0.0);
        (running.done, running.from) = (0.75, Some(0.5));
        assert_eq!(running.made(), 0.25);
    }
}
