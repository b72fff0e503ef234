//! The evaluation as a machine of small steps.

mod finish;

use super::checks;
use super::examples::{Keeper, Kept};
use super::outcome::OwnAttacks;
use super::own_attacks;
use super::probes::{self, Sample, wrong};
use super::stop::{StopRequest, Stoppable};
use super::tally::{Tally, to_byte};
use super::warning::{Warning, WarningKind};
use super::{CHUNK, Inputs};
use crate::attacks::{Attack, predicted};
use crate::oracle::Oracle;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Slot};

/// Probes that are not of an attack.
const PROBES: usize = 5;

/// All that the next steps depend on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Whether each image so far is classified correctly.
    correct: Vec<bool>,
    /// One an attack.
    tallies: Vec<Tally>,
    /// Probes made.
    probed: usize,
    /// What they found.
    warnings: Vec<Warning>,
    /// What they have to say that is no warning.
    notes: Vec<String>,
    /// What the evaluation's own attacks found.
    own: Option<OwnAttacks>,
    /// What was found image by image, where it is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    examples: Option<Kept>,
}

pub(super) struct Machine<'a> {
    inputs: &'a Inputs<'a>,
    request: &'a StopRequest<'a>,
    /// Images that none before them equals, as places in the inputs' rows: what many copies of one image
    /// say is said once.
    distinct: Vec<usize>,
    /// Whether pixels are bytes over 255.
    bytes: bool,
    kept: Progress,
    /// Where what is found is wanted image by image.
    keeper: Option<Keeper>,
}

impl<'a> Machine<'a> {
    pub fn new(inputs: &'a Inputs<'a>, request: &'a StopRequest<'a>) -> Self {
        let split = inputs.split;
        let mut seen = HashSet::new();
        let mut first = |row: u32| seen.insert((split.key(row), split.labels()[row as usize]));
        let rows = inputs.rows.iter().enumerate();
        Self {
            inputs,
            request,
            distinct: rows.filter(|(_, row)| first(**row)).map(|r| r.0).collect(),
            bytes: split.bytes(),
            kept: Progress {
                tallies: vec![Tally::default(); inputs.attacks.len()],
                ..Progress::default()
            },
            keeper: None,
        }
    }

    /// The same, which keeps what it finds image by image.
    pub fn keeping(mut self) -> Self {
        let (attacks, images) = (self.inputs.attacks.len(), self.images());
        self.keeper = Some(Keeper::new(attacks, images));
        self
    }

    fn images(&self) -> usize {
        self.inputs.rows.len()
    }

    fn probes(&self) -> usize {
        PROBES + self.inputs.attacks.len()
    }

