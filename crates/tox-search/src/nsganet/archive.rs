//! What was evaluated so far, what to evaluate next, and which of it to take.

use super::config::{Choice, NsganetConfig};
use super::inputs::NsganetError;
use crate::genes::{Architecture, GeneSpace};
use crate::nas::Direction;
use crate::nsga::hypervolume::hypervolume;
use crate::nsga::{Genome, NsgaError, search, sort, subset};
use crate::surrogate::kendall::tau_b;
use crate::surrogate::select::{self, Score};
use crate::surrogate::{Kind, SurrogateError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tox_data::rng::stream;

/// Random architectures tried for every one that is wanted.
const TRIES: usize = 100;

/// How much worse than the worst of the first archive the hypervolume's reference is.
const REFERENCE: f64 = 1.01;

/// An evaluated architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its genes, see [`GeneSpace::encode`].
    pub genes: Genome,
    /// What they mean.
    pub architecture: Architecture,
    /// Its accuracy on the validation images, in percent; 0 if it diverged.
    pub accuracy: f64,
    /// Its multiply-adds, in millions.
    pub macs: f64,
    /// In which round it was evaluated: from 1, or 0 before the first.
    pub round: usize,
}

impl Entry {
    /// What is minimised: error in percent, in an anti-search accuracy, and multiply-adds in millions.
    pub fn objectives(&self, direction: Direction) -> [f64; 2] {
        let first = match direction {
            Direction::Search => 100.0 - self.accuracy,
            Direction::AntiSearch => self.accuracy,
        };
        [first, self.macs]
    }
}

/// How a round went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// The predictor that it used.
    pub winner: Kind,
    /// How the predictors did in cross-validation.
    pub scores: Vec<Score>,
    /// Kendall's tau-b of the predicted and the measured errors of the round's architectures; none where
    /// undefined.
    pub tau: Option<f64>,
    /// Architectures that were drawn at random because NSGA-II had too few new ones.
    pub drawn: usize,
    /// Hypervolume of the archive after it, as a share: the reference is 1.01 times the worst of the
    /// architectures that were evaluated before the first round.
    pub hypervolume: f64,
}

/// What a round is to evaluate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    pub winner: Kind,
    pub scores: Vec<Score>,
    /// Genes and predicted errors.
    pub candidates: Vec<(Genome, f64)>,
    /// How many of them, the last ones, were drawn at random.
    pub drawn: usize,
}

/// Genes of the first architectures: the smallest and the largest if there are such, then random ones,
/// all different; fewer than asked for if the space has not as many.
///
/// # Errors
/// A space without architectures.
pub fn initial(space: &GeneSpace, wanted: usize, seed: u64) -> Result<Vec<Genome>, NsganetError> {
    let (mut first, mut seen) = (Vec::new(), BTreeSet::new());
    for architecture in space.extremes().into_iter().flatten().take(wanted) {
        let genes = space.encode(&architecture)?;
        if seen.insert(genes.clone()) {
            first.push(genes);
        }
    }
    draw(space, wanted, (&mut first, &mut seen), |i| {
        stream(seed, "nsganet/initial", &[i])
    })?;
    Ok(first)
}

/// Adds random architectures that were not seen.
fn draw<R: rand::Rng>(
    space: &GeneSpace,
    wanted: usize,
    (genomes, seen): (&mut Vec<Genome>, &mut BTreeSet<Genome>),
    rng: impl Fn(u64) -> R,
) -> Result<(), NsganetError> {
    for i in 0..(wanted * TRIES) as u64 {
        if genomes.len() >= wanted {
            break;
        }
        let genes = space.encode(&space.random(&mut rng(i)))?;
        if seen.insert(genes.clone()) {
            genomes.push(genes);
        }
    }
    Ok(())
}

fn objectives(archive: &[Entry], direction: Direction) -> Vec<[f64; 2]> {
    let of = |entry: &Entry| entry.objectives(direction);
    archive.iter().map(of).collect()
}

/// The places of the architectures that none dominates.
pub fn front(archive: &[Entry], direction: Direction) -> Result<Vec<usize>, NsgaError> {
    let fronts = sort::fronts(&objectives(archive, direction))?;
    Ok(fronts.into_iter().next().unwrap_or_default())
}

