//! Regression trees (CART, Breiman et al. 1984) and an ensemble of them.
//!
//! A tree splits the samples at the threshold that leaves the least squared error, until a leaf's
//! targets are equal or its rows are; a leaf predicts the mean of its targets. NSGANetV2's published
//! code averages 5,000 such trees, each grown in full (scikit-learn's `DecisionTreeRegressor` as it
//! is) on all samples but on a random subset of the columns, whose size is uniform in `1..=d`; there
//! is no bootstrap. (Read from forks of that code that keep the file.)
//!
//! Where several splits are equally good, scikit-learn takes one at random; here it is the first
//! of the tree's columns in their (random) order, and of that the lowest threshold.

use super::{SurrogateError, check, check_rows};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tox_data::ranges::OutOfRange;

/// Trees of NSGANetV2's ensemble.
pub const TREES: usize = 5000;

/// In place of a column's number: a leaf.
const LEAF: u32 = u32::MAX;

/// Splits are equally good if their squared errors differ by less than this share of the whole.
const SAME: f64 = 1e-12;

/// A leaf, or a split of which the lower side is node `below` and the other one `below + 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    column: u32,
    below: u32,
    /// A leaf's prediction, a split's threshold; rows up to the threshold are on the lower side.
    value: f64,
}

/// One regression tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    width: usize,
    nodes: Vec<Node>,
}

/// The samples, each column's values replaced by their ranks.
struct Ranked<'a> {
    targets: &'a [f64],
    columns: Vec<Ranks>,
}

/// A column: its different values, ascending, and which of them each row has.
struct Ranks {
    values: Vec<f64>,
    of_row: Vec<u32>,
}

impl<'a> Ranked<'a> {
    fn new(rows: &[Vec<f64>], targets: &'a [f64], width: usize) -> Self {
        let ranks = |column: usize| {
            let mut values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            let rank = |row: &Vec<f64>| values.partition_point(|v| *v < row[column]) as u32;
            Ranks {
                of_row: rows.iter().map(rank).collect(),
                values,
            }
        };
        Self {
            targets,
            columns: (0..width).map(ranks).collect(),
        }
    }

    fn mean(&self, samples: &[usize]) -> f64 {
        let sum: f64 = samples.iter().map(|&s| self.targets[s]).sum();
        sum / samples.len() as f64
    }

    /// The best split of `samples` by one of `columns`: column, rank of the last value below it,
    /// and threshold. `None` if their targets or their rows are all equal. `buckets` is scratch.
    fn split(
        &self,
        samples: &[usize],
        columns: &[usize],
        buckets: &mut Vec<(f64, f64)>,
    ) -> Option<(usize, u32, f64)> {
        let first = self.targets[*samples.first()?];
        if samples.iter().all(|&s| self.targets[s] == first) {
            return None;
        }
        if let [a, b] = *samples {
            return self.separate(a, b, columns);
        }
        let mean = self.mean(samples);
        let all = samples.len() as f64;
        let squares = samples.iter().map(|&s| (self.targets[s] - mean).powi(2));
        let same = SAME * squares.sum::<f64>();
        let mut best: Option<(f64, (usize, usize, usize))> = None;
        for &column in columns {
            let Ranks { values, of_row } = &self.columns[column];
            buckets.clear();
            buckets.resize(values.len(), (0.0, 0.0));
            for &s in samples {
                let (count, sum) = &mut buckets[of_row[s] as usize];
                *count += 1.0;
                *sum += self.targets[s] - mean;
            }
            let total: f64 = buckets.iter().map(|(_, sum)| sum).sum();
            // the last value seen, and what lies up to it
            let (mut low, mut count, mut sum) = (0, 0.0, 0.0);
            for (rank, bucket) in buckets.iter().enumerate() {
                if bucket.0 == 0.0 {
                    continue;
                }
                if count > 0.0 {
                    // squared error less a constant, negated
                    let rest = total - sum;
                    let gain = sum * sum / count + rest * rest / (all - count);
                    if best.is_none_or(|(most, _)| gain > most + same) {
                        best = Some((gain, (column, low, rank)));
                    }
                }
                low = rank;
                count += bucket.0;
                sum += bucket.1;
            }
        }
        best.map(|(_, (column, low, high))| self.at(column, low, high))
    }

