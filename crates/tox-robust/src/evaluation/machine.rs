//! The evaluation as a machine of small steps.

use super::checks::{self, Kind, Warning};
use super::outcome::{Attacked, Evaluation, Part, Queries};
use super::probes::{self, Sample, wrong};
use super::{CHUNK, Inputs};
use crate::attack::{Attack, autoattack};
use crate::ball::Ball;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Slot};

/// Probes that are not of an attack.
const PROBES: usize = 3;

/// What an attack did so far, an entry a correctly classified image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tally {
    fooled: Vec<bool>,
    forward: Vec<u32>,
    backward: Vec<u32>,
    /// Images that each part of AutoAttack fooled.
    parts: [usize; 4],
    /// Stored images that the ball does not allow.
    outside: usize,
    /// Stored adversarial examples that are none.
    unconfirmed: usize,
    /// Those that still are with 8-bit pixels.
    eight_bit: usize,
}

/// All that the next steps depend on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Whether each image so far is classified correctly.
    correct: Vec<bool>,
    /// One an attack.
    tallies: Vec<Tally>,
    /// Probes made.
    probed: usize,
    /// What they found.
    warnings: Vec<Warning>,
}

pub(super) struct Machine<'a> {
    inputs: &'a Inputs<'a>,
    kept: Kept,
}

impl<'a> Machine<'a> {
    pub fn new(inputs: &'a Inputs<'a>) -> Self {
        let kept = Kept {
            tallies: vec![Tally::default(); inputs.attacks.len()],
            ..Kept::default()
        };
        Self { inputs, kept }
    }

    fn images(&self) -> usize {
        self.inputs.rows.len()
    }

    fn probes(&self) -> usize {
        PROBES + self.inputs.attacks.len()
    }

    /// Rows of the split that are classified correctly, so far.
    fn correct(&self) -> Vec<u32> {
        let pairs = self.inputs.rows.iter().zip(&self.kept.correct);
        pairs.filter(|(_, c)| **c).map(|(row, _)| *row).collect()
    }

    fn sample(&self, rows: &[u32]) -> Sample {
        let (split, mut sample) = (self.inputs.split, Sample::default());
        let stride = split.images.stride();
        for &row in rows {
            let bytes = &split.images.pixels[row as usize * stride..][..stride];
            sample
                .pixels
                .extend(bytes.iter().map(|&b| f32::from(b) / 255.0));
            sample.labels.push(split.labels[row as usize]);
            sample.rows.push(row);
        }
        sample
    }

    /// The next chunk's clean answers.
    fn classify(&mut self) -> String {
        let at = self.kept.correct.len();
        let end = (at + CHUNK).min(self.images());
        let sample = self.sample(&self.inputs.rows[at..end]);
        let wrong = wrong(self.inputs.oracle, &sample.pixels, &sample.labels);
        self.kept.correct.extend(wrong.iter().map(|wrong| !wrong));
        format!("clean accuracy, {end} of {} images", self.images())
    }

