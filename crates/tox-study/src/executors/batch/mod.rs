//! What all batch systems share: trials in tasks, tasks in batches, what was submitted, what became of it.
//!
//! The state of a trial is its folder's: `record.json` or `failure.json`. A batch system is asked only which tasks
//! it still has, and one that is gone without either is submitted again, a bounded number of times.

mod kept;
mod share;

pub use kept::{Batch, Folder};

use super::{EngineError, Key, Settings, Told, Work};
use crate::child::Past;
use crate::files;
use crate::runner::{End, News, Notice};
use crate::store::Failure;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The settings that every batch system has.
pub const KEYS: [Key; 4] = [
    Key {
        name: "pack",
        about: "trials that a job runs, one after another (1): more where they are short",
    },
    Key {
        name: "retries",
        about: "how often a trial is submitted again whose job ended without a word (3)",
    },
    Key {
        name: "poll",
        about: "seconds between two looks at the jobs (30)",
    },
    Key {
        name: "template",
        about: "file of your own job script",
    },
];

/// A task: the batch and its place in it.
pub type Task = (usize, usize);

/// How a submission ended.
pub enum Submitted {
    /// Under the name of a job, as the system calls it.
    As(String),
    /// Not now, and why: the system does not answer. It is tried again.
    NotNow(String),
    /// Not so many, and why.
    TooMany(String),
}

/// Batches by their number.
pub type Batches = BTreeMap<usize, Batch>;

/// A batch system.
pub trait System {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Tasks that one batch can have, and tasks that there may be at once.
    ///
    /// # Errors
    /// A system that cannot be used.
    fn room(&mut self) -> Result<(usize, usize), EngineError>;

    /// Submits a batch that is written down.
    ///
    /// # Errors
    /// A refusal that time does not mend.
    fn submit(&mut self, folder: &Folder, batch: &Batch) -> Result<Submitted, EngineError>;

    /// Which tasks of these batches are not over; `None` where it does not answer.
    fn alive(&mut self, folder: &Folder, batches: &Batches) -> Option<Alive>;

    /// How a user ends the jobs.
    fn cancel(&self, batches: &Batches) -> String;
}

/// Tasks that are not over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alive {
    pub tasks: BTreeSet<Task>,
    /// Why some wait, in the system's words.
    pub reasons: BTreeSet<String>,
}

/// What drives a study through a batch system.
pub struct Driver<'w, 'a, S> {
    work: &'w mut Work<'a>,
    system: S,
    folder: Folder,
    batches: Batches,
    pack: usize,
    retries: usize,
    poll: Duration,
    /// Trials without an end, by their place in the plan.
    open: BTreeMap<usize, Trial>,
    /// What is being made for several trials, or was.
    shared: BTreeSet<String>,
    told: String,
}

/// What is known of a trial without an end.
#[derive(Clone, Copy, Default)]
struct Trial {
    /// Whether it was submitted, now or before.
    known: bool,
    /// How often it was submitted by this driver.
    tries: usize,
    /// Looks in a row at which it was in no job.
    gone: usize,
    started: bool,
}

/// Looks at which a trial must be in no job before it is submitted again: what another node wrote may take a
/// moment to be seen here.
const GONE: usize = 2;

/// The first pause between two looks; it doubles up to the one that is set.
const FIRST: Duration = Duration::from_millis(250);

/// What a look found.
struct Seen {
    /// Trials to submit.
    waiting: Vec<usize>,
    /// Trials of which the next look will tell more.
    unsure: usize,
}

