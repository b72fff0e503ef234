//! Checks that ask the network: small runs on the first images.

use super::checks;
use super::warning::{Warning, WarningKind};
use crate::attacks::{Attack, Cw, Evasion, Gradient, losses, predicted};
use crate::ball::{Ball, Norm};
use crate::oracle::{Oracle, Points};

/// Images of a probe that attacks.
const FEW: usize = 32;
/// Passes of an attack whose code is tried with epsilon 0.
const TRIES: usize = 5;

/// Some images, with what attacks need of them.
#[derive(Default)]
pub(super) struct Sample {
    pub pixels: Vec<f32>,
    pub labels: Vec<u16>,
    pub rows: Vec<u32>,
}

impl Sample {
    pub fn points(&self) -> Points<'_> {
        Points {
            pixels: &self.pixels,
            labels: &self.labels,
            rows: &self.rows,
        }
    }

    fn first(&self, n: usize, size: usize) -> Points<'_> {
        let n = n.min(self.labels.len());
        Points {
            pixels: &self.pixels[..n * size],
            labels: &self.labels[..n],
            rows: &self.rows[..n],
        }
    }
}

/// What the logits of images say, classified correctly or not.
pub(super) fn outputs(oracle: &dyn Oracle, images: &Sample) -> Vec<Warning> {
    let (n, classes) = (images.labels.len(), oracle.classes());
    let mut warnings = Vec::new();
    let mut warn = |kind, reason| warnings.push(Warning::new(kind, None, reason));
    let logits = oracle.logits(&images.pixels);
    let bad = logits.chunks_exact(classes);
    let bad = bad.filter(|row| row.iter().any(|z| !z.is_finite())).count();
    if bad > 0 {
        let reason = format!(
            "{bad} of {n} images have logits that are NaN or infinite: the training of this network \
             has most likely diverged"
        );
        warn(WarningKind::NotFinite, reason);
        return warnings;
    }
    let again = (1..checks::FORWARDS).map(|_| oracle.logits(&images.pixels));
    let farthest = again
        .map(|again| farthest(&logits, &again, classes))
        .fold(0.0, f64::max);
    let changed = farthest.is_nan() || farthest > checks::RANDOMISED;
    if changed {
        let reason = format!(
            "the logits of the same image, scaled to length 1, differ by up to {farthest:.1e} between \
             {} forward passes (limit {:.0e}): the network draws at random, and attacks that do not \
             average over draws (EoT) overestimate its robustness",
            checks::FORWARDS,
            checks::RANDOMISED,
        );
        warn(WarningKind::Randomised, reason);
    }
    let limit = checks::PROBABILITIES;
    let is_probabilities = |row: &[f32]| {
        let sum: f64 = row.iter().map(|&z| f64::from(z)).sum();
        let inside = |z: &f32| (-limit..=1.0 + limit).contains(&f64::from(*z));
        (sum - 1.0).abs() < limit && row.iter().all(inside)
    };
    if logits.chunks_exact(classes).all(is_probabilities) {
        let reason = format!(
            "the outputs of all {n} images lie in 0..=1 and sum to 1: they are probabilities where \
             logits are expected, on which losses saturate; leave the softmax out"
        );
        warn(WarningKind::Probabilities, reason);
    }
    if let Some((kind, reason)) = equal(&logits, n, classes) {
        warn(kind, reason);
    }
    warnings
}

/// Equal numbers among logits, where there are more than chance gives, and where they come from.
fn equal(logits: &[f32], n: usize, classes: usize) -> Option<(WarningKind, String)> {
    let mut rows = logits.chunks_exact(classes);
    let first = rows.next()?;
    if n > 1 && rows.all(|row| row == first) {
        let reason = format!(
            "all of {n} different images get the same logits: the network does not see them; look for \
             dead activations, a zero scale, or weights of another network"
        );
        return Some((WarningKind::Constant, reason));
    }
    let (distinct, ties) = few_numbers(logits, classes);
    if distinct >= checks::DISTINCT && ties == 0 {
        return None;
    }
    // Classes whose logits are those of an earlier one on all images.
    let same = |j: usize, k: usize| logits.chunks_exact(classes).all(|row| row[j] == row[k]);
    let copies: Vec<usize> = (0..classes)
        .filter(|&j| (0..j).any(|k| same(j, k)))
        .collect();
    let others: Vec<usize> = (0..classes).filter(|j| !copies.contains(j)).collect();
    let rest: Vec<f32> = logits
        .chunks_exact(classes)
        .flat_map(|row| others.iter().map(|&j| row[j]))
        .collect();
    let (rest_distinct, rest_ties) = few_numbers(&rest, others.len());
    if !copies.is_empty() && rest_distinct >= checks::DISTINCT && rest_ties == 0 {
        let equal: Vec<String> = (0..classes)
            .filter(|&j| (0..classes).any(|k| k != j && same(j, k)))
            .map(|j| j.to_string())
            .collect();
        let reason = format!(
            "the classes {} have the same logits as one another on all {n} images, as where rows of the \
             last layer are equal or were never trained; of {ties} images the three largest logits are \
             equal, where DLR divides by zero, and no attack can tell these classes apart",
            equal.join(", "),
        );
        return Some((WarningKind::Quantised, reason));
    }
    let most = logits.iter().fold(0.0f32, |most, z| most.max(z.abs()));
    let reason = format!(
        "{:.0} % of {} logits, the largest of size {most:.3e}, are distinct numbers, and of {ties} of {n} \
         images the three largest are equal, where DLR divides by zero: the outputs are rounded, by the \
         network or, under a large common offset, by f32, and their gradients are not those of what the \
         network answers",
        100.0 * distinct,
        logits.len(),
    );
    Some((WarningKind::Quantised, reason))
}

