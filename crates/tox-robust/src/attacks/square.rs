//! Square (Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box
//! adversarial attack via random search", ECCV 2020): random search with square changes at the border
//! of the ball, by the logits alone. A step is kept if it lowers the margin of the right class.
//!
//! Two choices are the paper's and not those of the code inside AutoAttack: squares may lie at the
//! last row and column too, and every image draws its own square.

use super::kind::numbered;
use super::pgd::longer;
use super::{Batch, Evasion, Facts, Found, Registered, losses};
use crate::ball::{Ball, Norm};
use crate::oracle::{Oracle, Points};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Iterations, of 10000, behind which the squares' share of the image is halved once more (section 5
/// of the paper).
const HALVED_BEHIND: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// Queries from which it counts as AutoAttack's, which makes 5000.
pub(crate) const QUERIES: usize = 1000;

/// Square: random search, no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Square {
    /// Forward passes of a restart.
    #[schemars(range(min = 1))]
    pub queries: usize,
    /// Runs.
    #[schemars(range(min = 1))]
    pub restarts: usize,
    /// Share of the pixels that the first squares cover.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub p_init: f64,
    /// Whether squares shrink along `queries`, as in the paper's program, or as if there were 10000,
    /// as in AutoAttack's.
    pub rescale: bool,
}

impl Default for Square {
    fn default() -> Self {
        Self {
            queries: 5000,
            restarts: 1,
            p_init: 0.8,
            rescale: true,
        }
    }
}

impl Registered for Square {
    const KIND: &'static str = "square";
    const NAMES: &'static [&'static str] = &[Self::KIND, "square500"];
    const VARIES: Option<&'static str> = Some("any number of queries");

    fn parse(name: &str) -> Option<Self> {
        let usual = Self::default();
        let queries = numbered(name, Self::KIND, usual.queries)?;
        Some(Self { queries, ..usual })
    }
}

impl Evasion for Square {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "Square",
            gradient: None,
            steps: self.queries,
            passes: self.queries as f64 * self.restarts as f64,
            thorough: self.queries >= QUERIES,
            ..Facts::default()
        }
    }

    /// With the queries, if anything is not as usual.
    fn name(&self) -> String {
        match *self == Self::default() {
            true => Self::KIND.to_owned(),
            false => format!("square{}", self.queries),
        }
    }

    fn shorten(&mut self, tries: usize) {
        (self.queries, self.restarts) = (tries, 1);
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        let runs = |square: &Self| (square.queries, square.restarts);
        let other = other.downcast_ref::<Self>();
        other.is_some_and(|other| longer(runs(self), runs(other)))
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        search(self, oracle, points, ball, seed)
    }
}

/// One image's search.
struct Search {
    /// Which example.
    example: usize,
    rng: ChaCha8Rng,
    /// The best point so far.
    best: Vec<f32>,
    /// Its margin, above 0 if it fools; minus infinity before the first query.
    margin: f64,
    /// The point to ask about next.
    next: Vec<f32>,
}

/// At most `queries` forward passes a restart.
fn search(
    config: &Square,
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    seed: u64,
) -> Found {
    let (shape, classes) = (oracle.shape(), oracle.classes());
    let mut batch = Batch::new(oracle, points, ball);
    for restart in 0..config.restarts {
        let mut searches: Vec<Search> = Vec::new();
        for example in batch.open() {
            searches.push(Search {
                example,
                rng: batch.stream(seed, "square", example, &[restart as u64]),
                best: batch.clean(example).to_vec(),
                margin: f64::NEG_INFINITY,
                next: batch.clean(example).to_vec(),
            });
        }
        for query in 0..config.queries {
            if searches.is_empty() {
                break;
            }
            let squares = Squares::new(shape, ball, share(config, query));
            searches.par_iter_mut().for_each(|search| {
                let size = search.next.len();
                let clean = &points.pixels[search.example * size..][..size];
                match (query, ball.norm) {
                    (0, Norm::Linf) => squares.stripes(search, clean),
                    (0, Norm::L2) => squares.tiles(search, clean),
                    (_, Norm::Linf) => squares.repaint(search, clean),
                    (_, Norm::L2) => squares.shift(search, clean),
                }
                ball.project(&mut search.next, clean);
            });
            let logits = batch.logits(searches.iter().map(|s| (s.example, s.next.as_slice())));
            for (search, logits) in searches.iter_mut().zip(logits.chunks_exact(classes)) {
                let label = batch.label(search.example);
                let margin = losses::margin(logits, label, &mut vec![0.0; classes]);
                if margin > search.margin {
                    search.margin = margin;
                    search.best.copy_from_slice(&search.next);
                }
            }
            searches.retain(|search| batch.is_open(search.example));
        }
    }
    batch.finish()
}