impl<'w, 'a, S: System> Driver<'w, 'a, S> {
    /// Finds what was submitted before.
    ///
    /// # Errors
    /// A setting, or a file of `cluster/` that cannot be used.
    pub fn new(work: &'w mut Work<'a>, system: S) -> Result<Self, EngineError> {
        let (name, settings) = (system.name(), work.settings);
        let pack = settings.number(name, "pack", PACK)?;
        let retries = settings.number(name, "retries", RETRIES)?;
        let poll = Duration::from_secs_f64(settings.number(name, "poll", POLL)?);
        let folder = Folder::open(work.store.dir(), name)?;
        let batches = match work.resubmit {
            true => Batches::new(),
            false => folder.batches()?,
        };
        for &trial in &work.left {
            super::write_spec(work.store, trial)?;
        }
        let (house, store) = (work.house, work.store);
        let shared = batches.values().filter(|b| b.shared);
        let makers: BTreeSet<&String> = shared.flat_map(|b| b.tasks.iter().flatten()).collect();
        let trials = store.study.trials.iter();
        let makers = trials.filter(|t| makers.contains(&t.id));
        let shared = makers.flat_map(|t| house.shares(&t.spec)).collect();
        let whole = batches.values().filter(|b| !b.shared);
        let known: BTreeSet<&String> = whole.flat_map(|b| b.tasks.iter().flatten()).collect();
        let open = work.left.iter().map(|&trial| {
            let known = known.contains(&work.store.study.trials[trial].id);
            let state = Trial {
                known,
                ..Trial::default()
            };
            (trial, state)
        });
        Ok(Self {
            open: open.collect(),
            work,
            system,
            folder,
            batches,
            pack,
            retries,
            poll,
            shared,
            told: String::new(),
        })
    }

