//! The attack as a machine of small steps: one batch each.

use super::delta::{Delta, parts};
use super::{Alignment, Ascent, Attack, Cancelled, Gc, Objective, PoisonError, Victim, norm};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ops::Range;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Machine, Slot};
use tox_data::rng::stream;
use tox_data::{Batch, Normalise, Split, shuffled};
use tox_nn::layers::Network;

/// What is being done, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Phase {
    /// GradPC, a pass over the clean batches.
    #[default]
    Ascent,
    /// g_c, a pass over the same.
    Clean,
    /// The iterations over the poison batches.
    Cancel,
    /// The images in 8 bits, a pass over the poison batches.
    Measure,
    /// Nothing.
    Done,
}

/// Where the attack stands, beside its buffers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Header {
    phase: Phase,
    /// Batches of the phase, or of the iteration, so far.
    step: usize,
    /// Their loss and cosine, added up.
    loss: f64,
    cosine: f64,
    clean_loss: f64,
    curve: Vec<Alignment>,
    snapshot: Option<usize>,
    after: Option<Alignment>,
}

pub(super) struct Cancelling<'a, N> {
    gc: Gc,
    normalise: &'a Normalise,
    share: f64,
    victim: Victim<N>,
    ascent: Ascent,
    /// g_c, once its phase is over.
    gradient: Vec<f32>,
    clean: Split,
    /// The clean rows, shuffled, and the parts of it that are batches.
    order: Vec<u32>,
    parts: Vec<Range<usize>>,
    delta: Delta,
    /// Deltas of the best snapshot.
    best: Vec<f32>,
    /// Their images; made when needed.
    rounded: Option<Split>,
    header: Header,
    /// What makes it impossible to go on.
    failure: Option<String>,
}

impl<'a, N: Network> Cancelling<'a, N> {
    /// Of the clean images, and those of them that are poisoned.
    pub fn new(
        victim: Victim<N>,
        attack: &Attack<'a>,
        [clean, poison]: [Split; 2],
        share: f64,
    ) -> Self {
        let (gc, n) = (attack.gc, clean.len());
        let delta = Delta::new(poison, attack.normalise.clone(), gc.bound, gc.batch);
        let mut header = Header::default();
        if gc.radius == 0.0 {
            header.phase = Phase::Clean;
        }
        let ascent = Ascent::new(&victim, gc.radius, gc.ascent_lr);
        Self {
            gc,
            normalise: attack.normalise,
            share,
            gradient: vec![0.0; ascent.moved.len()],
            victim,
            ascent,
            clean,
            order: shuffled(n, &mut stream(attack.seed, "shuffle/poison/gc", &[])),
            parts: parts(n, gc.clean_batch),
            best: delta.params.values.clone(),
            delta,
            rounded: None,
            header,
            failure: None,
        }
    }

    /// The poisoned images in the order of their rows, and how it went.
    ///
    /// # Errors
    /// What made it impossible.
    pub fn finish(mut self) -> Result<(Split, Cancelled), PoisonError> {
        let rounded = self.rounded.take();
        let rounded = rounded.unwrap_or_else(|| self.delta.rounded(&self.best));
        let h = self.header;
        match (h.after, self.failure) {
            (Some(after), None) => {
                let cancelled = Cancelled {
                    ascent: norm(&self.ascent.moved),
                    aim: self.victim.values(),
                    clean_loss: h.clean_loss,
                    clean_gradient: norm(&self.gradient),
                    curve: h.curve,
                    snapshot: h.snapshot.unwrap_or(0),
                    after,
                };
                Ok((rounded, cancelled))
            }
            (_, failure) => Err(PoisonError::Victim {
                what: failure.unwrap_or_else(|| "it is not done".into()),
            }),
        }
    }

    /// Steps of a phase, or of one of its iterations.
    fn steps(&self, phase: Phase) -> usize {
        match phase {
            Phase::Ascent if self.gc.radius == 0.0 => 0,
            Phase::Ascent | Phase::Clean => self.parts.len(),
            Phase::Cancel | Phase::Measure => self.delta.batches(),
            Phase::Done => 0,
        }
    }

