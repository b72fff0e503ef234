//! The cells that share a panel of a figure.

use super::cells::{Cell, clean_of, same_setting, sets};
use tox_poison::space::{BadSet, PoisonSet};
use tox_report::figure::short;
use tox_report::svg::Ink;
use tox_search::enas::config::NanPolicy;

/// The cells of one poison set on one data set, weakest first, beside their clean twin.
pub struct Family<'c, 'a> {
    /// Heading.
    pub title: String,
    clean: Option<&'c Cell<'a>>,
    /// The poisoned ones.
    pub cells: Vec<&'c Cell<'a>>,
    /// The q that occur, rising.
    pub doses: Vec<usize>,
}

impl<'c, 'a> Family<'c, 'a> {
    /// The families of a run.
    pub fn all(cells: &'c [Cell<'a>]) -> Vec<Self> {
        let mut data: Vec<_> = Vec::new();
        for cell in cells {
            if !data.contains(&&cell.spec().data) {
                data.push(&cell.spec().data);
            }
        }
        let several = data.len() > 1;
        let mut families = Vec::new();
        for data in data {
            for set in sets(cells) {
                let of = |c: &&Cell| {
                    c.of_set(set.clone()) && !c.screened() && !c.random() && c.spec().data == *data
                };
                let mut members: Vec<&Cell> = cells.iter().filter(of).collect();
                members.retain(|c| c.done() > 0);
                let q = |c: &Cell| c.poison().map_or(0, |p| p.q);
                members.sort_by_key(|c| q(c));
                for (title, members) in by_setting(&format!("{set}: {}", about(&set)), members) {
                    let mut doses: Vec<usize> = members.iter().map(|c| q(c)).collect();
                    doses.dedup();
                    let clean = members.first().and_then(|first| clean_of(cells, first));
                    families.push(Self {
                        title: match several {
                            true => format!("{title}, {}", data.dataset),
                            false => title,
                        },
                        clean: clean.filter(|c| c.done() > 0),
                        doses,
                        cells: members,
                    });
                }
            }
        }
        families
    }

    /// Ink and dash of a cell: the dose is the ink, the policy `guarded` a dashed line.
    pub fn look(&self, cell: &Cell) -> (Ink, &'static str) {
        let dash = match cell.policy() {
            NanPolicy::Torch => "",
            NanPolicy::Torch19 => "2 2",
            NanPolicy::Guarded => "5 4",
        };
        let rank = cell
            .poison()
            .and_then(|p| self.doses.iter().position(|q| *q == p.q));
        match rank {
            Some(rank) => {
                let steps = (self.doses.len() - 1).max(1);
                (Ink::Dose((rank * 3).div_ceil(steps)), dash)
            }
            None => (Ink::Clean, dash),
        }
    }

    /// The clean cell and the poisoned ones.
    pub fn with_clean(&self) -> impl Iterator<Item = &'c Cell<'a>> + '_ {
        self.clean.into_iter().chain(self.cells.iter().copied())
    }

    /// Pixels that the longest label needs.
    pub fn margin(&self) -> f64 {
        let longest = self.with_clean().map(|c| short(&c.name).chars().count());
        7.0 * longest.max().unwrap_or(0) as f64 + 8.0
    }
}

/// Cells of one learner together, with a title; variants that differ in more than the NaN policy are apart, by their
/// names.
pub fn by_setting<'c, 'a>(
    title: &impl ToString,
    cells: Vec<&'c Cell<'a>>,
) -> Vec<(String, Vec<&'c Cell<'a>>)> {
    let mut groups: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        match groups.iter_mut().find(|g| same_setting(g[0], cell)) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    let several = groups.len() > 1;
    let variant = |group: &[&'c Cell<'a>]| group[0].spec().variant.as_deref();
    let alike = groups.windows(2).all(|w| variant(&w[0]) == variant(&w[1]));
    let titled = |group: Vec<&'c Cell<'a>>| {
        let apart = match variant(&group) {
            _ if !several => None,
            Some(variant) if !alike => Some(variant),
            Some(_) | None => Some(group[0].spec().data.name()),
        };
        let title = match apart {
            Some(apart) => format!("{} ({apart})", title.to_string()),
            None => title.to_string(),
        };
        (title, group)
    };
    groups.into_iter().map(titled).collect()
}

/// What a set is made of.
pub fn about(set: &BadSet) -> &'static str {
    let BadSet::Paper(set) = set else {
        return "bad ops of one’s own";
    };
    match set {
        PoisonSet::P1 => "identity",
        PoisonSet::P2 => "Gaussian noise",
        PoisonSet::P3 => "dropout, p = 1",
        PoisonSet::P4 => "transposed convolutions",
        PoisonSet::P5 => "all of P1 to P4",
        PoisonSet::P3Plus => "one-shot",
    }
}
