//! What a finished evaluation says.

use super::Machine;
use crate::attacks::Attack;
use crate::evaluation::checks;
use crate::evaluation::examples::Examples;
use crate::evaluation::outcome::{Attacked, Evaluation, Part, Queries};
use crate::evaluation::tally::Tally;
use crate::evaluation::verdict::{Gap, Reliable, Tested};

impl Machine<'_> {
    /// What was measured, and what was found image by image, where that is kept.
    pub fn finish_keeping(mut self) -> (Evaluation, Examples) {
        let Some(keeper) = self.keeper.take() else {
            return (self.finish(), Examples::default());
        };
        let clean = self.sample(0..self.images()).pixels;
        (self.finish(), keeper.finish(clean))
    }

    fn finish(self) -> Evaluation {
        let images = self.images();
        let classes = self.inputs.oracle.classes();
        let percent = |count: usize| 100.0 * count as f64 / images as f64;
        let mut worst = self.kept.correct.clone();
        let mut warnings = self.kept.warnings.clone();
        let mut attacks = Vec::new();
        for (attack, tally) in self.inputs.attacks.iter().zip(&self.kept.tallies) {
            let mut answers = tally.by.iter();
            let correct = self.kept.correct.iter();
            let robust: Vec<bool> = correct
                .map(|&c| c && answers.next().is_some_and(Option::is_none))
                .collect();
            worst.iter_mut().zip(&robust).for_each(|(w, r)| *w &= r);
            warnings.extend(tally.warnings(attack, self.inputs.ball));
            let fooled = tally.fooled();
            attacks.push(Attacked {
                attack: attack.clone(),
                accuracy: percent(robust.iter().filter(|r| **r).count()),
                eight_bit: (fooled > 0 && self.bytes)
                    .then(|| 100.0 * tally.eight_bit as f64 / fooled as f64),
                queries: Queries::of(&tally.forward, &tally.backward),
                parts: shares(attack, classes, tally, percent),
                robust,
            });
        }
        warnings.extend(checks::order(&attacks, &self.distinct));
        let warnings = checks::unexplained(warnings);
        let labels = self.inputs.rows.iter();
        let labels = labels.map(|row| self.inputs.split.labels()[*row as usize]);
        let labels: Vec<u16> = labels.collect();
        let distinct = self.distinct.iter().filter(|&&i| self.kept.correct[i]);
        let seen = Tested {
            attacks: self.inputs.attacks,
            epsilon: self.inputs.ball.epsilon,
            classes,
            gradient: self.inputs.oracle.has_gradient(),
            labels: &labels,
            correct: self.correct().len(),
            distinct: distinct.count(),
        };
        let mut untested = seen.untested();
        if let Some(own) = self.kept.own.filter(|own| own.margin > 0) {
            let weak = untested.iter_mut().filter(|u| u.gap == Gap::WeakAttacks);
            weak.for_each(|u| u.reason += &own.said());
        }
        let reliable = match (warnings.is_empty(), untested.is_empty()) {
            (false, _) => Reliable::No,
            (true, false) => Reliable::NotTested,
            (true, true) => Reliable::Yes,
        };
        let mut notes: Vec<String> = Vec::new();
        for note in self.inputs.attacks.iter().filter_map(|a| a.note(classes)) {
            if !notes.iter().any(|n| n == note) {
                notes.push(note.to_owned());
            }
        }
        notes.extend(self.kept.notes);
        Evaluation {
            images,
            ball: self.inputs.ball,
            clean: percent(seen.correct),
            majority: seen.majority(),
            worst_case: percent(worst.iter().filter(|w| **w).count()),
            upper_bound: !warnings.is_empty() || untested.iter().any(|u| u.gap == Gap::WeakAttacks),
            attacks,
            own: self.kept.own,
            notes,
            warnings,
            untested,
            reliable,
        }
    }
}

/// The shares of an ensemble's attacks by name.
fn shares(
    attack: &Attack,
    classes: usize,
    tally: &Tally,
    percent: impl Fn(usize) -> f64,
) -> Vec<Part> {
    let parts = attack.members(classes).into_iter().zip(0u8..);
    let fooled = |part: u8| tally.by.iter().filter(|by| **by == Some(part)).count();
    parts
        .map(|(part, i)| Part {
            attack: part.name(),
            fooled: percent(fooled(i)),
        })
        .collect()
}