    /// The next chunk under attack `i`.
    fn attack(&mut self, i: usize, correct: &[u32]) -> String {
        let Inputs {
            oracle, ball, seed, ..
        } = *self.inputs;
        let attack = &self.inputs.attacks[i];
        let at = self.kept.tallies[i].fooled.len();
        let end = (at + CHUNK).min(correct.len());
        let sample = self.sample(&correct[at..end]);
        let (found, by) = match attack {
            Attack::AutoAttack(config) => {
                let shared = autoattack::run(oracle, sample.points(), ball, config, seed);
                (shared.found, shared.by)
            }
            other => (other.run(oracle, sample.points(), ball, seed), Vec::new()),
        };
        let tally = &mut self.kept.tallies[i];
        by.iter().flatten().for_each(|&part| tally.parts[part] += 1);
        let (mut pixels, mut bytes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let images = found.pixels.chunks_exact(oracle.size());
        let cleans = sample.pixels.chunks_exact(oracle.size());
        for (row, (x, clean)) in images.zip(cleans).enumerate() {
            tally.outside += usize::from(!ball.allows(x, clean));
            if found.fooled[row] {
                pixels.extend_from_slice(x);
                bytes.extend(x.iter().zip(clean).map(|(&x, &c)| to_byte(x, c)));
                labels.push(sample.labels[row]);
            }
        }
        let count = |pixels: &[f32]| -> usize {
            let wrong = wrong(oracle, pixels, &labels);
            wrong.iter().filter(|wrong| **wrong).count()
        };
        tally.unconfirmed += labels.len() - count(&pixels);
        tally.eight_bit += count(&bytes);
        tally.fooled.extend(found.fooled);
        tally.forward.extend(found.forward);
        tally.backward.extend(found.backward);
        let robust = tally.fooled.iter().filter(|f| !**f).count();
        format!(
            "{}, {end} of {} correctly classified images, {robust} of them robust",
            attack.name(),
            correct.len()
        )
    }

    /// The next check that asks the network.
    fn probe(&mut self, correct: &[u32]) -> String {
        let Inputs {
            oracle, ball, seed, ..
        } = *self.inputs;
        let first = |rows: &[u32]| self.sample(&rows[..rows.len().min(CHUNK)]);
        let found = match self.kept.probed {
            0 => probes::outputs(oracle, &first(self.inputs.rows)),
            1 => probes::gradients(oracle, &first(correct)),
            2 => probes::strength(oracle, &first(correct), ball, seed),
            i => {
                let attack = &self.inputs.attacks[i - PROBES];
                probes::epsilon_zero(oracle, &first(correct), ball.norm, attack, seed)
            }
        };
        self.kept.warnings.extend(found);
        self.kept.probed += 1;
        format!("checks, {} of {}", self.kept.probed, self.probes())
    }

    /// Share of the passes made, as if no image left an attack early.
    fn share(&self) -> f64 {
        let correct = match self.kept.correct.len() == self.images() {
            true => self.correct().len(),
            false => self.images(),
        };
        let (mut done, mut all) = (self.kept.correct.len() as f64, self.images() as f64);
        for (attack, tally) in self.inputs.attacks.iter().zip(&self.kept.tallies) {
            let passes = passes(attack);
            done += passes * tally.fooled.len() as f64;
            all += passes * correct as f64;
        }
        // A probe makes some ten passes of a chunk.
        let chunk = 10.0 * correct.min(CHUNK) as f64;
        done += chunk * self.kept.probed as f64;
        all += chunk * self.probes() as f64;
        done / all
    }

    pub fn finish(self) -> Evaluation {
        let images = self.images();
        let percent = |count: usize| 100.0 * count as f64 / images as f64;
        let mut worst = self.kept.correct.clone();
        let mut warnings = self.kept.warnings.clone();
        let mut attacks = Vec::new();
        for (attack, tally) in self.inputs.attacks.iter().zip(&self.kept.tallies) {
            let mut answers = tally.fooled.iter();
            let correct = self.kept.correct.iter();
            let robust: Vec<bool> = correct
                .map(|&c| c && answers.next().is_some_and(|fooled| !fooled))
                .collect();
            worst.iter_mut().zip(&robust).for_each(|(w, r)| *w &= r);
            warnings.extend(tally.warnings(attack, self.inputs.ball));
            let fooled = tally.fooled.iter().filter(|f| **f).count();
            attacks.push(Attacked {
                attack: attack.clone(),
                accuracy: percent(robust.iter().filter(|r| **r).count()),
                eight_bit: (fooled > 0).then(|| 100.0 * tally.eight_bit as f64 / fooled as f64),
                queries: Queries::of(&tally.forward, &tally.backward),
                parts: parts(attack, tally.parts.map(percent)),
                robust,
            });
        }
        warnings.extend(checks::order(&attacks));
        warnings.extend(checks::square(&attacks));
        let warnings = checks::unexplained(warnings);
        Evaluation {
            images,
            ball: self.inputs.ball,
            clean: percent(self.kept.correct.iter().filter(|c| **c).count()),
            worst_case: percent(worst.iter().filter(|w| **w).count()),
            attacks,
            reliable: warnings.is_empty(),
            warnings,
        }
    }
}

impl Tally {
    fn warnings(&self, attack: &Attack, ball: Ball) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let fooled = self.fooled.iter().filter(|f| **f).count();
        if self.outside > 0 {
            let reason = format!(
                "{} of {} stored images are farther than epsilon {} from the clean ones or leave 0..=1: \
                 an error in the attack, which makes accuracy too low",
                self.outside,
                self.fooled.len(),
                ball.epsilon,
            );
            warnings.push(Warning::new(Kind::OutsideBall, Some(attack), reason));
        }
        if self.unconfirmed > 0 {
            let reason = format!(
                "{} of {fooled} adversarial examples are classified correctly when the network is asked \
                 again: its answers depend on what else is in a batch",
                self.unconfirmed,
            );
            warnings.push(Warning::new(Kind::Unconfirmed, Some(attack), reason));
        }
        warnings
    }
}

