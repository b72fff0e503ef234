//! Meta-training over sampled tasks, and fine-tuning on the target.

use super::agent::{Agent, View};
use super::config::{FineTuneConfig, MetaUpdate};
use super::encoder::{Observation, Vocabulary};
use super::error::RcnasError;
use super::inputs::Inputs;
use super::ledger::{Evaluator, Ledger, Setting, Source, Tally};
use super::outcome::{MetaSummary, Round};
use super::reinforce::{Batch, Learner};
use super::reward::DEGENERATE;
use tox_data::rng::stream;

/// An agent with fresh weights that is made for all tasks of the search.
pub(super) fn fresh(inputs: &Inputs<'_>) -> Learner {
    let config = inputs.config;
    let names = Vocabulary::new(inputs.tasks);
    let target = std::iter::once(&inputs.target.teacher);
    let teachers = inputs.tasks.teachers.iter().chain(target);
    let agent = Agent::new(&config.agent, names, teachers, inputs.seed);
    Learner::new(agent, &config.learn)
}

fn view(agent: &Agent, on: &Setting) -> View {
    let (task, teacher) = (&on.task, &on.teacher);
    View {
        observation: Observation::new(task, teacher, on.budget, agent.config(), agent.names()),
        menu: agent.menu(&on.space),
    }
}

/// What names a task among baselines.
fn name(on: &Setting) -> String {
    format!("{:?}", on.task)
}

/// Means over what was drawn.
#[derive(Default)]
struct Means {
    reward: f64,
    over: usize,
    drawn: usize,
}

impl Means {
    fn add(&mut self, reward: f64, over: bool) {
        self.reward += reward;
        self.over += usize::from(over);
        self.drawn += 1;
    }

    fn round(&self, entropy: f64, evaluations: usize) -> Round {
        let drawn = self.drawn.max(1) as f64;
        Round {
            reward: self.reward / drawn,
            entropy,
            over_budget: self.over as f64 / drawn,
            evaluations,
        }
    }
}

/// Trains the agent on tasks drawn from the buffers. `None` if asked to stop.
pub(super) fn train(
    inputs: &Inputs<'_>,
    learner: &mut Learner,
    evaluator: &mut Evaluator<'_>,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Option<MetaSummary>, RcnasError> {
    let (config, seed) = (inputs.config.meta, inputs.seed);
    let (mut tally, mut rounds) = (Tally::default(), Vec::new());
    for round in 0..config.rounds {
        progress(
            0.5 * round as f64 / config.rounds as f64,
            &format!(
                "meta-training, {round}/{} rounds, {} evaluations",
                config.rounds,
                tally.evaluations()
            ),
        );
        let mut settings = Vec::new();
        for place in 0..config.tasks {
            let mut rng = stream(seed, "rcnas/meta/task", &[round as u64, place as u64]);
            let Some(task) = inputs.tasks.draw(&mut rng) else {
                return Err(RcnasError::NoTasks);
            };
            let Some(on) = evaluator.setting(&task)? else {
                return Ok(None);
            };
            settings.push(on);
        }
        let mut means = Means::default();
        let mut draw = |learner: &Learner, place: usize, step: usize| {
            let on = &settings[place];
            let key = [round, place, step].map(|i| i as u64);
            let samples = config.samples;
            let mut stand = (&mut *evaluator, &mut tally, &mut means);
            batch(learner, on, round, samples, &key, seed, &mut stand)
        };
        let entropy = match config.update {
            MetaUpdate::Joint => {
                let mut batches = Vec::new();
                for place in 0..config.tasks {
                    match draw(learner, place, 0)? {
                        Some(batch) => batches.push(batch),
                        None => return Ok(None),
                    }
                }
                learner.update(&batches, inputs.config.learn.lr)
            }
            MetaUpdate::Reptile => {
                let mut towards = vec![0.0; learner.agent.params.values.len()];
                let mut entropy = 0.0;
                for place in 0..config.tasks {
                    let mut copy = learner.clone().rested();
                    for step in 0..config.inner_steps {
                        let Some(batch) = draw(&copy, place, step)? else {
                            return Ok(None);
                        };
                        let before = copy.update(&[batch], inputs.config.learn.lr);
                        if step == 0 {
                            entropy += before / config.tasks as f64;
                        }
                    }
                    learner.adopt_baselines(&copy);
                    let (from, to) = (&learner.agent.params.values, &copy.agent.params.values);
                    for ((sum, from), to) in towards.iter_mut().zip(from).zip(to) {
                        *sum += f64::from(to - from);
                    }
                }
                let step = config.step / config.tasks as f64;
                for (value, sum) in learner.agent.params.values.iter_mut().zip(&towards) {
                    *value += (step * sum) as f32;
                }
                entropy
            }
        };
        rounds.push(means.round(entropy, tally.evaluations()));
    }
    Ok(Some(MetaSummary {
        rounds,
        evaluations: tally.evaluations(),
        repeats: tally.repeats,
        failed: tally.failed,
        unseen: inputs.tasks.unseen(inputs.target),
    }))
}

