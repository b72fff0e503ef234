//! Batch normalisation with the batch's own statistics, ReLU included if wanted.

use super::{Lanes, par_chunks, room};
use pulp::{Arch, Simd, WithSimd};

/// What the backward pass needs of a forward pass: `[mean, 1 / sqrt(var + eps)]` a channel.
pub type Stats = Vec<[f32; 2]>;

/// Sizes of an NCHW map: images, channels, pixels.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Pixels of a plane.
    pub plane: usize,
}

impl Sizes {
    fn planes(self, c: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.n).map(move |m| {
            let at = (m * self.c + c) * self.plane;
            at..at + self.plane
        })
    }
}

/// Mean and biased variance of every channel; the variance of a constant channel is 0 up to the
/// rounding of the mean.
pub fn statistics(x: &[f32], s: Sizes, eps: f32) -> Stats {
    let mut stats = vec![[0.0; 2]; s.c];
    par_chunks(&mut stats, 1, x.len(), |c, stats| {
        Arch::new().dispatch(Statistics {
            x,
            s,
            c,
            eps,
            out: &mut stats[0],
        });
    });
    stats
}

struct Statistics<'a> {
    x: &'a [f32],
    s: Sizes,
    c: usize,
    eps: f32,
    out: &'a mut [f32; 2],
}

impl WithSimd for Statistics<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // One reading of the map: a plane is in cache for its second sum, and planes are joined by
        // the formula of Chan, Golub and LeVeque.
        let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for plane in self.s.planes(self.c) {
            let x = &self.x[plane];
            let size = x.len() as f64;
            let here = Lanes::sum(x, |v| v) / size;
            let centre = here as f32;
            let around = Lanes::sum(x, |v| (v - centre) * (v - centre));
            let delta = here - mean;
            let all = count + size;
            squares += around + delta * delta * (count * size / all);
            mean += delta * (size / all);
            count = all;
        }
        let (mean, var) = (mean as f32, (squares / count) as f32);
        *self.out = [mean, 1.0 / (var + self.eps).sqrt()];
    }
}

/// `gamma * (x - mean) * rstd + beta`, then ReLU if `relu`. NaN passes both.
pub fn forward(
    x: &[f32],
    stats: &Stats,
    gamma: &[f32],
    beta: &[f32],
    relu: bool,
    s: Sizes,
) -> Vec<f32> {
    let mut out = room::take(x.len());
    par_chunks(&mut out, s.c * s.plane, x.len(), |m, out| {
        let x = &x[m * s.c * s.plane..][..out.len()];
        Arch::new().dispatch(Forward {
            x,
            stats,
            gamma,
            beta,
            relu,
            plane: s.plane,
            out,
        });
    });
    out
}

struct Forward<'a> {
    x: &'a [f32],
    stats: &'a Stats,
    gamma: &'a [f32],
    beta: &'a [f32],
    relu: bool,
    plane: usize,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let planes = self
            .x
            .chunks_exact(self.plane)
            .zip(self.out.chunks_exact_mut(self.plane));
        for (c, (x, out)) in planes.enumerate() {
            let [mean, rstd] = self.stats[c];
            let (scale, beta) = (self.gamma[c] * rstd, self.beta[c]);
            for (out, x) in out.iter_mut().zip(x) {
                let y = (x - mean) * scale + beta;
                *out = if self.relu && y <= 0.0 { 0.0 } else { y };
            }
        }
    }
}

/// Gradients of [`forward`] with respect to `x`, `gamma` and `beta`.
pub fn backward(
    x: &[f32],
    dy: &[f32],
    stats: &Stats,
    gamma: &[f32],
    beta: &[f32],
    relu: bool,
    s: Sizes,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    // Per channel: sum of g and of g * xhat, where g is the gradient behind the ReLU.
    let mut sums = vec![[0.0f32; 2]; s.c];
    par_chunks(&mut sums, 1, x.len(), |c, sums| {
        let pass = Pass {
            mean: stats[c][0],
            rstd: stats[c][1],
            gamma: gamma[c],
            beta: beta[c],
            relu,
        };
        Arch::new().dispatch(Sums {
            x,
            dy,
            s,
            c,
            pass,
            out: &mut sums[0],
        });
    });
    let mut dx = room::take(x.len());
    let count = (s.n * s.plane) as f32;
    par_chunks(&mut dx, s.c * s.plane, x.len(), |m, dx| {
        for (c, dx) in dx.chunks_exact_mut(s.plane).enumerate() {
            let at = (m * s.c + c) * s.plane;
            let (x, dy) = (&x[at..at + s.plane], &dy[at..at + s.plane]);
            let pass = Pass {
                mean: stats[c][0],
                rstd: stats[c][1],
                gamma: gamma[c],
                beta: beta[c],
                relu,
            };
            let means = sums[c].map(|v| v / count);
            Arch::new().dispatch(InputGradient {
                x,
                dy,
                pass,
                means,
                dx,
            });
        }
    });
    (
        dx,
        sums.iter().map(|s| s[1]).collect(),
        sums.iter().map(|s| s[0]).collect(),
    )
}

/// One channel's numbers.
#[derive(Clone, Copy)]
struct Pass {
    mean: f32,
    rstd: f32,
    gamma: f32,
    beta: f32,
    relu: bool,
}

impl Pass {
    /// The gradient behind the ReLU, and the normalised input.
    #[inline(always)]
    fn at(self, x: f32, dy: f32) -> (f32, f32) {
        let centred = x - self.mean;
        let y = centred * (self.gamma * self.rstd) + self.beta;
        (
            if self.relu && y <= 0.0 { 0.0 } else { dy },
            centred * self.rstd,
        )
    }
}

struct Sums<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    s: Sizes,
    c: usize,
    pass: Pass,
    out: &'a mut [f32; 2],
}

impl WithSimd for Sums<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut totals = [0.0f64; 2];
        for plane in self.s.planes(self.c) {
            let (x, dy) = (&self.x[plane.clone()], &self.dy[plane]);
            let sums = Lanes::sum2(x, dy, |x, dy| {
                let (g, xhat) = self.pass.at(x, dy);
                (g, g * xhat)
            });
            totals[0] += sums[0];
            totals[1] += sums[1];
        }
        *self.out = totals.map(|t| t as f32);
    }
}

struct InputGradient<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    pass: Pass,
    /// Means of g and of g * xhat over the channel.
    means: [f32; 2],
    dx: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let scale = self.pass.gamma * self.pass.rstd;
        for ((dx, x), dy) in self.dx.iter_mut().zip(self.x).zip(self.dy) {
            let (g, xhat) = self.pass.at(*x, *dy);
            *dx = scale * (g - self.means[0] - xhat * self.means[1]);
        }
    }
}