    /// Share of the work done.
    fn progress(&self) -> f64 {
        let h = &self.header;
        // An iteration's step takes three gradients, the others one.
        let parts = [
            (Phase::Ascent, 1, 1),
            (Phase::Clean, 1, 1),
            (Phase::Cancel, self.gc.iterations, 3),
            (Phase::Measure, 1, 1),
        ];
        let (mut done, mut all) = (0, 0);
        for (phase, passes, cost) in parts {
            let steps = self.steps(phase);
            let passed = match phase {
                Phase::Cancel => h.curve.len(),
                Phase::Ascent | Phase::Clean | Phase::Measure | Phase::Done => 0,
            };
            all += cost * steps * passes;
            done += match phase.cmp(&h.phase) {
                Ordering::Less => cost * steps * passes,
                Ordering::Equal => cost * (steps * passed + h.step),
                Ordering::Greater => 0,
            };
        }
        done as f64 / all.max(1) as f64
    }

    fn message(&self) -> String {
        let h = &self.header;
        let of = format!("{}/{}", h.step, self.steps(h.phase));
        match (h.phase, h.curve.first(), h.curve.last()) {
            (Phase::Ascent, ..) => format!("gradient cancelling, ascent, batch {of}"),
            (Phase::Clean, ..) => format!("gradient cancelling, clean gradient, batch {of}"),
            (Phase::Cancel, Some(first), Some(last)) => format!(
                "gradient cancelling, iteration {}/{}, loss {:.3e} (at first {:.3e}), cosine {:.3} \
                 ({:.3})",
                h.curve.len() + 1,
                self.gc.iterations,
                last.loss,
                first.loss,
                last.cosine,
                first.cosine
            ),
            (Phase::Cancel, ..) => format!("gradient cancelling, first iteration, batch {of}"),
            (Phase::Measure | Phase::Done, ..) => "gradient cancelling, check".into(),
        }
    }

    fn clean_batch(&self) -> Batch {
        let rows = &self.order[self.parts[self.header.step].clone()];
        self.clean.batch(rows, self.normalise, None)
    }

    fn ascend(&mut self) {
        let batch = self.clean_batch();
        if let Err(length) = self.ascent.step(&mut self.victim, &batch) {
            self.fail_by("clean gradient", length);
        }
    }

    fn add_clean(&mut self) {
        let batch = self.clean_batch();
        let found = self.victim.gradient(&batch);
        let weight = batch.labels.len() as f64 / self.clean.len() as f64;
        for (sum, g) in self.gradient.iter_mut().zip(&found.values) {
            *sum += (f64::from(*g) * weight) as f32;
        }
        self.header.clean_loss += found.loss * weight;
        let last = self.header.step + 1 == self.parts.len();
        let length = norm(&self.gradient);
        if !length.is_finite() || (last && length == 0.0) {
            self.fail_by("clean gradient", length);
        }
    }

    fn cancel(&mut self) {
        let i = self.header.step;
        let batch = self.delta.batch(i);
        let objective = Objective {
            clean: &self.gradient,
            share: self.share,
            difference: self.gc.difference,
        };
        let (alignment, gradient) = objective.gradient(&mut self.victim, &batch);
        let length = norm(&gradient);
        if !alignment.loss.is_finite() || !length.is_finite() {
            return self.fail_by("cancelling gradient", length);
        }
        self.add(alignment);
        let iteration = self.header.curve.len();
        self.delta.step(i, iteration + 1, gradient, self.gc.lr);
    }

    fn measure(&mut self) {
        let (delta, best) = (&self.delta, &self.best);
        let rounded = self.rounded.get_or_insert_with(|| delta.rounded(best));
        let batch = delta.rounded_batch(self.header.step, rounded);
        let poison = self.victim.gradient(&batch).values;
        let objective = Objective {
            clean: &self.gradient,
            share: self.share,
            difference: self.gc.difference,
        };
        let alignment = objective.at(&poison);
        if !alignment.loss.is_finite() {
            return self.fail_by("poison's gradient", norm(&poison));
        }
        self.add(alignment);
    }

