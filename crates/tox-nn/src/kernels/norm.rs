//! Batch normalisation with the batch's own statistics, ReLU included if wanted: as an op, and as the
//! parts of it that a convolution makes of a map while it is in cache (see [`super::chain`]).

use super::{Lanes, buffer_pool, dispatch, par_chunks};
use pulp::{Simd, WithSimd};

/// Mean and biased variance of every channel.
pub type Stats = Vec<[f32; 2]>;

/// Sizes of an NCHW map: images, channels, pixels.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Pixels of a plane.
    pub plane: usize,
}

/// One channel's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    mean: f32,
    rstd: f32,
    gamma: f32,
    beta: f32,
    relu: bool,
}

impl Channel {
    /// Those of every channel; `eps` is added to the variance.
    pub fn all(stats: &[[f32; 2]], gamma: &[f32], beta: &[f32], eps: f32, relu: bool) -> Vec<Self> {
        assert!(
            stats.len() == gamma.len() && stats.len() == beta.len(),
            "channels"
        );
        let each = stats.iter().zip(gamma).zip(beta);
        each.map(|((&[mean, var], &gamma), &beta)| Self {
            mean,
            rstd: 1.0 / (var + eps).sqrt(),
            gamma,
            beta,
            relu,
        })
        .collect()
    }

    /// `gamma * (x - mean) * rstd + beta`, then ReLU. NaN passes both.
    #[inline(always)]
    pub fn value(self, x: f32) -> f32 {
        let y = (x - self.mean) * (self.gamma * self.rstd) + self.beta;
        if self.relu && y <= 0.0 { 0.0 } else { y }
    }

    /// The gradient behind the ReLU, and the normalised input.
    #[inline(always)]
    fn behind(self, x: f32, dy: f32) -> (f32, f32) {
        let centred = x - self.mean;
        let y = centred * (self.gamma * self.rstd) + self.beta;
        let dead = self.relu && y <= 0.0;
        (if dead { 0.0 } else { dy }, centred * self.rstd)
    }

    /// The gradient by `x`; `means` of the gradient behind the ReLU, and of its product with the
    /// normalised input, over the channel.
    #[inline(always)]
    pub fn gradient(self, x: f32, dy: f32, means: [f32; 2]) -> f32 {
        let (g, xhat) = self.behind(x, dy);
        self.gamma * self.rstd * (g - means[0] - xhat * means[1])
    }
}

/// Mean, and sum of squared distances from it, of every plane of `map`. A plane is read twice, so it
/// should be in cache, or small enough to be.
pub fn moments(map: &[f32], plane: usize, out: &mut [[f64; 2]]) {
    dispatch(Moments { map, plane, out });
}

struct Moments<'a> {
    map: &'a [f32],
    plane: usize,
    out: &'a mut [[f64; 2]],
}

impl WithSimd for Moments<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (x, out) in self.map.chunks_exact(self.plane).zip(self.out) {
            let mean = Lanes::sum(x, |v| v) / x.len() as f64;
            let centre = mean as f32;
            *out = [mean, Lanes::sum(x, |v| (v - centre) * (v - centre))];
        }
    }
}

/// Joins the [`moments`] of the planes of a map to mean and biased variance of its channels, by the
/// formula of Chan, Golub and LeVeque. The variance of a constant channel is 0 up to the rounding of
/// the mean.
pub fn join(moments: &[[f64; 2]], s: Sizes) -> Stats {
    let size = s.plane as f64;
    let channel = |c: usize| {
        let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for [here, around] in moments.iter().skip(c).step_by(s.c) {
            let delta = here - mean;
            let all = count + size;
            squares += around + delta * delta * (count * size / all);
            mean += delta * (size / all);
            count = all;
        }
        [mean as f32, (squares / count) as f32]
    };
    (0..s.c).map(channel).collect()
}

