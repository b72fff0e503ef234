//! Which trials make first what others need too, so that these need not wait in jobs of their own.

use crate::house::House;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Trials by what they share.
#[derive(Debug, Default, PartialEq)]
pub struct Split {
    /// They make what is shared; each is a follower too.
    pub leaders: Vec<usize>,
    /// What the leaders make.
    pub keys: BTreeSet<String>,
    /// Trials that need what is shared.
    pub followers: Vec<usize>,
    /// All others.
    pub free: Vec<usize>,
}

/// Splits trials so that all that several of them share is made by leaders. What a trial that is done shares is
/// made; what is in `begun`, others make.
pub fn split(house: &House, store: &Store, trials: &[usize], begun: &BTreeSet<String>) -> Split {
    let plan = &store.study.trials;
    let asked: Vec<(usize, Vec<String>)> =
        (trials.iter().map(|&t| (t, house.shares(&plan[t].spec)))).collect();
    let mut needs: BTreeMap<&String, usize> = BTreeMap::new();
    for key in asked.iter().flat_map(|(_, keys)| keys) {
        *needs.entry(key).or_default() += 1;
    }
    let mut made: BTreeSet<String> = BTreeSet::new();
    if !needs.is_empty() {
        let done = plan.iter().filter(|t| store.is_done(&t.id));
        made.extend(done.flat_map(|t| house.shares(&t.spec)));
    }
    let mut split = Split::default();
    for (trial, keys) in &asked {
        let open = |key: &&String| !made.contains(*key);
        let several = |key: &&String| needs.get(key).is_some_and(|count| *count > 1);
        let open: Vec<&String> = keys.iter().filter(open).collect();
        let is_begun = |key: &&String| begun.contains(*key) || split.keys.contains(*key);
        let new: Vec<&String> = open
            .iter()
            .copied()
            .filter(several)
            .filter(|k| !is_begun(k))
            .collect();
        let follows = !new.is_empty() || open.iter().any(is_begun);
        if !new.is_empty() {
            split.leaders.push(*trial);
            split.keys.extend(new.into_iter().cloned());
        }
        match follows {
            true => split.followers.push(*trial),
            false => split.free.push(*trial),
        }
    }
    split
}
