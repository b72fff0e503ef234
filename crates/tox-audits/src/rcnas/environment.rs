//! Candidates of a search, trained and attacked.

use super::networks::{Bench, Set, Trained};
use crate::error::TrialError;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use tox_data::hashed::HashedFile;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::{Cost, Environment, Evaluated, Failure, Measured, Task};
use tox_robust::attack::Attack;
use tox_robust::ball::{Ball, Norm};
use tox_robust::threat::EvasionThreat;
use tox_robust::training::TrainingConfig;
use tox_study::steps::{StepError, Steps};

/// Trains every candidate on its task's data set and attacks it with the task's attack, on validation
/// images.
pub struct Training<'a, 'c> {
    /// What trains and attacks.
    pub bench: Bench<'a>,
    /// The data sets of all tasks.
    pub sets: &'a [Set],
    /// The attacks of all tasks by name; `None` attacks nothing.
    pub threats: Vec<(String, Option<EvasionThreat>)>,
    /// Given weights of the target's teacher on the first data set.
    pub given: Option<(Shape, HashedFile)>,
    /// The trial's steps.
    pub steps: Steps<'c>,
    /// Teachers so far.
    pub teachers: Vec<Known>,
}

/// A teacher that was trained or read.
pub struct Known {
    set: String,
    shape: Shape,
    trained: Rc<Trained>,
}

impl<'a> Training<'a, '_> {
    fn set(&self, task: &Task) -> &'a Set {
        let mut sets = self.sets.iter();
        sets.find(|set| set.name == task.data.name)
            .unwrap_or_else(|| unreachable!("tasks are made of these data sets"))
    }

    /// A trained teacher.
    pub fn teacher(&mut self, set: &'a Set, shape: &Shape) -> Result<Rc<Trained>, TrialError> {
        let known = |known: &&Known| known.set == set.name && known.shape == *shape;
        if let Some(known) = self.teachers.iter().find(known) {
            return Ok(known.trained.clone());
        }
        let begun = self
            .bench
            .begin(set, shape, self.bench.config.of_teacher(), None)?;
        let target = self
            .sets
            .first()
            .is_some_and(|first| first.name == set.name);
        let given = self
            .given
            .as_ref()
            .filter(|given| target && given.0 == *shape);
        let trained = match given {
            Some((_, file)) => begun.given(file)?,
            None => {
                let trained = self.bench.trained(&mut self.steps, begun)?;
                trained.map_err(|reason| TrialError::Teacher {
                    shape: Box::new(*shape),
                    reason,
                })?
            }
        };
        let trained = Rc::new(trained);
        self.teachers.push(Known {
            set: set.name.clone(),
            shape: *shape,
            trained: trained.clone(),
        });
        Ok(trained)
    }

    /// A sub-network of a teacher, or itself; a reason if its training diverged.
    pub fn trained(
        &mut self,
        set: &'a Set,
        (teacher, shape): (&Shape, &Shape),
        training: &TrainingConfig,
    ) -> Result<Result<Rc<Trained>, String>, TrialError> {
        if shape == teacher {
            return Ok(Ok(self.teacher(set, teacher)?));
        }
        let from = match self.bench.config.warm {
            true => Some(self.teacher(set, teacher)?),
            false => None,
        };
        let begun = self.bench.begin(set, shape, training, from.as_deref())?;
        Ok(self.bench.trained(&mut self.steps, begun)?.map(Rc::new))
    }

    fn measure(&mut self, task: &Task, shape: &Shape) -> Result<Evaluated, TrialError> {
        let (set, config) = (self.set(task), self.bench.config);
        let trained = match self.trained(set, (&task.teacher, shape), &config.training)? {
            Ok(trained) => trained,
            Err(reason) => return Ok(Evaluated::Failed { reason }),
        };
        let (ball, attacks) = self.attack(&task.attack.name);
        let key = json!([trained.key, ball, attacks, config.images]);
        let bench = &self.bench;
        let (_, measured) =
            self.steps
                .shared("attack", key, |_, hooks| -> Result<_, TrialError> {
                    let on = (set, &set.data.valid, config.images);
                    let found = bench.attack(on, &trained, (ball, &attacks), hooks)?;
                    Ok(found.map(|found| Measured {
                        clean: found.clean,
                        robust: found.worst_case,
                        lipschitz: bench.lipschitz(set, &trained),
                    }))
                })?;
        Ok(Evaluated::Measured(measured))
    }

    /// The attack of a task.
    fn attack(&self, name: &str) -> (Ball, Vec<Attack>) {
        let threat = self.threats.iter().find(|threat| threat.0 == name);
        match threat.and_then(|threat| threat.1.as_ref()) {
            Some(threat) => (threat.ball(), vec![threat.attack.clone()]),
            None => {
                let (norm, epsilon) = (Norm::Linf, 0.0);
                (Ball { norm, epsilon }, Vec::new())
            }
        }
    }
}

impl Environment for Training<'_, '_> {
    fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, Failure> {
        shape.check()?;
        Ok(self.set(task).cost(shape, self.bench.config))
    }

    fn evaluate(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, Failure> {
        // What a training does inside of its libraries must not take the search with it.
        let found = catch_unwind(AssertUnwindSafe(|| self.measure(task, shape)));
        match found {
            Ok(Ok(evaluated)) => Ok(Some(evaluated)),
            Ok(Err(TrialError::Step(StepError::Stopped))) => Ok(None),
            Ok(Err(error)) => Err(Box::new(error)),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                let reason = format!("it died: {}", said.unwrap_or("no message"));
                Ok(Evaluated::Failed { reason }.into())
            }
        }
    }
}
