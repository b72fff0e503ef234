//! The course of the work: stages, and a checkpoint of the poison that was crafted.

use super::AdviceError;
use crate::craft::Crafted;
use crate::victim::Poison;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;
use tox_data::checkpoint::{Buffers, CheckpointError, Hooks, remove};

/// Whom to ask and tell during the work, and what was crafted.
pub struct Work<'a> {
    pub stages: usize,
    /// Begun.
    pub done: usize,
    pub hooks: Hooks<'a>,
    /// In the order of crafting; those before `used` are in the table.
    crafted: Vec<Crafted>,
    used: usize,
    saved: Instant,
}

/// What a checkpoint holds of a poison beside its values.
#[derive(Serialize, Deserialize)]
struct Kept {
    indices: Vec<usize>,
    labels: Vec<u16>,
    lambda: Vec<f64>,
}

impl<'a> Work<'a> {
    /// With the poison of the checkpoint, if there is one: trainings are made again, crafting is not.
    pub fn new(stages: usize, mut hooks: Hooks<'a>) -> Result<Self, CheckpointError> {
        let (kept, mut buffers): (Vec<Kept>, Buffers) = hooks.read()?.unwrap_or_default();
        let poison = |(i, kept): (usize, Kept)| {
            let values = buffers.remove(&i.to_string());
            Some(Crafted {
                poison: Poison {
                    indices: kept.indices,
                    labels: kept.labels,
                    values: values?,
                },
                lambda: kept.lambda,
            })
        };
        let crafted: Option<Vec<Crafted>> = kept.into_iter().enumerate().map(poison).collect();
        let missing = || hooks.slot().damaged("a poison has no values".to_owned());
        Ok(Self {
            stages,
            done: 0,
            crafted: crafted.ok_or_else(missing)?,
            hooks,
            used: 0,
            saved: Instant::now(),
        })
    }

    /// Begins a stage; whether it is to be done. A stop is saved.
    pub fn tell(&mut self, what: &str) -> Result<bool, CheckpointError> {
        (self.hooks.progress)(self.done as f64 / self.stages as f64, what);
        self.done += 1;
        match (self.hooks.stop)() {
            true => self.save().map(|()| false),
            false => Ok(true),
        }
    }

    /// The next poison: that of the checkpoint, or what `craft` makes. `None` if it was stopped.
    pub fn craft(
        &mut self,
        craft: impl FnOnce(&mut Self) -> Result<Option<Crafted>, AdviceError>,
    ) -> Result<Option<Crafted>, AdviceError> {
        if self.used == self.crafted.len() {
            let Some(crafted) = craft(self)? else {
                self.save()?;
                return Ok(None);
            };
            self.crafted.push(crafted);
            if self.saved.elapsed() >= self.hooks.save_every {
                self.save()?;
            }
            remove(&self.part());
        }
        self.used += 1;
        Ok(Some(self.crafted[self.used - 1].clone()))
    }

    /// The checkpoint of the poison that is being crafted.
    pub fn part(&self) -> PathBuf {
        let name = format!("{}.safetensors", self.used);
        self.hooks.checkpoint.with_extension(name)
    }

    fn save(&mut self) -> Result<(), CheckpointError> {
        let kept = |crafted: &Crafted| Kept {
            indices: crafted.poison.indices.clone(),
            labels: crafted.poison.labels.clone(),
            lambda: crafted.lambda.clone(),
        };
        let header: Vec<Kept> = self.crafted.iter().map(kept).collect();
        let names: Vec<String> = (0..self.crafted.len()).map(|i| i.to_string()).collect();
        let buffers = names.iter().zip(&self.crafted);
        let buffers: Vec<(&str, &[f32])> = buffers
            .map(|(name, crafted)| (name.as_str(), &crafted.poison.values[..]))
            .collect();
        self.hooks.slot().write(&header, &buffers)?;
        self.saved = Instant::now();
        Ok(())
    }
}
