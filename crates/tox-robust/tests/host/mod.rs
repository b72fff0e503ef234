//! A small classifier in host arithmetic, linear or curved, with images that it gets right.

use rand::RngExt;
use std::cell::Cell;
use tox_data::rng::stream;
use tox_robust::attacks::predicted;
use tox_robust::ball::{Ball, Norm};
use tox_robust::oracle::{Cotangent, Oracle, Points};

pub const SIZE: usize = 12;

/// Logits W x + b, or W tanh(6 V (x - 1/2)) + b; sums in f64.
pub struct Host {
    /// Rows of `SIZE` weights, one a hidden unit; none: a linear model.
    pub hidden: Option<Vec<[f64; SIZE]>>,
    /// A row a class.
    pub weights: Vec<Vec<f64>>,
    pub bias: Vec<f64>,
    /// Rows of pixels that passes were asked for: (forward, backward).
    pub rows: Cell<(u32, u32)>,
}

impl Host {
    /// Classes 0 and 1 on either side of a plane; two more, where asked for, that are always far
    /// below, so that DLR has its classes and every loss its largest slope along the plane's normal.
    pub fn linear(seed: u64, classes: usize) -> Self {
        let mut rng = stream(seed, "test/linear", &[]);
        let mut w = vec![0.0; SIZE];
        for (j, w) in w.iter_mut().enumerate() {
            let sign = if rng.random() { 1.0 } else { -1.0 };
            // A pixel that does not matter is among them.
            *w = if j == 5 {
                0.0
            } else {
                sign * rng.random_range(0.1..1.0)
            };
        }
        let bias = -0.5 * w.iter().sum::<f64>();
        let mut weights = vec![vec![0.0; SIZE]; classes];
        weights[0] = w.iter().map(|w| -w).collect();
        weights[1] = w;
        let mut all = vec![-100.0; classes];
        (all[0], all[1]) = (-bias, bias);
        Self {
            hidden: None,
            weights,
            bias: all,
            rows: Cell::new((0, 0)),
        }
    }

    pub fn curved(seed: u64) -> Self {
        let mut rng = stream(seed, "test/curved", &[]);
        let mut draw = || rng.random_range(-1.0..1.0);
        let hidden = (0..10).map(|_| std::array::from_fn(|_| draw())).collect();
        let weights = (0..5).map(|_| (0..10).map(|_| draw()).collect()).collect();
        Self {
            hidden: Some(hidden),
            weights,
            bias: vec![0.0; 5],
            rows: Cell::new((0, 0)),
        }
    }

    fn features(&self, x: &[f32]) -> Vec<f64> {
        let wide = x.iter().map(|&x| f64::from(x));
        match &self.hidden {
            None => wide.collect(),
            Some(hidden) => {
                let x: Vec<f64> = wide.map(|x| 6.0 * (x - 0.5)).collect();
                hidden.iter().map(|v| dot(v, &x).tanh()).collect()
            }
        }
    }

    pub fn row(&self, x: &[f32]) -> Vec<f32> {
        let features = self.features(x);
        let rows = self.weights.iter().zip(&self.bias);
        rows.map(|(w, b)| (dot(w, &features) + b) as f32).collect()
    }
}

impl Oracle for Host {
    fn shape(&self) -> [usize; 3] {
        [1, 3, SIZE / 3]
    }

    fn classes(&self) -> usize {
        self.bias.len()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let (forward, backward) = self.rows.get();
        self.rows
            .set((forward + (pixels.len() / SIZE) as u32, backward));
        pixels.chunks(SIZE).flat_map(|x| self.row(x)).collect()
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let logits = self.logits(pixels);
        let (forward, backward) = self.rows.get();
        self.rows
            .set((forward, backward + (pixels.len() / SIZE) as u32));
        let cotangent = cotangent(&logits);
        let mut gradient = Vec::new();
        for (x, d) in pixels.chunks(SIZE).zip(cotangent.chunks(self.classes())) {
            let mut by_feature = vec![0.0; self.weights[0].len()];
            for (w, &d) in self.weights.iter().zip(d) {
                by_feature
                    .iter_mut()
                    .zip(w)
                    .for_each(|(f, w)| *f += f64::from(d) * w);
            }
            match &self.hidden {
                None => gradient.extend(by_feature.iter().map(|&g| g as f32)),
                Some(hidden) => {
                    let features = self.features(x);
                    gradient.extend((0..SIZE).map(|j| {
                        let units = hidden.iter().zip(&features).zip(&by_feature);
                        units
                            .map(|((v, t), f)| 6.0 * v[j] * (1.0 - t * t) * f)
                            .sum::<f64>() as f32
                    }));
                }
            }
        }
        (logits, gradient)
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Images with the classes that the model sees in them.
pub struct Data {
    pub pixels: Vec<f32>,
    pub labels: Vec<u16>,
    pub rows: Vec<u32>,
}

impl Data {
    pub fn new(oracle: &Host, n: usize, range: std::ops::RangeInclusive<f32>) -> Self {
        let mut rng = stream(3, "test/images", &[]);
        let mut pixels: Vec<f32> = (0..n * SIZE)
            .map(|_| rng.random_range(range.clone()))
            .collect();
        if *range.start() == 0.0 {
            // Corners of the image range, where clipping binds.
            pixels.iter_mut().step_by(7).for_each(|x| *x = x.round());
        }
        let label = |x| predicted(&oracle.row(x)).unwrap() as u16;
        let labels = pixels.chunks(SIZE).map(label).collect();
        let rows = (100..100 + n as u32).collect();
        Self {
            pixels,
            labels,
            rows,
        }
    }

    pub fn points(&self) -> Points<'_> {
        self.part(0..self.labels.len())
    }

    pub fn part(&self, part: std::ops::Range<usize>) -> Points<'_> {
        Points {
            pixels: &self.pixels[part.start * SIZE..part.end * SIZE],
            labels: &self.labels[part.clone()],
            rows: &self.rows[part],
        }
    }
}

pub fn ball(norm: Norm, epsilon: f64) -> Ball {
    Ball { norm, epsilon }
}
