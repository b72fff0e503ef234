//! How far tasks agree on which network is better: Spearman's rank correlation.

use super::gather::{Data, Gathered, Net};
use tox_report::stats::spearman;

/// [`spearman`] of pairs; `None` for fewer than three, which agree or do not by chance.
pub fn agreement(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
    spearman(&a, &b).filter(|_| a.len() > 2)
}

/// The networks that two data sets share, by one number each.
fn shared(a: &Data, b: &Data, of: impl Fn(&Net, &Net) -> (f64, f64)) -> Option<f64> {
    let twin = |net: &Net| {
        let at = b.nets.binary_search_by(|n| n.shape.cmp(&net.shape)).ok()?;
        Some(of(net, &b.nets[at]))
    };
    agreement(a.nets.iter().filter_map(twin))
}

/// Of the same task between two seeds, the mean over pairs of seeds: how far chance lets the order
/// be known. `None` with one seed.
fn again(data: &Data, attack: usize) -> Option<f64> {
    let mut seeds: Vec<u64> = data
        .nets
        .iter()
        .flat_map(|n| n.seeds.iter().map(|s| s.0))
        .collect();
    seeds.sort_unstable();
    seeds.dedup();
    let at = |net: &Net, seed: u64| {
        let found = net.seeds.iter().find(|s| s.0 == seed);
        found.map(|s| s.1[attack])
    };
    let mut all = Vec::new();
    for (i, a) in seeds.iter().enumerate() {
        for b in &seeds[i + 1..] {
            let pairs = data.nets.iter();
            all.extend(agreement(
                pairs.filter_map(|n| Some((at(n, *a)?, at(n, *b)?))),
            ));
        }
    }
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// Correlations between tasks that differ in one part.
pub struct Matrix {
    /// What they share.
    pub title: String,
    /// What they differ in: the columns, and the first ones of the rows.
    pub names: Vec<String>,
    /// Below and on the diagonal, row by row.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl Matrix {
    fn new(title: String, names: Vec<String>, of: impl Fn(usize, usize) -> Option<f64>) -> Self {
        let row = |i: usize| (0..=i).map(|j| of(i, j)).collect();
        Self {
            title,
            rows: (0..names.len()).map(row).collect(),
            names,
        }
    }

    /// Correlations of pairs that differ.
    pub fn off(&self) -> impl Iterator<Item = f64> + '_ {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(i, row)| row[..i].iter().copied().flatten())
    }
}

/// Between attacks, clean among them: one a data set.
pub fn attacks(all: &Gathered) -> Vec<Matrix> {
    let value = |net: &Net, i: usize| match i {
        0 => net.clean,
        i => net.robust[i - 1],
    };
    let names: Vec<String> = ["clean".to_owned()]
        .into_iter()
        .chain(all.attacks.clone())
        .collect();
    let data = all.data.iter().filter(|d| !d.nets.is_empty());
    data.map(|d| {
        Matrix::new(d.name.clone(), names.clone(), |i, j| match i == j {
            true if i == 0 => None,
            true => again(d, i - 1),
            false => shared(d, d, |a, b| (value(a, i), value(b, j))),
        })
    })
    .collect()
}

/// Between data sets: one an attack.
pub fn data(all: &Gathered) -> Vec<Matrix> {
    let sets: Vec<&Data> = all.data.iter().filter(|d| !d.nets.is_empty()).collect();
    if sets.len() < 2 {
        return Vec::new();
    }
    let names: Vec<String> = sets.iter().map(|d| d.name.clone()).collect();
    let of = |(attack, name): (usize, &String)| {
        Matrix::new(name.clone(), names.clone(), |i, j| match i == j {
            true => again(sets[i], attack),
            false => shared(sets[i], sets[j], |a, b| {
                (a.robust[attack], b.robust[attack])
            }),
        })
    };
    all.attacks.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlations_by_hand() {
        let of = |b: [f64; 4]| agreement([1.0, 2.0, 30.0, 40.0].into_iter().zip(b));
        assert_eq!(of([5.0, 6.0, 7.0, 80.0]), Some(1.0));
        assert_eq!(of([8.0, 7.0, 6.0, 5.0]), Some(-1.0));
        // Ranks 2 1 4 3: 1 - 6 * 4 / (4 * 15).
        assert!((of([6.0, 5.0, 8.0, 7.0]).unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(of([1.0; 4]), None);
        assert_eq!(agreement([(1.0, 1.0), (2.0, 2.0)].into_iter()), None);
    }
}