/// AutoAttack's shares by name.
fn parts(attack: &Attack, fooled: [f64; 4]) -> Vec<Part> {
    let Attack::AutoAttack(config) = attack else {
        return Vec::new();
    };
    let named = config.parts().into_iter().zip(fooled);
    named
        .map(|(part, fooled)| Part {
            attack: part.name(),
            fooled,
        })
        .collect()
}

/// `x` as an 8-bit value between it and the clean pixel `c`, which is one.
fn to_byte(x: f32, c: f32) -> f32 {
    let (scaled, clean) = (f64::from(x) * 255.0, (f64::from(c) * 255.0).round());
    let byte = match scaled > clean {
        true => scaled.floor().max(clean),
        false => scaled.ceil().min(clean),
    };
    (byte / 255.0) as f32
}

/// Passes of an image that is never fooled; a backward pass costs two.
fn passes(attack: &Attack) -> f64 {
    let passes = match attack {
        Attack::Fgsm {} => 4,
        Attack::Pgd(config) | Attack::Cw(config) => 3 * config.steps * config.restarts,
        Attack::ApgdCe(config) => 3 * config.steps * config.restarts,
        Attack::ApgdDlr(config) => 3 * config.steps * config.restarts * config.targets.max(1),
        Attack::Fab(config) => 4 * config.steps * config.restarts * config.targets,
        Attack::Square(config) => config.queries * config.restarts,
        Attack::AutoAttack(config) => return config.parts().iter().map(passes).sum(),
    };
    passes as f64
}

impl checkpoint::Machine for Machine<'_> {
    type Header = Kept;

    fn done(&self) -> bool {
        self.kept.probed == self.probes()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let message = if self.kept.correct.len() < self.images() {
            self.classify()
        } else {
            let correct = self.correct();
            let mut tallies = self.kept.tallies.iter();
            match tallies.position(|tally| tally.fooled.len() < correct.len()) {
                Some(i) => self.attack(i, &correct),
                None => self.probe(&correct),
            }
        };
        progress(self.share(), &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        slot.write(&self.kept, &[])
    }

    fn resume(&mut self, kept: Kept, _: Buffers) -> Result<(), String> {
        let (images, attacks) = (self.images(), self.inputs.attacks.len());
        let correct = kept.correct.iter().filter(|c| **c).count();
        let fits = |tally: &Tally| {
            let n = tally.fooled.len();
            n <= correct && tally.forward.len() == n && tally.backward.len() == n
        };
        if kept.correct.len() > images
            || kept.tallies.len() != attacks
            || kept.probed > self.probes()
            || !kept.tallies.iter().all(fits)
        {
            return Err(format!(
                "it does not fit {images} images under {attacks} attacks"
            ));
        }
        self.kept = kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::to_byte;

    #[test]
    fn rounding_goes_towards_the_clean_pixel() {
        let byte = |v: f32| v / 255.0;
        assert_eq!(to_byte(byte(12.7), byte(10.0)), byte(12.0));
        assert_eq!(to_byte(byte(7.3), byte(10.0)), byte(8.0));
        assert_eq!(to_byte(byte(10.6), byte(10.0)), byte(10.0));
        assert_eq!(to_byte(byte(9.4), byte(10.0)), byte(10.0));
        for b in 0..=255u8 {
            let c = f32::from(b) / 255.0;
            assert_eq!(to_byte(c, c).to_bits(), c.to_bits());
        }
    }
}
