//! Treatments trained on all poison of all splits: the table from which a choice is made.

use super::judge::{Counts, judge};
use super::work::Work;
use super::{Advice, AdviceError, Origin, Question, Split, Treatment, mean};
use crate::audit::{AuditError, Inputs, run_fixed};
use crate::config::{BilevelConfig, Victim};
use crate::converge::{Stop, minimise};
use crate::craft::{Aim, Crafted, converged, craft};
use crate::outcome::{BilevelOutcome, Divergence};
use crate::pass::Passes;
use crate::points::{Points, TrainingSet};
use crate::victim::{Folds, Poison, best, cross_validate, model, problem, retrain};
use tox_data::checkpoint::Hooks;
use tox_data::majority;

/// What a training got wrong.
#[derive(Clone, Debug)]
struct Trained {
    /// Test rows.
    test: Vec<bool>,
    /// Percent.
    test_error: f64,
    /// Percent, on the trusted rows.
    trusted_error: f64,
}

pub struct Trial<'a> {
    question: Question<'a>,
    pub treatments: Vec<Treatment>,
    /// By split: none, flipped labels alone, and what was crafted.
    poisons: Vec<Vec<Poison>>,
    /// By treatment, split and poison.
    table: Vec<Vec<Vec<Trained>>>,
    /// By split: what cross-validation chose and Algorithm 2 ended with.
    validated: Vec<Vec<f64>>,
    learned: Vec<Vec<f64>>,
    /// Trainings, and those short of convergence.
    trainings: [usize; 2],
}

impl<'a> Trial<'a> {
    pub fn new(question: Question<'a>) -> Self {
        let points = question.attack.points();
        let poisons = question.splits.iter().map(|split| {
            let flipped = Poison::flipped(&split.sets, points, split.seed);
            vec![Poison::default(), flipped]
        });
        Self {
            poisons: poisons.collect(),
            question,
            treatments: Vec::new(),
            table: Vec::new(),
            validated: Vec::new(),
            learned: Vec::new(),
            trainings: [0; 2],
        }
    }

    /// Adds a treatment and trains it on all poison so far.
    pub fn add(&mut self, origin: Origin, lambda: Vec<Vec<f64>>) {
        self.treatments.push(Treatment {
            origin,
            lambda,
            clean: Vec::new(),
            worst: Vec::new(),
            attacked: false,
            diverged: false,
        });
        let t = self.treatments.len() - 1;
        let splits = self.question.splits.len();
        self.table.push(vec![Vec::new(); splits]);
        for s in 0..splits {
            let mut warm = None;
            for p in 0..self.poisons[s].len() {
                self.train(t, s, p, &mut warm);
            }
        }
    }

    /// Trains treatment `t` on poison `p` of split `s`. The weights are kept in `warm`, where a
    /// converging learner begins.
    fn train(&mut self, t: usize, s: usize, p: usize, warm: &mut Option<Vec<f32>>) {
        let Split { sets, seed } = &self.question.splits[s];
        let lambda = &self.treatments[t].lambda[s];
        let config = self.config(lambda);
        let poison = &self.poisons[s][p];
        let model = model(&config, sets);
        self.trainings[0] += 1;
        let weights = if self.question.converges() {
            let start = warm.take().unwrap_or_else(|| vec![0.0; model.parameters()]);
            let found = converged(sets, &config, lambda, poison, &start);
            // Without a penalty there may be no minimum: rows that a plane parts have none.
            self.trainings[1] += usize::from(!found.converged && !lambda.is_empty());
            Some(found.weights)
        } else {
            let level = usize::from(p > 0);
            let found = retrain(sets, &config, lambda, poison, *seed, level);
            found.ok().map(|found| found.weights)
        };
        let trained = match &weights {
            Some(weights) => {
                let test = Passes::of(&model, &sets.test).mistakes(weights);
                Trained {
                    test_error: percent(&test),
                    test,
                    trusted_error: Passes::of(&model, &sets.valid).error(weights),
                }
            }
            None => {
                self.treatments[t].diverged = true;
                Trained {
                    test: vec![true; sets.test.len()],
                    test_error: 100.0,
                    trusted_error: 100.0,
                }
            }
        };
        self.table[t][s].push(trained);
        *warm = weights;
    }