/// The share of distinct numbers, and the rows of which the three largest are equal.
fn few_numbers(logits: &[f32], classes: usize) -> (f64, usize) {
    let mut bits: Vec<u32> = logits.iter().map(|z| z.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    let ties = logits.chunks_exact(classes).filter(|row| {
        let mut row = row.to_vec();
        row.sort_by(|a, b| b.total_cmp(a));
        row.len() > 2 && row[0] == row[2]
    });
    (bits.len() as f64 / logits.len() as f64, ties.count())
}

/// The largest distance between two answers to the same image, each scaled to length 1.
fn farthest(a: &[f32], b: &[f32], classes: usize) -> f64 {
    let rows = a.chunks_exact(classes).zip(b.chunks_exact(classes));
    let unit = |row: &[f32]| -> Vec<f64> {
        let squares = row.iter().map(|&z| f64::from(z) * f64::from(z));
        let length = squares.sum::<f64>().sqrt() + 1e-10;
        row.iter().map(|&z| f64::from(z) / length).collect()
    };
    let apart = rows.map(|(a, b)| {
        let pairs = unit(a).into_iter().zip(unit(b));
        pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    });
    apart.fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

/// What gradients at correctly classified images say.
pub(super) fn gradients(oracle: &dyn Oracle, correct: &Sample) -> Vec<Warning> {
    let n = correct.labels.len();
    if n == 0 {
        return Vec::new();
    }
    // Of each image the loss, and what the gradient promises where the whole image may be painted.
    let ask = |loss: fn(&[f32], usize, &mut [f32]) -> f64| -> Vec<(f64, f64)> {
        let classes = oracle.classes();
        let mut values = Vec::with_capacity(n);
        let (_, gradient) = oracle.pullback(&correct.pixels, &mut |logits| {
            let mut cotangent = vec![0.0; logits.len()];
            let rows = logits.chunks_exact(classes).zip(&correct.labels);
            for (out, (logits, &label)) in cotangent.chunks_exact_mut(classes).zip(rows) {
                values.push(loss(logits, label.into(), out));
            }
            cotangent
        });
        let size = oracle.size();
        let images = correct.pixels.chunks_exact(size);
        let reach = gradient.chunks_exact(size).zip(images).map(|(g, x)| {
            let pairs = g.iter().zip(x);
            let far = pairs.map(|(&g, &x)| f64::from(g.abs()) * f64::from(x.max(1.0 - x)));
            far.sum::<f64>()
        });
        values.into_iter().zip(reach).collect()
    };
    let none = |reach: f64| reach == 0.0 || !reach.is_finite();
    let (margin, entropy) = (ask(losses::margin), ask(losses::cross_entropy));
    let flat = margin.iter().filter(|(_, reach)| none(*reach)).count();
    let tiny = |(value, reach): &&(f64, f64)| *reach < checks::FLAT * value.abs();
    let tiny = margin.iter().filter(tiny).count();
    let pairs = entropy.iter().zip(&margin);
    let only_entropy = pairs.filter(|(e, m)| none(e.1) && !none(m.1)).count();
    let mut warnings = Vec::new();
    if flat > 0 || tiny as f64 > checks::FEW_FLAT * n as f64 {
        let reason = format!(
            "the margin's gradient by the pixels is zero or not finite at {flat} of {n} images, and at \
             {tiny} so small that it promises to change the margin by less than {:.0} % were the whole \
             image painted, which rounding errors do: gradient attacks cannot move there; look for \
             rounding, thresholds or saturated activations in the network, and trust Square only",
            100.0 * checks::FLAT,
        );
        warnings.push(Warning::new(WarningKind::ZeroGradient, None, reason));
    }
    if only_entropy > 0 {
        let reason = format!(
            "the cross-entropy's gradient by the pixels is zero or not finite at {only_entropy} of {n} \
             images where the margin's is not: the logits are so large that f32 underflows; PGD and \
             APGD-CE are blind there, use cw, apgd-dlr or autoattack, or scale the logits down"
        );
        warnings.push(Warning::new(
            WarningKind::CrossEntropyUnderflow,
            None,
            reason,
        ));
    }
    warnings
}

/// Logits so small that the cross-entropy's gradient leads nowhere, where the attacks go by nothing else. On
/// two classes it is that of the margin, however small.
pub(super) fn small(oracle: &dyn Oracle, correct: &Sample, attacks: &[Attack]) -> Vec<Warning> {
    let (n, classes) = (correct.labels.len(), oracle.classes());
    let parts: Vec<Attack> = attacks.iter().flat_map(|a| a.parts(classes)).collect();
    let along = |loss| parts.iter().any(|part| part.facts().gradient == Some(loss));
    let (entropy, margin) = (along(Gradient::CrossEntropy), along(Gradient::Margin));
    if n == 0 || classes < 3 || margin || !entropy {
        return Vec::new();
    }
    let logits = oracle.logits(&correct.pixels);
    let close = logits.chunks_exact(classes).filter(|row| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = row.iter().copied().fold(f32::INFINITY, f32::min);
        most - least < checks::SPREAD
    });
    let close = close.count();
    if (close as f64) < checks::MOSTLY * n as f64 {
        return Vec::new();
    }
    let reason = format!(
        "the largest and the smallest logit of {close} of {n} images differ by less than {}: the \
         cross-entropy's gradient is a blend of all classes there, and the attacks go by nothing else; \
         use cw, apgd-dlr, fab or autoattack, or scale the logits up",
        checks::SPREAD,
    );
    vec![Warning::new(
        WarningKind::CrossEntropyMisleads,
        None,
        reason,
    )]
}

/// Tries `attack`, shortened, without room to move.
pub(super) fn epsilon_zero(
    oracle: &dyn Oracle,
    correct: &Sample,
    norm: Norm,
    attack: &Attack,
    seed: u64,
) -> Vec<Warning> {
    let ball = Ball { norm, epsilon: 0.0 };
    let points = correct.first(FEW, oracle.size());
    let fooled = fooled(&*attack.shortened(TRIES), oracle, points, ball, seed);
    let fooled = fooled.iter().filter(|f| **f).count();
    let reason = format!(
        "with epsilon 0 this attack fools {fooled} of {} correctly classified images, which are then \
         errors of the evaluation: the network's answers depend on what else is in a batch, or it is \
         not the one that clean accuracy was measured on",
        points.len(),
    );
    let warning = Warning::new(WarningKind::EpsilonZero, Some(attack), reason);
    if fooled > 0 {
        vec![warning]
    } else {
        Vec::new()
    }
}

/// Gradient attacks on the margin: more steps and a larger ball must fool more, a ball of all images
/// everything (Athalye et al. 2018).
pub(super) fn strength(
    oracle: &dyn Oracle,
    correct: &Sample,
    ball: Ball,
    seed: u64,
) -> Vec<Warning> {
    let points = correct.first(FEW, oracle.size());
    let n = points.len();
    if n == 0 {
        return Vec::new();
    }
    let everything = match ball.norm {
        Norm::Linf => 1.0,
        Norm::L2 => (oracle.size() as f64).sqrt(),
    };
    let cw = |steps, epsilon: f64| {
        let ball = Ball {
            epsilon: epsilon.min(everything),
            ..ball
        };
        fooled(&Cw::new(steps), oracle, points, ball, seed)
    };
    let (few, all, wide) = (
        cw(TRIES, ball.epsilon),
        cw(20, ball.epsilon),
        cw(20, 2.0 * ball.epsilon),
    );
    let mut warnings = Vec::new();
    let pairs = [
        (&few, &all, "20 steps of CW", "5"),
        (
            &all,
            &wide,
            "20 steps of CW with twice epsilon",
            "with epsilon",
        ),
    ];
    for (weak, strong, name, than) in pairs {
        if let Some((lost, won)) = checks::weaker(weak, strong) {
            let reason = format!(
                "{name} fool {lost} fewer of {n} images than {than} did and {won} others: gradients \
                 mislead, so robust accuracy is overestimated"
            );
            warnings.push(Warning::new(WarningKind::StrongerIsWeaker, None, reason));
        }
    }
    let left = cw(20, everything).iter().filter(|f| !**f).count();
    let share = 100.0 * left as f64 / n as f64;
    if share > checks::UNBOUNDED {
        let reason = format!(
            "20 steps of CW that may paint any image leave {left} of {n} images ({share:.1} %) \
             correct, where at most {:.0} % may be: gradients do not lead to errors that exist, so \
             robust accuracy is overestimated",
            checks::UNBOUNDED,
        );
        warnings.push(Warning::new(WarningKind::Unbounded, None, reason));
    }
    warnings
}

fn fooled(
    attack: &dyn Evasion,
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    seed: u64,
) -> Vec<bool> {
    match points.is_empty() {
        true => Vec::new(),
        false => attack.run(oracle, points, ball, seed).fooled,
    }
}

/// Of `pixels`, as many rows as `labels`, those that the oracle answers wrongly.
pub(super) fn wrong(oracle: &dyn Oracle, pixels: &[f32], labels: &[u16]) -> Vec<bool> {
    if labels.is_empty() {
        return Vec::new();
    }
    wrong_of(&oracle.logits(pixels), oracle.classes(), labels)
}

/// Of rows of logits, as many as `labels`, those that answer wrongly.
pub(super) fn wrong_of(logits: &[f32], classes: usize, labels: &[u16]) -> Vec<bool> {
    let rows = logits.chunks_exact(classes).zip(labels);
    rows.map(|(row, &label)| predicted(row) != Some(label.into()))
        .collect()
}