    /// Until every trial has an end, the user wishes to stop, or all is submitted and nobody waits.
    ///
    /// # Errors
    /// When nothing can be submitted, or a file cannot be used.
    pub fn run(mut self) -> Result<(), EngineError> {
        let mut first = true;
        let mut left_there = Batches::new();
        let mut pause = FIRST.min(self.poll);
        loop {
            let alive = self.system.alive(&self.folder, &self.batches);
            if let Some(alive) = &alive {
                let seen = self.look(alive, first)?;
                let before = self.batches.keys().next_back().copied();
                first = false;
                let mut left = seen.waiting.len();
                if left > 0 && !self.stopped() {
                    left -= self.submit(seen.waiting, alive)?;
                    pause = FIRST.min(self.poll);
                }
                let there: BTreeSet<usize> = alive.tasks.iter().map(|task| task.0).collect();
                left_there.clone_from(&self.batches);
                left_there.retain(|number, _| there.contains(number) || Some(*number) > before);
                if self.work.detach && left + seen.unsure == 0 {
                    break;
                }
            } else {
                self.once("the cluster does not answer; what is submitted goes on".to_owned());
            }
            if self.open.is_empty() || self.stopped() {
                break;
            }
            self.wait(pause);
            pause = (2 * pause).min(self.poll);
        }
        if !self.open.is_empty() {
            let cancel = self.system.cancel(&left_there);
            let count = self.open.len();
            self.work
                .say(format!("the jobs of {count} trials go on; {cancel}"));
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.work.stop.load(Ordering::SeqCst) > 0
    }

    fn wait(&self, pause: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < pause && !self.stopped() {
            std::thread::sleep(Duration::from_millis(20).min(pause));
        }
    }

    /// Says a line, unless it was the last.
    fn once(&mut self, line: String) {
        if self.told != line {
            self.told.clone_from(&line);
            self.work.say(line);
        }
    }

    /// Takes in what became of the trials.
    fn look(&mut self, alive: &Alive, first: bool) -> Result<Seen, EngineError> {
        let trials = alive.tasks.iter().filter_map(|(batch, task)| {
            let batch = self.batches.get(batch).filter(|b| !b.shared)?;
            batch.tasks.get(*task)
        });
        let held: BTreeSet<&String> = trials.flatten().collect();
        let store = self.work.store;
        let (mut waiting, mut unsure, mut news) = (Vec::new(), 0, Vec::new());
        for (&trial, state) in &mut self.open {
            let id = &store.study.trials[trial].id;
            let dir = store.trial_dir(id);
            if store.is_done(id) {
                news.push((trial, News::Ended(End::Done)));
            } else if held.contains(id) {
                state.gone = 0;
                let log = dir.join("events.jsonl");
                if !log.is_file() {
                    continue;
                }
                if !state.started {
                    state.started = true;
                    news.push((trial, News::Started));
                }
                if let Some(done) = Past::read(&log, 0)?.done {
                    let message = "in a job".to_owned();
                    news.push((trial, News::Progress { done, message }));
                }
            } else if let Some(failure) = store.failure(id) {
                match first {
                    // Of an earlier run; this one tries again.
                    true => waiting.push(trial),
                    false => news.push((trial, News::Ended(End::Failed(failure)))),
                }
            } else if state.known && state.gone < GONE {
                // Reading the folder makes a network file system look again.
                files::names(&dir)?;
                state.gone += 1;
                unsure += 1;
            } else if state.tries > self.retries {
                let failure = Failure {
                    trial: id.clone(),
                    message: format!(
                        "its job ended {} times without a record and without a word: it was killed, ran out of \
                         memory or of time, or never began; its logs are in {}",
                        state.tries,
                        self.folder.logs().display()
                    ),
                    exit_code: None,
                    stderr: Vec::new(),
                };
                news.push((trial, News::Ended(End::Failed(failure))));
            } else {
                waiting.push(trial);
            }
        }
        for (trial, news) in news {
            if matches!(news, News::Ended(_)) {
                let state = self.open.remove(&trial).unwrap_or_default();
                if !state.started {
                    let news = News::Started;
                    (self.work.tell)(Told::Trial(Notice { trial, news }));
                }
            }
            (self.work.tell)(Told::Trial(Notice { trial, news }));
        }
        if !alive.reasons.is_empty() {
            let reasons: Vec<&str> = alive.reasons.iter().map(String::as_str).collect();
            self.once(format!("jobs wait: {}", reasons.join(", ")));
        }
        Ok(Seen { waiting, unsure })
    }

    /// Submits what there is room for; how many trials.
    fn submit(&mut self, waiting: Vec<usize>, alive: &Alive) -> Result<usize, EngineError> {
        let (most, at_once) = self.system.room()?;
        let mut room = Room {
            most,
            left: at_once.saturating_sub(alive.tasks.len()),
            none_yet: alive.tasks.is_empty(),
        };
        let store = self.work.store;
        for &trial in &waiting {
            let dir = store.trial_dir(&store.study.trials[trial].id);
            files::remove_matching(&dir, |name| name == "failure.json")?;
        }
        let split = share::split(self.work.house, store, &waiting, &self.shared);
        let leaders: Vec<Vec<usize>> = split.leaders.iter().map(|&trial| vec![trial]).collect();
        let makers = alive.tasks.iter().map(|(batch, _)| *batch);
        let is_shared = |batch: &usize| self.batches.get(batch).is_some_and(|b| b.shared);
        let mut after: BTreeSet<usize> = makers.filter(is_shared).collect();
        let asked = self.all(&leaders, Some(&mut after), &BTreeSet::new(), &mut room)?;
        if asked < leaders.len() {
            return Ok(0);
        }
        self.shared.extend(split.keys);
        let pack = self.pack;
        let packed = |trials: &[usize]| -> Vec<Vec<usize>> {
            trials.chunks(pack).map(<[usize]>::to_vec).collect()
        };
        let (free, followers) = (packed(&split.free), packed(&split.followers));
        let count = self.all(&free, None, &BTreeSet::new(), &mut room)?;
        Ok(count + self.all(&followers, None, &after, &mut room)?)
    }

    /// Submits tasks in as few batches as may be, after those of `after`; how many trials were. With `made` the
    /// tasks end once they have made what they share, and their batches are added to it.
    fn all(
        &mut self,
        tasks: &[Vec<usize>],
        mut made: Option<&mut BTreeSet<usize>>,
        after: &BTreeSet<usize>,
        room: &mut Room,
    ) -> Result<usize, EngineError> {
        let (mut from, mut count) = (0, 0);
        let shared = made.is_some();
        while from < tasks.len() {
            let size = room.most.min(room.left).min(tasks.len() - from);
            if size == 0 {
                let line = "as many jobs are submitted as the cluster takes; others follow";
                self.once(line.to_owned());
                break;
            }
            let trials = &self.work.store.study.trials;
            let part = &tasks[from..from + size];
            let ids = |task: &Vec<usize>| task.iter().map(|&i| trials[i].id.clone()).collect();
            let batch = self.folder.plan(Batch {
                number: 0,
                name: String::new(),
                job: None,
                shared,
                after: after.iter().copied().collect(),
                tasks: part.iter().map(ids).collect(),
            })?;
            let number = batch.number;
            match self.system.submit(&self.folder, &batch)? {
                Submitted::As(job) => {
                    self.folder.submitted(number, &job)?;
                    for trial in part.iter().flatten().filter(|_| !shared) {
                        if let Some(state) = self.open.get_mut(trial) {
                            state.known = true;
                            state.tries += 1;
                            (state.gone, state.started) = (0, false);
                        }
                    }
                    self.batches.insert(
                        number,
                        Batch {
                            job: Some(job.clone()),
                            ..batch
                        },
                    );
                    if let Some(made) = &mut made {
                        made.insert(number);
                    }
                    room.none_yet = false;
                    room.left -= size;
                    from += size;
                    let trials: usize = part.iter().map(Vec::len).sum();
                    count += trials;
                    let what = if shared {
                        "steps that trials share"
                    } else {
                        "trials"
                    };
                    self.work.say(format!("submitted {trials} {what} as {job}"));
                }
                Submitted::NotNow(why) => {
                    self.folder.refused(number)?;
                    self.once(format!(
                        "nothing can be submitted now, it is tried again: {why}"
                    ));
                    room.left = 0;
                    return Ok(count);
                }
                Submitted::TooMany(why) => {
                    self.folder.refused(number)?;
                    if size == 1 && room.none_yet {
                        return Err(EngineError::Refused {
                            command: self.system.name().to_owned(),
                            said: why,
                            hint:
                                "not one job may be submitted: ask for the limits of your account"
                                    .to_owned(),
                        });
                    }
                    self.once(format!(
                        "so many jobs are too many, fewer are submitted: {why}"
                    ));
                    room.most = size.div_ceil(2);
                    if size == 1 {
                        room.left = 0;
                    }
                }
            }
        }
        Ok(count)
    }
}

/// What may still be submitted.
struct Room {
    /// In one batch.
    most: usize,
    /// In all.
    left: usize,
    /// Whether the cluster has nothing of ours.
    none_yet: bool,
}

/// Default, least and most of the settings that are numbers.
const PACK: (usize, usize, usize) = (1, 1, 10_000);
const RETRIES: (usize, usize, usize) = (3, 0, 1000);
const POLL: (f64, f64, f64) = (30.0, 0.05, 3600.0);

/// Refuses settings that every batch system has.
///
/// # Errors
/// The first of them.
pub fn check(engine: &'static str, settings: &Settings) -> Result<(), EngineError> {
    settings.number(engine, "pack", PACK)?;
    settings.number(engine, "retries", RETRIES)?;
    settings.number(engine, "poll", POLL)?;
    template(settings, "").map(|_| ())
}

/// The job script's template: the user's own, or `ours`.
///
/// # Errors
/// A file that cannot be read.
pub fn template(settings: &Settings, ours: &str) -> Result<String, EngineError> {
    match settings.get("template") {
        None => Ok(ours.to_owned()),
        Some(path) => Ok(files::read(Path::new(path))?),
    }
}

/// Fills in a template.
///
/// # Errors
/// What is wrong with it.
pub fn filled(
    settings: &Settings,
    ours: &str,
    values: &impl Serialize,
) -> Result<String, EngineError> {
    let text = template(settings, ours)?;
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
        .render_str(&text, minijinja::value::Serde(values))
        .map_err(|error| EngineError::Template {
            path: settings.get("template").unwrap_or("of toxscreen").into(),
            what: error.to_string(),
        })
}