    /// Two samples: every column in which they differ splits them equally well.
    fn separate(&self, a: usize, b: usize, columns: &[usize]) -> Option<(usize, u32, f64)> {
        columns.iter().find_map(|&column| {
            let of_row = &self.columns[column].of_row;
            let (a, b) = (of_row[a] as usize, of_row[b] as usize);
            (a != b).then(|| self.at(column, a.min(b), a.max(b)))
        })
    }

    /// The split between two ranks of a column.
    fn at(&self, column: usize, low: usize, high: usize) -> (usize, u32, f64) {
        let values = &self.columns[column].values;
        (column, low as u32, between(values[low], values[high]))
    }

    fn grow(&self, columns: &[usize]) -> Vec<Node> {
        let leaf = |value| Node {
            column: LEAF,
            below: 0,
            value,
        };
        let mut nodes = vec![leaf(0.0)];
        let mut order: Vec<usize> = (0..self.targets.len()).collect();
        let mut buckets = Vec::new();
        // nodes that are not done, each with its part of the order
        let mut open = vec![(0, 0..order.len())];
        while let Some((at, part)) = open.pop() {
            let samples = &mut order[part.clone()];
            let Some((column, low, threshold)) = self.split(samples, columns, &mut buckets) else {
                nodes[at] = leaf(self.leaf_value(samples));
                continue;
            };
            let of_row = &self.columns[column].of_row;
            let mut below = 0;
            for i in 0..samples.len() {
                if of_row[samples[i]] <= low {
                    samples.swap(i, below);
                    below += 1;
                }
            }
            let child = nodes.len();
            nodes[at] = Node {
                column: column as u32,
                below: child as u32,
                value: threshold,
            };
            nodes.extend([leaf(0.0), leaf(0.0)]);
            let middle = part.start + below;
            open.push((child, part.start..middle));
            open.push((child + 1, middle..part.end));
        }
        nodes
    }

    /// The mean, without rounding where all targets are equal.
    fn leaf_value(&self, samples: &[usize]) -> f64 {
        let first = samples.first().map_or(0.0, |&s| self.targets[s]);
        if samples.iter().all(|&s| self.targets[s] == first) {
            return first;
        }
        self.mean(samples)
    }
}

/// The middle of two neighbouring values, or the lower one if rounding makes it the upper one.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if low <= middle && middle < high {
        middle
    } else {
        low
    }
}

impl Tree {
    /// Grows a tree on all columns, in their order.
    ///
    /// # Errors
    /// When there is no sample, or samples are not as [`crate::surrogate`] wants them.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64]) -> Result<Self, SurrogateError> {
        let width = check("a regression tree", rows, targets)?;
        let columns: Vec<usize> = (0..width).collect();
        Ok(Self {
            width,
            nodes: Ranked::new(rows, targets, width).grow(&columns),
        })
    }

    /// Predicted targets.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>, SurrogateError> {
        check_rows(rows, self.width)?;
        Ok(rows.iter().map(|row| value(&self.nodes, row)).collect())
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|n| n.column == LEAF).count()
    }
}

fn value(nodes: &[Node], row: &[f64]) -> f64 {
    let mut node = nodes[0];
    while node.column != LEAF {
        let above = row[node.column as usize] > node.value;
        node = nodes[node.below as usize + usize::from(above)];
    }
    node.value
}

/// An ensemble of trees, each on a random subset of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Carts {
    width: usize,
    trees: Vec<Vec<Node>>,
}

impl Carts {
    /// Grows `trees` trees.
    ///
    /// # Errors
    /// When there is no sample, samples are not as [`crate::surrogate`] wants them, or `trees` is 0.
    pub fn fit(
        rows: &[Vec<f64>],
        targets: &[f64],
        trees: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, SurrogateError> {
        let width = check("an ensemble of regression trees", rows, targets)?;
        OutOfRange::unless(trees > 0, "trees", trees, "at least 1")?;
        let ranked = Ranked::new(rows, targets, width);
        let mut columns: Vec<usize> = (0..width).collect();
        let mut tree = |_| {
            columns.shuffle(rng);
            let used = rng.random_range(1..=width.max(1)).min(width);
            ranked.grow(&columns[..used])
        };
        Ok(Self {
            width,
            trees: (0..trees).map(&mut tree).collect(),
        })
    }

    /// Predicted targets: means over the trees.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>, SurrogateError> {
        check_rows(rows, self.width)?;
        let mean = |row: &Vec<f64>| {
            let sum: f64 = self.trees.iter().map(|nodes| value(nodes, row)).sum();
            sum / self.trees.len() as f64
        };
        Ok(rows.iter().map(mean).collect())
    }
}