    /// The network, until an end is asked for. What a step found with it after that counts for nothing.
    fn oracle(&self) -> Stoppable<'a> {
        Stoppable {
            oracle: self.inputs.oracle,
            request: self.request,
        }
    }

    /// The parts of attack `i`.
    fn parts(&self, i: usize) -> Vec<Attack> {
        self.inputs.attacks[i].parts(self.inputs.oracle.classes())
    }

    /// Places of the images that are classified correctly.
    fn correct(&self) -> Vec<usize> {
        let all = 0..self.kept.correct.len();
        all.filter(|&i| self.kept.correct[i]).collect()
    }

    /// The images at these places.
    fn sample(&self, places: impl IntoIterator<Item = usize>) -> Sample {
        let (split, mut sample) = (self.inputs.split, Sample::default());
        for place in places {
            let row = self.inputs.rows[place];
            split.append(row, &mut sample.pixels);
            sample.labels.push(split.labels()[row as usize]);
            sample.rows.push(row);
        }
        sample
    }

    /// The next chunk's clean answers.
    fn classify(&mut self) -> String {
        let at = self.kept.correct.len();
        let end = (at + CHUNK).min(self.images());
        let sample = self.sample(at..end);
        let oracle = self.oracle();
        let logits = oracle.logits(&sample.pixels);
        let wrong = probes::wrong_of(&logits, oracle.classes(), &sample.labels);
        if !self.request.stopped() {
            self.kept.correct.extend(wrong.iter().map(|wrong| !wrong));
            if let Some(keeper) = &mut self.keeper {
                keeper.classified(&logits, oracle.classes());
            }
        }
        format!("clean accuracy, {end} of {} images", self.images())
    }

    /// The next chunk under a part of attack `i`.
    fn attack(&mut self, i: usize, correct: &[usize]) -> String {
        let Inputs { ball, seed, .. } = *self.inputs;
        let (oracle, parts) = (self.oracle(), self.parts(i));
        let mut tally = self.kept.tallies[i].clone();
        tally.begin(correct.len());
        let part = &parts[tally.part];
        let (chunk, at) = tally.next(CHUNK);
        if !chunk.is_empty() {
            let sample = self.sample(chunk.iter().map(|&j| correct[j]));
            let found = part.run(&oracle, sample.points(), ball, seed);
            let last = tally.part + 1 == parts.len();
            tally.add(&chunk, &found);
            let (mut pixels, mut bytes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
            let mut rows = Vec::new();
            let images = found.pixels.chunks_exact(oracle.size());
            let cleans = sample.pixels.chunks_exact(oracle.size());
            for (row, (x, clean)) in images.zip(cleans).enumerate() {
                if found.fooled[row] || last {
                    tally.outside += usize::from(!ball.allows(x, clean));
                }
                if found.fooled[row] {
                    pixels.extend_from_slice(x);
                    if self.bytes {
                        bytes.extend(x.iter().zip(clean).map(|(&x, &c)| to_byte(x, c)));
                    }
                    labels.push(sample.labels[row]);
                    rows.push(row);
                }
            }
            if !labels.is_empty() {
                let logits = oracle.logits(&pixels);
                let answers = logits.chunks_exact(oracle.classes());
                for (row, &label) in answers.clone().zip(&labels) {
                    tally.unconfirmed += usize::from(predicted(row) == Some(label.into()));
                    tally.not_finite += usize::from(row.iter().any(|z| !z.is_finite()));
                }
                let keeper = self.keeper.as_mut().filter(|_| !self.request.stopped());
                if let Some(keeper) = keeper {
                    let size = oracle.size();
                    let images = pixels.chunks_exact(size).zip(answers).zip(&rows);
                    for ((x, logits), row) in images {
                        let clean = &sample.pixels[row * size..][..size];
                        let place = correct[chunk[*row]];
                        keeper.fooled((i, place), logits, (x, clean), ball.norm);
                    }
                }
                let labels = if self.bytes { &labels[..] } else { &[] };
                let wrong = wrong(&oracle, &bytes, labels);
                tally.eight_bit += wrong.iter().filter(|wrong| **wrong).count();
            }
        }
        let robust = correct.len() - tally.fooled();
        let (name, inner) = (self.inputs.attacks[i].name(), part.name());
        let which = if inner == name {
            name
        } else {
            format!("{name}: {inner}")
        };
        tally.go_on(at);
        if !self.request.stopped() {
            self.kept.tallies[i] = tally;
        }
        let n = correct.len();
        format!("{which}, {at} of {n} correctly classified images, {robust} of them robust")
    }

    /// The next check that asks the network.
    fn probe(&mut self, correct: &[usize]) -> String {
        let Inputs { ball, seed, .. } = *self.inputs;
        let oracle = self.oracle();
        let first: HashSet<usize> = self.distinct.iter().copied().collect();
        let distinct = correct.iter().copied().filter(|i| first.contains(i));
        let correct_once = || self.sample(distinct.clone().take(CHUNK));
        let (mut own, mut notes) = (self.kept.own, Vec::new());
        let warnings = match self.kept.probed {
            0 => {
                // Labels do not matter here.
                let mut seen = HashSet::new();
                let images = self.distinct.iter().copied();
                let key = |place: usize| self.inputs.split.key(self.inputs.rows[place]);
                let images = images.filter(|&place| seen.insert(key(place)));
                probes::outputs(&oracle, &self.sample(images.take(CHUNK)))
            }
            // Without gradients there is nothing that these three could look for.
            1..=3 if !oracle.has_gradient() => Vec::new(),
            1 => {
                let sample = correct_once();
                let mut found = probes::gradients(&oracle, &sample);
                found.extend(probes::small(&oracle, &sample, self.inputs.attacks));
                found
            }
            2 if self.inputs.attacks.is_empty() => Vec::new(),
            2 => probes::strength(&oracle, &correct_once(), ball, seed),
            3 => {
                let left = distinct.filter(|&i| self.left(correct, i));
                let sample = match self.inputs.attacks.is_empty() || ball.epsilon == 0.0 {
                    true => Sample::default(),
                    false => self.sample(left.take(own_attacks::FEW)),
                };
                let asked = (self.inputs.attacks, self.spent());
                let (found, warnings) =
                    own_attacks::left(&oracle, sample.points(), asked, ball, seed);
                own = found;
                warnings
            }
            4 => {
                let places: Vec<usize> = distinct.collect();
                let (warnings, said) = self.black_boxes(&oracle, correct, &places);
                notes = said;
                warnings
            }
            i => {
                let attack = &self.inputs.attacks[i - PROBES];
                probes::epsilon_zero(&oracle, &correct_once(), ball.norm, attack, seed)
            }
        };
        if !self.request.stopped() {
            self.kept.warnings.extend(warnings);
            self.kept.notes.extend(notes);
            self.kept.own = own;
            self.kept.probed += 1;
        }
        format!("checks, {} of {}", self.kept.probed, self.probes())
    }

    /// Passes that the attacks made; a backward pass costs two.
    fn spent(&self) -> u64 {
        let sum = |passes: &[u32]| passes.iter().map(|&p| u64::from(p)).sum::<u64>();
        let tallies = self.kept.tallies.iter();
        tallies
            .map(|tally| sum(&tally.forward) + 2 * sum(&tally.backward))
            .sum()
    }

    /// Whether no attack fooled the image at `place`, one of `correct`.
    fn left(&self, correct: &[usize], place: usize) -> bool {
        let j = correct.binary_search(&place);
        let by = |tally: &Tally| j.is_ok_and(|j| tally.by[j].is_some());
        !self.kept.tallies.iter().any(by)
    }

    /// Black boxes, alone or in an ensemble, against the attacks along gradients, on distinct images.
    fn black_boxes(
        &self,
        oracle: &Stoppable<'_>,
        correct: &[usize],
        places: &[usize],
    ) -> (Vec<Warning>, Vec<String>) {
        let Inputs { ball, seed, .. } = *self.inputs;
        let (mut warnings, mut notes) = (Vec::new(), Vec::new());
        let is_blind = |attack: &Attack| attack.facts().black_box();
        // By each attack, of each place whether a black box fooled it, and whether a gradient did.
        let mut fooled: Vec<[Vec<bool>; 2]> = Vec::new();
        for (i, tally) in self.kept.tallies.iter().enumerate() {
            let parts = self.parts(i);
            let by = |blind: bool| -> Vec<bool> {
                let of = |place: &usize| {
                    let j = correct.binary_search(place).ok()?;
                    let part = tally.by[j]?;
                    Some(is_blind(parts.get(usize::from(part))?) == blind)
                };
                places.iter().map(|p| of(p).unwrap_or(false)).collect()
            };
            fooled.push([by(true), by(false)]);
        }
        let along = |p: usize| fooled.iter().any(|[_, gradient]| gradient[p]);
        for (attack, [blind, _]) in self.inputs.attacks.iter().zip(&fooled) {
            let only: Vec<usize> = (0..places.len())
                .filter(|&p| blind[p] && !along(p))
                .collect();
            let members = attack.members(self.inputs.oracle.classes());
            if !members.is_empty() {
                let blind = members.iter().find(|part| is_blind(part));
                let images = self.distinct.len();
                let warning =
                    blind.and_then(|b| checks::black_box((attack, b), only.len(), images));
                warnings.extend(warning);
                continue;
            }
            let won = (0..places.len()).filter(|&p| !blind[p] && along(p));
            let won = won.count();
            // Nothing to compare with where black boxes are alone.
            let alone = self.inputs.attacks.iter().all(is_blind);
            if !is_blind(attack) || alone || !own_attacks::ahead(only.len(), won, (1, 0)) {
                continue;
            }
            let tried = only.iter().take(own_attacks::FEW).map(|&p| places[p]);
            let sample = self.sample(tried);
            let found = own_attacks::strongest(oracle, sample.points(), ball, seed);
            let (tried, found) = (found.len(), found.iter().filter(|f| **f).count());
            let name = attack.name();
            if own_attacks::ahead(only.len(), won, (tried, found)) {
                let reason = format!(
                    "{name}, which sees no gradient, fools {} images that no attack along gradients \
                     does, and {won} the other way round; of {tried} of them 100 steps of APGD-CE and of \
                     CW fool {found}: gradients do not show the way, so robust accuracy is \
                     overestimated; adapt an attack to this network",
                    only.len(),
                );
                let kind = WarningKind::SquareBeatsGradients;
                warnings.push(Warning::new(kind, Some(attack), reason));
            } else {
                notes.push(format!(
                    "{name} fools {} images that no attack along gradients among those asked for does; \
                     100 steps of APGD-CE and of CW fool {found} of {tried} of them: a stronger gradient \
                     attack is missing from the list",
                    only.len(),
                ));
            }
        }
        (warnings, notes)
    }

    /// Share of the passes made, as if no image left an attack early.
    fn share(&self) -> f64 {
        let correct = match self.kept.correct.len() == self.images() {
            true => self.correct().len(),
            false => self.images(),
        };
        let (mut done, mut all) = (self.kept.correct.len() as f64, self.images() as f64);
        for (i, tally) in self.kept.tallies.iter().enumerate() {
            for (j, part) in self.parts(i).iter().enumerate() {
                let images = match j.cmp(&tally.part) {
                    std::cmp::Ordering::Less => correct,
                    std::cmp::Ordering::Equal => tally.at,
                    std::cmp::Ordering::Greater => 0,
                };
                done += part.facts().passes * images as f64;
                all += part.facts().passes * correct as f64;
            }
        }
        // A probe makes some ten passes of a chunk.
        let chunk = 10.0 * correct.min(CHUNK) as f64;
        done += chunk * self.kept.probed as f64;
        all += chunk * self.probes() as f64;
        done / all
    }
}