fn row(genes: &[usize]) -> Vec<f64> {
    genes.iter().map(|gene| *gene as f64).collect()
}

/// What to evaluate in a round (from 1): the predictor that ranks the archive best in cross-validation is
/// fitted to it; NSGA-II, from the archive's front, minimises predicted error and multiply-adds; of what
/// it finds and the archive does not have, those are chosen that make the front's multiply-adds most
/// even. Networks count, not genes: what decodes to a network of the archive, or to one that NSGA-II
/// found before, is left out. If too few are left the others are drawn at random, where the published
/// code fails.
///
/// # Errors
/// No predictor that can be fitted, a network that cannot be counted.
pub fn propose(
    space: &GeneSpace,
    archive: &[Entry],
    (config, direction): (&NsganetConfig, Direction),
    macs: &dyn Fn(&Architecture) -> Result<f64, NsganetError>,
    (seed, round): (u64, usize),
) -> Result<Proposal, NsganetError> {
    let key = (seed, round as u64);
    let nsga = |source: NsgaError| NsganetError::Nsga { round, source };
    let predictor = |source: SurrogateError| NsganetError::Predictor { round, source };
    let rows: Vec<Vec<f64>> = archive.iter().map(|entry| row(&entry.genes)).collect();
    let errors = objectives(archive, direction);
    let errors: Vec<f64> = errors.iter().map(|[error, _]| *error).collect();
    let (pool, settings) = (&config.predictors, &config.predictor);
    let fitted = select::fit(pool, &rows, &errors, settings, seed, key.1).map_err(predictor)?;
    let best = front(archive, direction).map_err(nsga)?;
    let start: Vec<Genome> = best.iter().map(|i| archive[*i].genes.clone()).collect();
    let evaluate = |genomes: &[Genome]| -> Result<Vec<Vec<f64>>, Stopped> {
        let seen = genomes
            .iter()
            .map(|genes| Ok(row(&space.canonical(genes)?)));
        let rows = seen.collect::<Result<Vec<_>, NsganetError>>()?;
        let errors = fitted.model.predict(&rows).map_err(predictor)?;
        let pairs = genomes.iter().zip(errors);
        let one = |(genes, error): (&Genome, f64)| {
            let architecture = space.decode(genes).map_err(NsganetError::from)?;
            Ok(vec![error, macs(&architecture)?])
        };
        pairs.map(one).collect()
    };
    let members = search::minimise(&start, &space.choices(), &config.search, key, evaluate);
    let members = members.map_err(|stopped| match stopped {
        Stopped::Nsga(source) => nsga(source),
        Stopped::Other(error) => *error,
    })?;
    let mut seen: BTreeSet<Genome> = archive.iter().map(|e| e.genes.clone()).collect();
    let mut fresh = Vec::new();
    for member in members {
        let genes = space.encode(&space.decode(&member.genome)?)?;
        if seen.insert(genes.clone()) {
            fresh.push((genes, member.objectives));
        }
    }
    let of_front: Vec<f64> = best.iter().map(|i| archive[*i].macs).collect();
    let of_fresh: Vec<f64> = fresh.iter().map(|(_, objectives)| objectives[1]).collect();
    let chosen = subset::select(&of_front, &of_fresh, config.candidates, key).map_err(nsga)?;
    let chosen = chosen
        .into_iter()
        .map(|i| (fresh[i].0.clone(), fresh[i].1[0]));
    let mut candidates: Vec<(Genome, f64)> = chosen.collect();
    let missing = config.candidates - candidates.len();
    let mut others = Vec::new();
    draw(space, missing, (&mut others, &mut seen), |i| {
        stream(seed, "nsganet/drawn", &[key.1, i])
    })?;
    let rows: Vec<Vec<f64>> = others.iter().map(|genes| row(genes)).collect();
    let errors = fitted.model.predict(&rows).map_err(predictor)?;
    let drawn = others.len();
    candidates.extend(others.into_iter().zip(errors));
    Ok(Proposal {
        winner: fitted.winner,
        scores: fitted.scores,
        candidates,
        drawn,
    })
}

/// What ends NSGA-II: its own error or one of the evaluation.
enum Stopped {
    Nsga(NsgaError),
    Other(Box<NsganetError>),
}

