//! What one attack did so far.

use super::warning::{Warning, WarningKind};
use crate::attacks::{Attack, Found};
use crate::ball::Ball;
use serde::{Deserialize, Serialize};

/// The attack's way through its parts and images, and what it found, an entry a correctly classified image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    /// The part that comes next: an ensemble has several, each of which sees what those before it left.
    pub part: usize,
    /// The image that this part comes to next.
    pub at: usize,
    /// The part that fooled the image.
    pub by: Vec<Option<u8>>,
    pub forward: Vec<u32>,
    pub backward: Vec<u32>,
    /// Stored images that the ball does not allow.
    pub outside: usize,
    /// Stored adversarial examples that are none.
    pub unconfirmed: usize,
    /// Those whose logits are not finite.
    pub not_finite: usize,
    /// Those that still are with 8-bit pixels.
    pub eight_bit: usize,
}

impl Tally {
    /// Before its first step on `images` correctly classified images.
    pub fn begin(&mut self, images: usize) {
        self.by.resize(images, None);
        self.forward.resize(images, 0);
        self.backward.resize(images, 0);
    }

    /// The next images of its part, at most `most`, and the image after the last of them.
    pub fn next(&self, most: usize) -> (Vec<usize>, usize) {
        let (mut chunk, mut at) = (Vec::new(), self.at);
        while at < self.by.len() && chunk.len() < most {
            if self.by[at].is_none() {
                chunk.push(at);
            }
            at += 1;
        }
        (chunk, at)
    }

    /// Takes in what its part found at `chunk`.
    pub fn add(&mut self, chunk: &[usize], found: &Found) {
        let part = u8::try_from(self.part).unwrap_or(u8::MAX);
        for (row, &i) in chunk.iter().enumerate() {
            self.by[i] = found.fooled[row].then_some(part);
            self.forward[i] += found.forward[row];
            self.backward[i] += found.backward[row];
        }
    }

    /// Goes on to the image `at`, or to the next part.
    pub fn go_on(&mut self, at: usize) {
        self.at = at;
        if at >= self.by.len() {
            (self.part, self.at) = (self.part + 1, 0);
        }
    }

    /// Images that it has fooled.
    pub fn fooled(&self) -> usize {
        self.by.iter().filter(|by| by.is_some()).count()
    }

    /// Whether it could be of an attack on `correct` images.
    pub fn fits(&self, correct: usize) -> bool {
        let n = self.by.len();
        (n == correct || n == 0) && self.forward.len() == n && self.backward.len() == n
    }

    pub fn warnings(&self, attack: &Attack, ball: Ball) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |kind, reason| warnings.push(Warning::new(kind, Some(attack), reason));
        let fooled = self.fooled();
        if self.outside > 0 {
            let reason = format!(
                "{} of {} stored images are farther than epsilon {} from the clean ones or leave 0..=1: \
                 an error in the attack, which makes accuracy too low",
                self.outside,
                self.by.len(),
                ball.epsilon,
            );
            warn(WarningKind::OutsideBall, reason);
        }
        if self.not_finite > 0 {
            let reason = format!(
                "{} of {fooled} adversarial examples have logits that are NaN or infinite, and count as \
                 errors: the network's numbers overflow there; scale its logits down",
                self.not_finite,
            );
            warn(WarningKind::NotFinite, reason);
        }
        if self.unconfirmed > 0 {
            let reason = format!(
                "{} of {fooled} adversarial examples are classified correctly when the network is asked \
                 again: its answers depend on what else is in a batch, or two classes are so near to a \
                 tie there that rounding decides",
                self.unconfirmed,
            );
            warn(WarningKind::Unconfirmed, reason);
        }
        warnings
    }
}

/// `x` as an 8-bit value between it and the clean pixel `c`, which is one.
pub(super) fn to_byte(x: f32, c: f32) -> f32 {
    let (scaled, clean) = (f64::from(x) * 255.0, (f64::from(c) * 255.0).round());
    let byte = match scaled > clean {
        true => scaled.floor().max(clean),
        false => scaled.ceil().min(clean),
    };
    (byte / 255.0) as f32
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