/// Share of the image that a square covers at this query.
fn share(config: &Square, query: usize) -> f64 {
    let i = query.saturating_sub(1);
    let iteration = match config.rescale {
        true => i * 10_000 / config.queries,
        false => i,
    };
    let halvings = HALVED_BEHIND.iter().filter(|&&at| iteration > at).count();
    config.p_init / f64::from(1 << halvings)
}

/// The changes of one step.
struct Squares {
    shape: [usize; 3],
    epsilon: f64,
    /// Side of a square.
    side: usize,
    /// The L2 change of a square, row-major; empty in L-inf.
    bump: Vec<f64>,
}

impl Squares {
    fn new(shape @ [_, h, w]: [usize; 3], ball: Ball, share: f64) -> Self {
        let side = (share * (h * w) as f64).sqrt().round() as usize;
        let side = match ball.norm {
            Norm::Linf => side.max(1),
            // Odd and at least 3, so that both halves of a bump have a middle.
            Norm::L2 => side.max(3) | 1,
        };
        let side = side.min(h).min(w);
        Self {
            shape,
            epsilon: ball.epsilon,
            side,
            bump: match ball.norm {
                Norm::Linf => Vec::new(),
                Norm::L2 => bump(side),
            },
        }
    }

    /// A square's first row and column.
    fn place(&self, rng: &mut ChaCha8Rng) -> (usize, usize) {
        let [_, h, w] = self.shape;
        let (last_row, last_column) = (h - self.side, w - self.side);
        (
            rng.random_range(0..=last_row),
            rng.random_range(0..=last_column),
        )
    }

    /// Indices of a square in one channel's map.
    fn cells(&self, (row, column): (usize, usize), side: usize) -> impl Iterator<Item = usize> {
        let w = self.shape[2];
        (row..row + side).flat_map(move |r| (column..column + side).map(move |c| r * w + c))
    }

    /// The start in L-inf: vertical stripes one pixel wide, of random signs.
    fn stripes(&self, search: &mut Search, clean: &[f32]) {
        let [_, h, w] = self.shape;
        let epsilon = self.epsilon as f32;
        for (map, clean) in search
            .next
            .chunks_exact_mut(h * w)
            .zip(clean.chunks_exact(h * w))
        {
            for column in 0..w {
                let change = sign(&mut search.rng) as f32 * epsilon;
                for i in (column..h * w).step_by(w) {
                    map[i] = clean[i] + change;
                }
            }
        }
    }

    /// A step in L-inf: a square, in every channel at clean plus or minus epsilon.
    fn repaint(&self, search: &mut Search, clean: &[f32]) {
        let [_, h, w] = self.shape;
        search.next.copy_from_slice(&search.best);
        let place = self.place(&mut search.rng);
        for (map, clean) in search
            .next
            .chunks_exact_mut(h * w)
            .zip(clean.chunks_exact(h * w))
        {
            let change = sign(&mut search.rng) as f32 * self.epsilon as f32;
            for i in self.cells(place, self.side) {
                map[i] = clean[i] + change;
            }
        }
    }

    /// The start in L2: a grid of bumps, five a side, of random signs, as long as epsilon.
    fn tiles(&self, search: &mut Search, clean: &[f32]) {
        let [channels, h, w] = self.shape;
        let side = (h.min(w) / 5).max(1);
        let (rows, columns) = ((h / side).min(5), (w / side).min(5));
        let (top, left) = ((h - rows * side) / 2, (w - columns * side) / 2);
        let bump = bump(side);
        let mut delta = vec![0.0; clean.len()];
        for tile in 0..rows * columns {
            let place = (top + tile / columns * side, left + tile % columns * side);
            let turned = search.rng.random();
            for channel in 0..channels {
                let sign = sign(&mut search.rng);
                for (j, i) in self.cells(place, side).enumerate() {
                    delta[channel * h * w + i] = sign * bump[turn(j, side, turned)];
                }
            }
        }
        put(search, clean, delta, self.epsilon);
    }