/// Mean and biased variance of every channel.
pub fn statistics(x: &[f32], s: Sizes) -> Stats {
    let mut all = vec![[0.0; 2]; s.n * s.c];
    par_chunks(&mut all, s.c, x.len(), |m, out| {
        moments(&x[m * s.c * s.plane..][..s.c * s.plane], s.plane, out);
    });
    join(&all, s)
}

/// The sum of several maps, in their order, and the [`moments`] of its planes.
pub fn sum(maps: &[&[f32]], s: Sizes) -> (Vec<f32>, Vec<[f64; 2]>) {
    let (size, work) = (s.c * s.plane, s.n * s.c * s.plane);
    let (mut out, mut all) = (buffer_pool::take(work), vec![[0.0; 2]; s.n * s.c]);
    let images = out.chunks_mut(size.max(1));
    let mut pieces: Vec<_> = images.zip(all.chunks_mut(s.c.max(1))).collect();
    par_chunks(&mut pieces, 1, work, |m, piece| {
        for (out, moments) in piece {
            dispatch(Sum {
                maps,
                at: m * size,
                out,
            });
            self::moments(out, s.plane, moments);
        }
    });
    drop(pieces);
    (out, all)
}

struct Sum<'a> {
    maps: &'a [&'a [f32]],
    at: usize,
    out: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Stretches that stay in the first-level cache while one map after the other is added.
        const STRETCH: usize = 1 << 11;
        for (i, out) in self.out.chunks_mut(STRETCH).enumerate() {
            let from = self.at + i * STRETCH;
            let here = from..from + out.len();
            if let Some((first, others)) = self.maps.split_first() {
                out.copy_from_slice(&first[here.clone()]);
                for map in others {
                    for (out, x) in out.iter_mut().zip(&map[here.clone()]) {
                        *out += x;
                    }
                }
            }
        }
    }
}

/// [`Channel::value`] of every value.
pub fn forward(x: &[f32], channels: &[Channel], s: Sizes) -> Vec<f32> {
    let mut out = buffer_pool::take(x.len());
    par_chunks(&mut out, s.c * s.plane, x.len(), |m, out| {
        let x = &x[m * s.c * s.plane..][..out.len()];
        let plane = s.plane;
        dispatch(Forward {
            x,
            channels,
            plane,
            out,
        });
    });
    out
}

struct Forward<'a> {
    x: &'a [f32],
    channels: &'a [Channel],
    plane: usize,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let x = self.x.chunks_exact(self.plane);
        let out = self.out.chunks_exact_mut(self.plane);
        for ((x, out), channel) in x.zip(out).zip(self.channels) {
            for (out, x) in out.iter_mut().zip(x) {
                *out = channel.value(*x);
            }
        }
    }
}

/// For every plane of the input `x` of a batch norm and the gradient `dy` of its output: the sums of
/// the gradient behind the ReLU, and of its product with the normalised input.
pub fn sums(x: &[f32], dy: &[f32], channels: &[Channel], plane: usize, out: &mut [[f64; 2]]) {
    dispatch(Sums {
        x,
        dy,
        channels,
        plane,
        out,
    });
}

struct Sums<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    channels: &'a [Channel],
    plane: usize,
    out: &'a mut [[f64; 2]],
}

impl WithSimd for Sums<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let x = self.x.chunks_exact(self.plane);
        let dy = self.dy.chunks_exact(self.plane);
        let channels = self.channels.iter().cycle();
        for (((x, dy), &channel), out) in x.zip(dy).zip(channels).zip(self.out) {
            *out = Lanes::sum2(x, dy, move |x, dy| {
                let (g, xhat) = channel.behind(x, dy);
                (g, g * xhat)
            });
        }
    }
}

/// Adds `x` to `to`.
pub fn add(x: &[f32], to: &mut [f32]) {
    dispatch(Add(x, to));
}

struct Add<'a>(&'a [f32], &'a mut [f32]);