impl From<NsgaError> for Stopped {
    fn from(error: NsgaError) -> Self {
        Self::Nsga(error)
    }
}

impl From<NsganetError> for Stopped {
    fn from(error: NsganetError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Proposal {
    /// The round, when all its architectures are in the archive.
    pub fn close(self, archive: &[Entry], direction: Direction) -> Result<Round, NsgaError> {
        let pairs = self.candidates.iter().filter_map(|(genes, predicted)| {
            let entry = archive.iter().find(|entry| entry.genes == *genes)?;
            Some((*predicted, entry.objectives(direction)[0]))
        });
        let pairs: Vec<(f64, f64)> = pairs.collect();
        Ok(Round {
            winner: self.winner,
            scores: self.scores,
            tau: tau_b(&pairs),
            drawn: self.drawn,
            hypervolume: share(archive, direction)?,
        })
    }
}

/// The hypervolume of an archive as a share, see [`Round::hypervolume`].
pub fn share(archive: &[Entry], direction: Direction) -> Result<f64, NsgaError> {
    let first = archive.iter().filter(|entry| entry.round == 0);
    let first = first.map(|entry| entry.objectives(direction));
    let worst = first.fold([0.0f64; 2], |worst, o| {
        [worst[0].max(o[0]), worst[1].max(o[1])]
    });
    let reference = worst.map(|w| REFERENCE * w);
    let volume = hypervolume(&objectives(archive, direction), &reference)?;
    let whole = reference[0] * reference[1];
    Ok(if whole > 0.0 { volume / whole } else { 0.0 })
}

/// The place of the result, the first of equals.
pub fn choose(
    archive: &[Entry],
    (choice, direction): (Choice, Direction),
) -> Result<usize, NsgaError> {
    let front = front(archive, direction)?;
    let of = |i: &usize| archive[*i].objectives(direction);
    let points: Vec<[f64; 2]> = front.iter().map(of).collect();
    let merits: Vec<f64> = match choice {
        Choice::Accuracy => points.iter().map(|[error, _]| -error).collect(),
        Choice::Knee => trade_offs(&points),
    };
    let mut best = 0;
    for (i, merit) in merits.iter().enumerate() {
        if *merit > merits[best] {
            best = i;
        }
    }
    Ok(front.get(best).copied().unwrap_or_default())
}

/// The trade-off of every point of a front (Rachmawati and Srinivasan 2009), as pymoo's
/// `HighTradeoffPoints`, which the published code copies: objectives are scaled to the front's range;
/// towards a neighbour it is what a point would lose in sum, over what it would gain; the least of them
/// over the neighbours is the point's. Neighbours are the points within 0.125, but at least the four
/// nearest. A front of one point has the trade-off 0.
pub fn trade_offs(points: &[[f64; 2]]) -> Vec<f64> {
    let range = |o: usize| {
        let values = points.iter().map(|p| p[o]);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        (low, values.fold(f64::NEG_INFINITY, f64::max) - low)
    };
    let ranges = [range(0), range(1)];
    let scaled = points.iter().map(|p| {
        [0, 1].map(|o| {
            let (low, width) = ranges[o];
            if width > 0.0 {
                (p[o] - low) / width
            } else {
                0.0
            }
        })
    });
    let scaled: Vec<[f64; 2]> = scaled.collect();
    let of = |i: usize| {
        let here = scaled[i];
        let mut others: Vec<(f64, [f64; 2])> = scaled
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, p)| {
                (
                    (p[0] - here[0]).hypot(p[1] - here[1]),
                    [p[0] - here[0], p[1] - here[1]],
                )
            })
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let near = others
            .iter()
            .filter(|(distance, _)| *distance <= 0.125)
            .count();
        others.truncate(near.max(4));
        let towards = others.iter().filter_map(|(_, d)| {
            let lost: f64 = d.iter().map(|v| v.max(0.0)).sum();
            let gained: f64 = d.iter().map(|v| (-v).max(0.0)).sum();
            // Equal points say nothing.
            (lost > 0.0 || gained > 0.0).then(|| lost / gained)
        });
        towards.reduce(f64::min).unwrap_or(0.0)
    };
    (0..points.len()).map(of).collect()
}