impl checkpoint::Machine for Machine<'_> {
    type Header = Progress;

    fn done(&self) -> bool {
        self.kept.probed == self.probes()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let message = if self.kept.correct.len() < self.images() {
            self.classify()
        } else {
            let correct = self.correct();
            let mut tallies = self.kept.tallies.iter().enumerate();
            match tallies.position(|(i, tally)| tally.part < self.parts(i).len()) {
                Some(i) => self.attack(i, &correct),
                None => self.probe(&correct),
            }
        };
        if !self.request.stopped() {
            progress(self.share(), &message);
        }
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let Some(keeper) = &self.keeper else {
            return slot.write(&self.kept, &[]);
        };
        self.kept.examples = Some(keeper.kept.clone());
        slot.write(&self.kept, &keeper.buffers())
    }

    fn resume(&mut self, mut kept: Progress, mut buffers: Buffers) -> Result<(), String> {
        let (images, attacks) = (self.images(), self.inputs.attacks.len());
        let correct = kept.correct.iter().filter(|c| **c).count();
        if kept.correct.len() > images
            || kept.tallies.len() != attacks
            || kept.probed > self.probes()
            || !kept.tallies.iter().all(|tally| tally.fits(correct))
        {
            return Err(format!(
                "it does not fit {images} images under {attacks} attacks"
            ));
        }
        if let Some(keeper) = &mut self.keeper {
            let found = kept.examples.take();
            let found = found.ok_or("it keeps no adversarial examples")?;
            keeper.resume(found, &mut buffers, [images, self.inputs.oracle.size()])?;
        }
        self.kept = kept;
        Ok(())
    }
}