/// Draws sub-networks of one task from the policy and visits them.
fn batch(
    learner: &Learner,
    on: &Setting,
    round: usize,
    samples: usize,
    key: &[u64],
    seed: u64,
    (evaluator, tally, means): &mut (&mut Evaluator<'_>, &mut Tally, &mut Means),
) -> Result<Option<Batch>, RcnasError> {
    let agent = &learner.agent;
    let view = view(agent, on);
    let choices = agent.choices(&agent.weights(), &view);
    let mut rng = stream(seed, "rcnas/meta/draw", key);
    let mut drawn = Vec::new();
    let mut again = evaluator.redraws(samples);
    while drawn.len() < samples {
        let genes = choices.sample(&mut rng);
        let shape = on.space.decode(&genes);
        if again > 0 && !evaluator.feasible(on, &shape)? {
            means.add(DEGENERATE, true);
            again -= 1;
            continue;
        }
        let Some(visit) = evaluator.visit(on, &shape, round)? else {
            return Ok(None);
        };
        tally.book(&on.task, &shape, &visit);
        means.add(visit.reward, !visit.feasible);
        drawn.push((genes, visit.reward));
    }
    Ok(Some(Batch {
        task: name(on),
        view,
        drawn,
    }))
}

/// Fine-tunes the agent on the target until the ledger is full. `rounds` were done before, for the
/// annealed constraint. `None` if asked to stop.
pub(super) fn fine_tune(
    inputs: &Inputs<'_>,
    learner: Learner,
    rounds: usize,
    evaluator: &mut Evaluator<'_>,
    ledger: &mut Ledger<'_>,
    told: &mut dyn FnMut(&Ledger<'_>),
) -> Result<Option<Vec<Round>>, RcnasError> {
    let mut learner = learner.rested();
    let FineTuneConfig {
        steps,
        lr,
        patience,
    } = inputs.config.fine_tune;
    let on = ledger.on;
    let view = view(&learner.agent, on);
    let mut done = Vec::new();
    for step in 0..steps {
        // What does not divide is spent early.
        let until = (ledger.total * (step + 1)).div_ceil(steps);
        let quota = until.saturating_sub(ledger.evaluations.len());
        let mut source = Source {
            step,
            round: rounds + step,
            filled: false,
        };
        let mut rng = stream(inputs.seed, "rcnas/fine-tune", &[step as u64]);
        let choices = learner.agent.choices(&learner.agent.weights(), &view);
        let (mut drawn, mut means) = (Vec::new(), Means::default());
        let mut again = evaluator.redraws(quota);
        while ledger.evaluations.len() < until && drawn.len() < patience * quota {
            let genes = choices.sample(&mut rng);
            let shape = on.space.decode(&genes);
            if again > 0 && !evaluator.feasible(on, &shape)? {
                means.add(DEGENERATE, true);
                ledger.skipped += 1;
                again -= 1;
                continue;
            }
            told(ledger);
            let Some(reward) = ledger.visit(evaluator, &shape, source)? else {
                return Ok(None);
            };
            means.add(reward, !evaluator.feasible(on, &shape)?);
            drawn.push((genes, reward));
        }
        source.filled = true;
        while ledger.evaluations.len() < until {
            let Some(shape) = ledger.fresh(evaluator, &mut rng)? else {
                break;
            };
            told(ledger);
            if ledger.visit(evaluator, &shape, source)?.is_none() {
                return Ok(None);
            }
        }
        let entropy = match drawn.is_empty() {
            true => choices.entropy(),
            // What filled the step was not drawn from the policy: it is in no gradient.
            false => learner.update(
                &[Batch {
                    task: name(on),
                    view: view.clone(),
                    drawn,
                }],
                lr,
            ),
        };
        done.push(means.round(entropy, ledger.evaluations.len()));
    }
    Ok(Some(done))
}