    fn add(&mut self, alignment: Alignment) {
        self.header.loss += alignment.loss;
        self.header.cosine += alignment.cosine;
    }

    /// The mean over the batches so far, which begin anew.
    fn mean(&mut self) -> Alignment {
        let (h, batches) = (&mut self.header, self.delta.batches() as f64);
        let mean = Alignment {
            loss: h.loss / batches,
            cosine: h.cosine / batches,
        };
        (h.loss, h.cosine) = (0.0, 0.0);
        mean
    }

    fn end_iteration(&mut self) {
        let (now, h) = (self.mean(), &mut self.header);
        let i = h.curve.len();
        let due = i.is_multiple_of(self.gc.snapshot_every) || i + 1 == self.gc.iterations;
        let best = h.snapshot.map_or(f64::INFINITY, |at| h.curve[at].loss);
        h.curve.push(now);
        if due && now.loss < best {
            h.snapshot = Some(i);
            self.best.clone_from(&self.delta.params.values);
        }
    }

    fn fail_by(&mut self, what: &str, length: f64) {
        self.failure = Some(format!(
            "in batch {} its {what} by {} target values has norm {length}, which has no direction; \
             take a victim whose training has not diverged, with targets that its loss depends on",
            self.header.step,
            self.ascent.moved.len()
        ));
    }
}

impl<N: Network> Machine for Cancelling<'_, N> {
    type Header = Header;

    fn done(&self) -> bool {
        self.failure.is_some() || self.header.phase == Phase::Done
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        progress(self.progress(), &self.message());
        let phase = self.header.phase;
        match phase {
            Phase::Ascent => self.ascend(),
            Phase::Clean => self.add_clean(),
            Phase::Cancel => self.cancel(),
            Phase::Measure => self.measure(),
            Phase::Done => {}
        }
        if self.failure.is_some() {
            return;
        }
        self.header.step += 1;
        if self.header.step < self.steps(phase) {
            return;
        }
        self.header.step = 0;
        match phase {
            Phase::Ascent => self.header.phase = Phase::Clean,
            Phase::Clean => self.header.phase = Phase::Cancel,
            Phase::Cancel => {
                self.end_iteration();
                if self.header.curve.len() == self.gc.iterations {
                    self.header.phase = Phase::Measure;
                }
            }
            Phase::Measure => {
                self.header.after = Some(self.mean());
                self.header.phase = Phase::Done;
            }
            Phase::Done => {}
        }
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let buffers: [(&str, &[f32]); 6] = [
            ("ascent", &self.ascent.moved),
            ("gradient", &self.gradient),
            ("delta", &self.delta.params.values),
            ("first", &self.delta.adam.first),
            ("second", &self.delta.adam.second),
            ("best", &self.best),
        ];
        slot.write(&self.header, &buffers)
    }

    fn resume(&mut self, header: Header, mut buffers: Buffers) -> Result<(), String> {
        let curve = header.curve.len();
        let steps = self.steps(header.phase);
        if header.step >= steps || curve > self.gc.iterations || header.snapshot >= Some(curve) {
            return Err(format!(
                "step {} of {steps}, iteration {curve}",
                header.step
            ));
        }
        let delta = &mut self.delta;
        checkpoint::restore(&mut buffers, "ascent", &mut self.ascent.moved)?;
        checkpoint::restore(&mut buffers, "gradient", &mut self.gradient)?;
        checkpoint::restore(&mut buffers, "delta", &mut delta.params.values)?;
        checkpoint::restore(&mut buffers, "first", &mut delta.adam.first)?;
        checkpoint::restore(&mut buffers, "second", &mut delta.adam.second)?;
        checkpoint::restore(&mut buffers, "best", &mut self.best)?;
        self.header = header;
        self.ascent.place(&mut self.victim);
        Ok(())
    }
}
