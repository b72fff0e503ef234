//! Attacks that keep the images with which they fool.

use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tox_data::ranges::OutOfRange;
use tox_robust::attacks::Evasion;
use tox_robust::{Attack, Ball, Facts, Found, Oracle, Points};

/// What attacks found, by row.
#[derive(Clone, Debug)]
pub struct Recording(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Whether any attack was run on it, which is so if it is classified correctly.
    seen: Vec<bool>,
    /// The first attack that fooled it, or -1.
    by: Vec<i64>,
    /// The image that fools, else the clean one.
    pixels: Vec<f32>,
}

impl Recording {
    pub fn new(pixels: &[f32], images: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            seen: vec![false; images],
            by: vec![-1; images],
            pixels: pixels.to_vec(),
        })))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of each image whether it was attacked, who fooled it, and how it is left.
    pub fn end(self) -> (Vec<bool>, Vec<i64>, Vec<f32>) {
        let mut kept = self.kept();
        let Kept { seen, by, pixels } = &mut *kept;
        (
            std::mem::take(seen),
            std::mem::take(by),
            std::mem::take(pixels),
        )
    }

    fn add(&self, attack: i64, points: Points<'_>, found: &Found, size: usize) {
        let mut kept = self.kept();
        for (i, x) in found.pixels.chunks_exact(size).enumerate() {
            let row = points.row(i) as usize;
            kept.seen[row] = true;
            if found.fooled[i] && kept.by[row] < 0 {
                kept.by[row] = attack;
                kept.pixels[row * size..][..size].copy_from_slice(x);
            }
        }
    }
}

/// An attack, or a member of one, that keeps what it finds.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    #[serde(skip)]
    attack: Attack,
    /// Its place in the evaluation.
    #[serde(skip)]
    place: i64,
    /// `None` of a shortened one, which only tries code.
    #[serde(skip)]
    recording: Option<Recording>,
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        (&self.attack, self.place) == (&other.attack, other.place)
    }
}

impl Recorded {
    /// Every attack of an evaluation.
    pub fn all(attacks: &[Attack], recording: &Recording) -> Vec<Attack> {
        let of = |(attack, place): (&Attack, i64)| {
            Attack::new(Self {
                attack: attack.clone(),
                place,
                recording: Some(recording.clone()),
            })
        };
        attacks.iter().zip(0..).map(of).collect()
    }
}

impl Evasion for Recorded {
    fn facts(&self) -> Facts {
        self.attack.facts()
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let found = self.attack.run(oracle, points, ball, seed);
        if let Some(recording) = self.recording.as_ref().filter(|_| !oracle.stopped()) {
            recording.add(self.place, points, &found, oracle.size());
        }
        found
    }

    fn name(&self) -> String {
        self.attack.name()
    }

    fn check_settings(&self) -> Result<(), OutOfRange> {
        self.attack.in_range()
    }

    fn shorten(&mut self, tries: usize) {
        self.attack = self.attack.shortened(tries);
        self.recording = None;
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        match other.downcast_ref::<Self>() {
            Some(other) => self.attack.dominates(&*other.attack),
            None => self.attack.dominates(other),
        }
    }

    fn members(&self, classes: usize) -> Vec<Attack> {
        let of = |attack: Attack| {
            Attack::new(Self {
                attack,
                ..self.clone()
            })
        };
        self.attack.members(classes).into_iter().map(of).collect()
    }

    fn note(&self, classes: usize) -> Option<&'static str> {
        self.attack.note(classes)
    }
}