    /// The learner with these lambdas fixed.
    fn config(&self, lambda: &[f64]) -> BilevelConfig {
        BilevelConfig {
            victim: match lambda {
                [] => Victim::None,
                _ => Victim::Large,
            },
            ..self.question.config.clone()
        }
    }

    /// Adds a poison of split `s` and trains every treatment on it.
    fn put(&mut self, s: usize, poison: Poison) {
        self.poisons[s].push(poison);
        let p = self.poisons[s].len() - 1;
        let mut warm = None;
        for t in 0..self.treatments.len() {
            self.train(t, s, p, &mut warm);
        }
    }

    /// Whether what is in use could be trained.
    pub fn trained(&self) -> Result<(), AdviceError> {
        if self.treatments.iter().any(|t| t.diverged) {
            let points = self.question.attack.points() as u64;
            return Err(AdviceError::Diverged(
                "what is in use was trained",
                Divergence {
                    points,
                    training: "retraining".to_owned(),
                    step: self.question.config.inner.steps as u64,
                },
            ));
        }
        Ok(())
    }

    /// Cross-validates on the rows of split `s` as they are.
    pub fn validate(&mut self, s: usize) -> Result<(), AdviceError> {
        let question = self.question;
        let Split { sets, seed } = &question.splits[s];
        let chosen = if question.converges() {
            validate(&self.config(&[0.0]), &question, s)
        } else {
            let config = self.config(&[0.0]);
            let tried = question.grid.iter();
            let tried: Vec<_> = tried
                .map(|&lambda| cross_validate(sets, &config, lambda, *seed))
                .collect();
            best(&tried)
        };
        let chosen = chosen.ok_or(AuditError::NoLambda {
            min: question.config.lambda.min,
            max: question.config.lambda.max,
            lr: question.config.inner.lr,
        })?;
        self.validated.push(question.each(chosen));
        if self.validated.len() == question.splits.len() {
            self.add(Origin::CrossValidated, self.validated.clone());
        }
        Ok(())
    }

    /// Crafts poison of split `s` against what comes from `origin`. Whether it was not stopped.
    pub fn attack(
        &mut self,
        s: usize,
        origin: Origin,
        work: &mut Work<'_>,
    ) -> Result<bool, AdviceError> {
        let known = self.treatments.iter().position(|t| t.origin == origin);
        let Some(t) = known else {
            // Lambda moves while the poison climbs.
            let Some(crafted) = work.craft(|work| self.craft(s, None, work))? else {
                return Ok(false);
            };
            self.learned.push(crafted.lambda);
            self.put(s, crafted.poison);
            return Ok(true);
        };
        self.treatments[t].attacked = true;
        self.answer(s, t, work)
    }

    /// Crafts poison of split `s` against treatment `t`, unless that was done under another name.
    pub fn answer(&mut self, s: usize, t: usize, work: &mut Work<'_>) -> Result<bool, AdviceError> {
        let lambda = self.treatments[t].lambda[s].clone();
        let mut others = self.treatments[..t].iter();
        if others.any(|other| other.attacked && other.lambda[s] == lambda) {
            return Ok(true);
        }
        let Some(crafted) = work.craft(|work| self.craft(s, Some(&lambda), work))? else {
            return Ok(false);
        };
        self.put(s, crafted.poison);
        Ok(true)
    }