impl WithSimd for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (to, x) in self.1.iter_mut().zip(self.0) {
            *to += x;
        }
    }
}

/// The gradient behind a ReLU of `x`, in place: 0 where `x` is at most 0, which NaN is not.
pub fn relu_backward(x: &[f32], dy: &mut [f32]) {
    dispatch(Silence(x, dy));
}

struct Silence<'a>(&'a [f32], &'a mut [f32]);

impl WithSimd for Silence<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (dy, x) in self.1.iter_mut().zip(self.0) {
            *dy = if *x <= 0.0 { 0.0 } else { *dy };
        }
    }
}

/// What batch norm's backward pass knows of each channel once all [`sums`] are there.
pub struct Totals {
    /// The gradient of gamma.
    pub gamma: Vec<f32>,
    /// The gradient of beta.
    pub beta: Vec<f32>,
    /// For [`Channel::gradient`].
    pub means: Vec<[f32; 2]>,
}

impl Totals {
    /// The same where mean and variance are given: the gradient by the input goes through neither.
    pub fn given(self) -> Self {
        let means = vec![[0.0; 2]; self.means.len()];
        Self { means, ..self }
    }

    /// Of a batch norm whose mean and variance are given, without those of its weights.
    pub fn none(channels: usize) -> Self {
        Self {
            gamma: Vec::new(),
            beta: Vec::new(),
            means: vec![[0.0; 2]; channels],
        }
    }

    /// Of the sums of all planes of a map, image by image.
    pub fn of(sums: &[[f64; 2]], s: Sizes) -> Self {
        let count = (s.n * s.plane) as f32;
        let channel = |c: usize| {
            let planes = sums.iter().skip(c).step_by(s.c);
            let total = planes.fold([0.0; 2], |t, s| [t[0] + s[0], t[1] + s[1]]);
            total.map(|t| t as f32)
        };
        let totals: Vec<[f32; 2]> = (0..s.c).map(channel).collect();
        Self {
            gamma: totals.iter().map(|t| t[1]).collect(),
            beta: totals.iter().map(|t| t[0]).collect(),
            means: totals.iter().map(|t| t.map(|v| v / count)).collect(),
        }
    }
}

/// [`Totals`] of the input `x` and the output's gradient `dy`.
pub fn totals(x: &[f32], dy: &[f32], channels: &[Channel], s: Sizes) -> Totals {
    let mut all = vec![[0.0; 2]; s.n * s.c];
    par_chunks(&mut all, s.c, x.len(), |m, out| {
        let image = m * s.c * s.plane..(m + 1) * s.c * s.plane;
        sums(&x[image.clone()], &dy[image], channels, s.plane, out);
    });
    Totals::of(&all, s)
}

/// The gradient of [`forward`] by `x`, to which `plus` is added.
pub fn backward(
    x: &[f32],
    dy: &[f32],
    channels: &[Channel],
    totals: &Totals,
    s: Sizes,
    plus: Option<&[f32]>,
) -> Vec<f32> {
    let mut dx = buffer_pool::take(x.len());
    par_chunks(&mut dx, s.c * s.plane, x.len(), |m, dx| {
        let at = m * s.c * s.plane;
        dispatch(InputGradient {
            x: &x[at..at + dx.len()],
            dy: &dy[at..at + dx.len()],
            channels,
            means: &totals.means,
            plane: s.plane,
            dx,
        });
        if let Some(plus) = plus {
            add(&plus[at..at + dx.len()], dx);
        }
    });
    dx
}

struct InputGradient<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    channels: &'a [Channel],
    means: &'a [[f32; 2]],
    plane: usize,
    dx: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let plane = self.plane;
        for (c, dx) in self.dx.chunks_exact_mut(plane).enumerate() {
            let (channel, means) = (self.channels[c], self.means[c]);
            let (x, dy) = (&self.x[c * plane..], &self.dy[c * plane..]);
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = channel.gradient(*x, *dy, means);
            }
        }
    }
}