    /// A step in L2 (algorithm 3 of the paper): what the change of two squares weighs, and what of
    /// epsilon is unused, goes to the first of them, which gets a bump on top; the second gets 0.
    fn shift(&self, search: &mut Search, clean: &[f32]) {
        let [channels, h, w] = self.shape;
        let pairs = search.best.iter().zip(clean);
        let mut delta: Vec<f64> = pairs.map(|(x, c)| f64::from(*x) - f64::from(*c)).collect();
        let (to, from) = (self.place(&mut search.rng), self.place(&mut search.rng));
        let turned = search.rng.random();
        let used: f64 = delta.iter().map(|d| d * d).sum();
        let unused = (self.epsilon * self.epsilon - used).max(0.0) / channels as f64;
        for map in delta.chunks_exact_mut(h * w) {
            let own = self.cells(to, self.side).map(|i| map[i] * map[i]).sum();
            let mut both: f64 = own;
            for i in self.cells(from, self.side) {
                let inside = |at: usize, first: usize| (first..first + self.side).contains(&at);
                if !(inside(i / w, to.0) && inside(i % w, to.1)) {
                    both += map[i] * map[i];
                }
                // The first square is written next, from `old`, where the two overlap too.
            }
            let old: Vec<f64> = self.cells(to, self.side).map(|i| map[i]).collect();
            let sign = sign(&mut search.rng);
            let scale = 1.0 / (own.sqrt() + 1e-12);
            let new: Vec<f64> = old
                .iter()
                .enumerate()
                .map(|(j, old)| sign * self.bump[turn(j, self.side, turned)] + old * scale)
                .collect();
            let length = new.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-12;
            let target = (unused + both).sqrt();
            for i in self.cells(from, self.side) {
                map[i] = 0.0;
            }
            for (i, new) in self.cells(to, self.side).zip(new) {
                map[i] = new / length * target;
            }
        }
        put(search, clean, delta, self.epsilon);
    }
}

/// The search's next point: clean plus `delta`, stretched to the length epsilon.
fn put(search: &mut Search, clean: &[f32], delta: Vec<f64>, epsilon: f64) {
    let length = delta.iter().map(|d| d * d).sum::<f64>().sqrt() + 1e-12;
    for ((x, &c), d) in search.next.iter_mut().zip(clean).zip(delta) {
        *x = (f64::from(c) + epsilon * d / length).clamp(0.0, 1.0) as f32;
    }
}

fn sign(rng: &mut ChaCha8Rng) -> f64 {
    if rng.random() { 1.0 } else { -1.0 }
}

/// Index `j` of a square, or of the transposed one.
fn turn(j: usize, side: usize, turned: bool) -> usize {
    match turned {
        true => j % side * side + j / side,
        false => j,
    }
}

/// The change of a square in L2, of length 1: its upper half a hill, its lower half a valley, each of
/// nested rectangles that weigh 1, 1/4, 1/9, ... (section 4 of the paper).
fn bump(side: usize) -> Vec<f64> {
    let upper = hill(side / 2, side);
    let lower = hill(side - side / 2, side);
    let all = upper.into_iter().chain(lower.into_iter().map(|v| -v));
    unit(all.collect())
}

fn hill(height: usize, width: usize) -> Vec<f64> {
    let mut hill = vec![0.0; height * width];
    let (middle_row, middle_column) = (height / 2, width / 2);
    for ring in 0..=middle_row.max(middle_column) {
        let weight = 1.0 / ((ring + 1) * (ring + 1)) as f64;
        for row in middle_row.saturating_sub(ring)..(middle_row + ring + 1).min(height) {
            for column in middle_column.saturating_sub(ring)..(middle_column + ring + 1).min(width)
            {
                hill[row * width + column] += weight;
            }
        }
    }
    unit(hill)
}

fn unit(mut values: Vec<f64>) -> Vec<f64> {
    let length = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    values
        .iter_mut()
        .for_each(|v| *v /= length.max(f64::MIN_POSITIVE));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bumps of `fra31/auto-attack`'s `eta` for sides 1 and 3, and the shape of a larger one.
    #[test]
    fn bumps_are_the_published_ones() {
        assert_eq!(bump(1), [-1.0]);
        // Upper half 1 x 3: 1/4, 1 + 1/4, 1/4 over its length; lower half 2 x 3 likewise.
        let found = bump(3);
        let upper = [0.25, 1.25, 0.25].map(|v: f64| v / (1.6875f64).sqrt() / 2f64.sqrt());
        for (found, expected) in found.iter().zip(upper) {
            assert!((found - expected).abs() < 1e-12);
        }
        let lower: f64 = found[3..].iter().map(|v| v * v).sum();
        assert!((lower - 0.5).abs() < 1e-12 && found[3..].iter().all(|v| *v < 0.0));
    }

    #[test]
    fn squares_shrink_along_the_budget() {
        let config = Square {
            queries: 5000,
            restarts: 1,
            p_init: 0.8,
            rescale: true,
        };
        let at = |config: &Square, query| config.p_init / share(config, query);
        assert_eq!(at(&config, 1), 1.0);
        assert_eq!(at(&config, 7), 2.0);
        assert_eq!(at(&config, 4999), 512.0);
        let plain = Square {
            rescale: false,
            ..config
        };
        assert_eq!(at(&plain, 11), 1.0);
        assert_eq!(at(&plain, 12), 2.0);
        assert_eq!(at(&plain, 4999), 128.0);
    }
}