    /// Poison against fixed lambdas or (`None`) learned ones, and the lambdas at the end.
    fn craft(
        &self,
        s: usize,
        lambda: Option<&[f64]>,
        work: &mut Work<'_>,
    ) -> Result<Option<Crafted>, AdviceError> {
        let Split { sets, seed } = &self.question.splits[s];
        let attack = self.question.attack;
        if self.question.converges() {
            let aim = lambda.map_or(Aim::Learned, Aim::Fixed);
            let stop = &mut *work.hooks.stop;
            return Ok(craft(sets, self.question.config, attack, aim, *seed, stop));
        }
        let config = match lambda {
            Some(lambda) => self.config(lambda),
            None => BilevelConfig {
                victim: Victim::Learned,
                ..self.question.config.clone()
            },
        };
        let inputs = Inputs {
            sets,
            config: &config,
            attack: Some(attack),
            seed: *seed,
        };
        let part = work.part();
        let outer = &mut work.hooks;
        let from = work.done.saturating_sub(1) as f64;
        let stages = work.stages as f64;
        let hooks = Hooks {
            checkpoint: &part,
            key: outer.key,
            save_every: outer.save_every,
            stop: &mut *outer.stop,
            progress: &mut |share, what| (outer.progress)((from + share) / stages, what),
        };
        let unused = self.question.each(0.0);
        let fixed = lambda.filter(|l| !l.is_empty()).unwrap_or(&unused);
        let Some(finished) = run_fixed(&inputs, fixed, hooks)? else {
            return Ok(None);
        };
        let BilevelOutcome {
            divergence, levels, ..
        } = finished.outcome;
        if let Some(divergence) = divergence {
            return Err(AdviceError::Diverged("poison was crafted", divergence));
        }
        Ok(Some(Crafted {
            poison: finished.poison,
            lambda: levels.last().map_or(Vec::new(), |last| last.lambda.clone()),
        }))
    }

    /// Adds the learned lambda and the grid.
    pub fn candidates(&mut self) {
        let splits = self.question.splits.len();
        let learned = medians(&self.learned);
        self.add(Origin::Learned, vec![learned; splits]);
        for &lambda in self.question.grid {
            let each = self.question.each(lambda);
            self.add(Origin::Grid, vec![each; splits]);
        }
    }

    /// The treatment of least worst error on the trusted rows that could be advised and learns more
    /// than the most frequent class; of equals that which is nearest to what is in use.
    pub fn choose(&self) -> usize {
        self.best_of(|_| true)
    }

    fn best_of(&self, among: impl Fn(&Treatment) -> bool) -> usize {
        let in_use = self.question.current.unwrap_or(f64::NEG_INFINITY);
        let mut found = (f64::INFINITY, f64::INFINITY, 0);
        for (t, treatment) in self.treatments.iter().enumerate() {
            let fixed = match treatment.origin {
                Origin::Current | Origin::Learned | Origin::Grid => true,
                Origin::None | Origin::CrossValidated => false,
            };
            if !fixed || treatment.diverged || !among(treatment) || self.constant(t) {
                continue;
            }
            let splits = self.table[t].iter();
            let worst: Vec<f64> = splits.map(|poisons| most_trusted(poisons)).collect();
            let mine = treatment.lambda[0].iter().copied();
            let mine = mine.fold(f64::NEG_INFINITY, f64::max);
            // Two without a penalty are as near as can be.
            let far = if mine == in_use {
                0.0
            } else {
                (mine - in_use).abs()
            };
            let rank = (mean(&worst), far, t);
            if (rank.0, rank.1) < (found.0, found.1) {
                found = rank;
            }
        }
        found.2
    }

    /// Whether treatment `t`, on the trusted rows and without poison, is no better than a constant.
    fn constant(&self, t: usize) -> bool {
        let splits = self.question.splits.iter().zip(&self.table[t]);
        let (mut error, mut most, mut rows) = (0.0, 0.0, 0);
        for (split, poisons) in splits {
            let trusted = &split.sets.valid;
            error += trusted.len() as f64 * poisons.first().map_or(100.0, |c| c.trusted_error);
            most += trusted.len() as f64 * majority::error(&trusted.labels);
            rows += trusted.len();
        }
        let n = rows as f64;
        majority::no_better_than(error / n, most / n, rows).is_some()
    }

