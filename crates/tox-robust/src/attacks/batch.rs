//! The points under attack: what was found for each so far, and every pass that the attacks make.

use super::losses::{self, Loss};
use super::{Found, predicted};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use rand_chacha::ChaCha8Rng;
use tox_data::rng::stream;
use tox_nn::ascent::{Ascent, Raised};

/// The points, what was found, and the network's only door: every pass is counted, and every image
/// of a pass is looked at, so that what is stored as fooled is what the network was shown.
pub struct Batch<'a> {
    oracle: &'a dyn Oracle,
    points: Points<'a>,
    pub(super) ball: Ball,
    found: Found,
    /// Margin of the stored image of an example that is not fooled.
    worst: Vec<f64>,
}

impl<'a> Batch<'a> {
    /// Nothing found yet.
    pub fn new(oracle: &'a dyn Oracle, points: Points<'a>, ball: Ball) -> Self {
        Self {
            oracle,
            points,
            ball,
            found: Found::of(points),
            worst: vec![f64::NEG_INFINITY; points.len()],
        }
    }

    /// The examples that are not fooled yet.
    pub fn open(&self) -> Vec<usize> {
        let all = 0..self.points.len();
        all.filter(|&example| self.is_open(example)).collect()
    }

    /// Whether an example is still under attack; none is once the oracle has stopped.
    pub fn is_open(&self, example: usize) -> bool {
        !self.found.fooled[example] && !self.oracle.stopped()
    }

    /// The clean image.
    pub fn clean(&self, example: usize) -> &'a [f32] {
        let size = self.oracle.size();
        &self.points.pixels[example * size..][..size]
    }

    /// Its label.
    pub fn label(&self, example: usize) -> usize {
        self.points.labels[example].into()
    }

    /// The stream of an example: the same in every batch.
    pub fn stream(&self, seed: u64, attack: &str, example: usize, at: &[u64]) -> ChaCha8Rng {
        let mut indices = vec![u64::from(self.points.row(example))];
        indices.extend(at);
        stream(seed, &format!("attack/{attack}"), &indices)
    }

    /// Logits of an image for each of some examples; one forward pass.
    pub fn logits<'x>(&mut self, images: impl Iterator<Item = (usize, &'x [f32])>) -> Vec<f32> {
        let (examples, pixels) = pack(images);
        if examples.is_empty() {
            return Vec::new();
        }
        let logits = self.oracle.logits(&pixels);
        self.record(&examples, &pixels, &logits);
        logits
    }

    /// Loss and its gradient by the pixels at an image for each of some examples; one forward and one
    /// backward pass. An example that this pass shows to be fooled has loss and gradient 0; entries
    /// of a gradient that are not finite are 0, so that no step moves along them.
    pub fn gradients<'x>(
        &mut self,
        images: impl Iterator<Item = (usize, &'x [f32])>,
        loss: Loss<'_>,
    ) -> (Vec<f64>, Vec<f32>) {
        let (examples, pixels) = pack(images);
        if examples.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let oracle = self.oracle;
        let classes = oracle.classes();
        let mut losses = vec![0.0; examples.len()];
        let (_, mut gradient) = oracle.pullback(&pixels, &mut |logits| {
            self.record(&examples, &pixels, logits);
            let mut cotangent = vec![0.0; logits.len()];
            let rows = logits.chunks(classes).zip(cotangent.chunks_mut(classes));
            for ((&example, value), (logits, cotangent)) in
                examples.iter().zip(&mut losses).zip(rows)
            {
                self.found.backward[example] += 1;
                if self.is_open(example) {
                    *value = loss(example, logits, cotangent);
                }
            }
            cotangent
        });
        let lost = gradient.iter_mut().filter(|g| !g.is_finite());
        lost.for_each(|g| *g = 0.0);
        (losses, gradient)
    }

    /// All steps of a run from these points where the network runs, if it can: then the passes are counted and
    /// what they found is kept, as those of [`Batch::gradients`] and [`Batch::logits`] are.
    pub(super) fn ascend(
        &mut self,
        starts: &[(usize, Vec<f32>)],
        raised: fn(&[u16]) -> Raised<'_>,
        (steps, length): (usize, f64),
    ) -> bool {
        let (mut clean, mut labels) = (Vec::new(), Vec::new());
        let (examples, start) = pack(starts.iter().map(|(i, x)| (*i, x.as_slice())));
        if examples.is_empty() {
            return true;
        }
        for &example in &examples {
            clean.extend_from_slice(self.clean(example));
            labels.push(self.points.labels[example]);
        }
        let reach = self.ball.reach(&clean);
        let found = self.oracle.ascend(&Ascent {
            start: &start,
            raised: raised(&labels),
            bounds: reach.bounds(),
            steps,
            length,
            stops: true,
        });
        let size = self.oracle.size();
        let Some(found) = found else { return false };
        let rows = || found.pixels.chunks(size).zip(clean.chunks(size));
        // What is kept is what the network was shown, so nothing is mended here.
        if !rows().all(|(x, clean)| self.ball.allows(x, clean)) {
            return false;
        }
        let results = found.fooled.iter().zip(&found.margins);
        for ((&example, (x, _)), (fooled, margin)) in examples.iter().zip(rows()).zip(results) {
            let passes = fooled.unwrap_or(steps as u32);
            self.found.forward[example] += passes + 1;
            self.found.backward[example] += (passes + 1).min(steps as u32);
            let margin = f64::from(*margin);
            if fooled.is_some() || margin > self.worst[example] {
                self.found.pixels[example * size..][..size].copy_from_slice(x);
                self.found.fooled[example] = fooled.is_some();
                self.worst[example] = margin;
            }
        }
        true
    }

    /// Counts a forward pass and keeps, of the images that the ball allows, the first that fools or
    /// the worst.
    fn record(&mut self, examples: &[usize], pixels: &[f32], logits: &[f32]) {
        let (size, classes) = (self.oracle.size(), self.oracle.classes());
        let rows = pixels.chunks(size).zip(logits.chunks(classes));
        for (&example, (x, logits)) in examples.iter().zip(rows) {
            self.found.forward[example] += 1;
            if !self.is_open(example) {
                continue;
            }
            let label = self.label(example);
            let fooled = predicted(logits) != Some(label);
            let margin = losses::margin(logits, label, &mut vec![0.0; classes]);
            let worse = fooled || margin > self.worst[example];
            if worse && self.ball.allows(x, self.clean(example)) {
                self.found.pixels[example * size..][..size].copy_from_slice(x);
                self.found.fooled[example] = fooled;
                self.worst[example] = margin;
            }
        }
    }

    /// What was found.
    pub fn finish(self) -> Found {
        self.found
    }
}

/// Wrong classes of an example, that of the largest logit first.
pub(super) fn targets(logits: &[f32], label: usize) -> Vec<usize> {
    let mut targets: Vec<usize> = (0..logits.len()).filter(|&j| j != label).collect();
    targets.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    targets
}

fn pack<'x>(images: impl Iterator<Item = (usize, &'x [f32])>) -> (Vec<usize>, Vec<f32>) {
    let (mut examples, mut pixels) = (Vec::new(), Vec::new());
    for (example, x) in images {
        examples.push(example);
        pixels.extend_from_slice(x);
    }
    (examples, pixels)
}