    /// The verdict on what was chosen, or if that was never attacked on the best that was.
    pub fn finish(mut self, chosen: usize) -> Advice {
        let chosen = match self.treatments[chosen].attacked {
            true => chosen,
            false => self.best_of(|treatment| treatment.attacked),
        };
        for (treatment, splits) in self.treatments.iter_mut().zip(&self.table) {
            let clean = |poisons: &Vec<Trained>| poisons.first().map_or(100.0, |c| c.test_error);
            treatment.clean = splits.iter().map(clean).collect();
            let worst = |poisons: &Vec<Trained>| worst(poisons).map_or(100.0, |w| w.test_error);
            treatment.worst = splits.iter().map(worst).collect();
        }
        let validated = self
            .treatments
            .iter()
            .position(|t| t.origin == Origin::CrossValidated)
            .unwrap_or(0);
        let sets = self.question.splits.iter().map(|split| &split.sets.test);
        let majority: Vec<f64> = sets.map(|test| majority::error(&test.labels)).collect();
        let counts = Counts {
            majority: mean(&majority),
            tested: self.question.tested,
        };
        let gain = |of: usize, over: usize| {
            let rows = self.table[over].iter().zip(&self.table[of]);
            let rows: Vec<f64> = rows.map(|(a, b)| spread(worst(a), worst(b))).collect();
            counts.gain(&self.treatments[of], &self.treatments[over], mean(&rows))
        };
        let over_current = gain(chosen, 0);
        let over_validated = gain(chosen, validated);
        Advice {
            validated_over_current: gain(validated, 0),
            verdict: judge(
                &self.treatments[chosen],
                &self.treatments[0],
                &over_current,
                &over_validated,
                counts,
            ),
            over_current,
            over_validated,
            majority: counts.majority,
            chosen,
            trainings: self.trainings,
            treatments: self.treatments,
        }
    }
}

/// The training of largest test error; the first of equals.
fn worst(poisons: &[Trained]) -> Option<&Trained> {
    poisons.iter().reduce(|worst, next| {
        if next.test_error > worst.test_error {
            next
        } else {
            worst
        }
    })
}

fn most_trusted(poisons: &[Trained]) -> f64 {
    poisons
        .iter()
        .fold(0.0, |most, p| p.trusted_error.max(most))
}

/// Variance over the rows of the difference of two trainings' mistakes, in percentage points squared.
fn spread(a: Option<&Trained>, b: Option<&Trained>) -> f64 {
    let (Some(a), Some(b)) = (a, b) else {
        return 0.0;
    };
    let differences: Vec<f64> = a
        .test
        .iter()
        .zip(&b.test)
        .map(|(&a, &b)| 100.0 * (f64::from(u8::from(a)) - f64::from(u8::from(b))))
        .collect();
    let centre = mean(&differences);
    let squares: Vec<f64> = differences.iter().map(|d| (d - centre).powi(2)).collect();
    mean(&squares)
}

fn percent(wrong: &[bool]) -> f64 {
    100.0 * wrong.iter().filter(|&&wrong| wrong).count() as f64 / (wrong.len() as f64).max(1.0)
}

/// The median of each place.
fn medians(vectors: &[Vec<f64>]) -> Vec<f64> {
    let groups = vectors.first().map_or(0, Vec::len);
    let median = |group: usize| {
        let mut values: Vec<f64> = vectors.iter().map(|v| v[group]).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() % 2 {
            0 => 0.5 * (values[middle - 1] + values[middle]),
            _ => values[middle],
        }
    };
    (0..groups).map(median).collect()
}

/// The lambda of least mean cross-entropy on the held-out folds, each trained to convergence.
fn validate(config: &BilevelConfig, question: &Question<'_>, s: usize) -> Option<f64> {
    let Split { sets, seed } = &question.splits[s];
    let model = model(config, sets);
    let none = Points::none(model.features);
    let folds = Folds::new(sets, config.lambda.folds.min(sets.train.len()), *seed);
    let mut losses = vec![0.0; question.grid.len()];
    for f in 0..folds.count {
        let (rest, held) = folds.cut(sets, f);
        let mut weights = vec![0.0; model.parameters()];
        // From the strongest on: each minimum is near the one before.
        for (loss, &lambda) in losses.iter_mut().zip(question.grid).rev() {
            let points = (TrainingSet::of(&rest, &none), &held);
            let each = question.each(lambda);
            let problem = problem((&model, config), points, &each, &weights);
            let found = minimise(&problem, &weights, Stop::default()).weights;
            *loss += Passes::of(&model, &held).loss(&found);
            weights = found;
        }
    }
    let tried = question.grid.iter().zip(losses);
    let finite = tried.filter(|(_, loss)| loss.is_finite());
    finite
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(&lambda, _)| lambda)
}
