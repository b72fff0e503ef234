//! What the screen did in the cells whose space was screened before the search.

use super::cells::{Cell, clean_of};
use crate::enas::outcome::{EnasOutcome, ScreenedOp};
use tox_report::findings::with_seeds;

/// What the screen dropped in a cell: the ops, and in how many trials each.
pub fn dropped<'a>(cell: &Cell<'a>) -> Vec<(&'a ScreenedOp, usize)> {
    let mut ops: Vec<(&ScreenedOp, usize)> = Vec::new();
    for op in cell.records().flat_map(|r| &r.outcome.screened) {
        match ops
            .iter_mut()
            .find(|o| o.0.op == op.op && o.0.verdict == op.verdict)
        {
            Some(found) => found.1 += 1,
            None => ops.push((op, 1)),
        }
    }
    ops
}

/// Poison ops that the screen left in some trial.
pub fn missed(cell: &Cell) -> Vec<String> {
    let planted = cell.poison().map_or(Vec::new(), |p| p.set.members());
    let dropped = dropped(cell);
    planted
        .iter()
        .map(|(op, _)| op.to_string())
        .filter(|op| {
            let n: usize = dropped.iter().filter(|d| d.0.op == *op).map(|d| d.1).sum();
            n < cell.done()
        })
        .collect()
}

/// The cell that differs from a screened one in the defence alone.
pub fn unscreened<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    cells.iter().find(|c| {
        let (a, b) = (c.spec(), cell.spec());
        !c.screened() && a.data == b.data && a.threat == b.threat && a.learner == b.learner
    })
}

/// Whether every trial of a screened cell has the outcome of the clean trial of its seed: then it
/// is the clean search run again and no result of its own.
pub fn is_clean_again(cells: &[Cell], cell: &Cell) -> bool {
    let Some(clean) = clean_of(cells, cell).filter(|_| cell.screened() && cell.done() > 0) else {
        return false;
    };
    cell.records().all(|r| {
        let bare = EnasOutcome {
            screened: Vec::new(),
            ..r.outcome.clone()
        };
        clean
            .records()
            .any(|c| c.spec.seed == r.spec.seed && *c.outcome == bare)
    })
}

/// What screening did, in a sentence.
pub fn sentence(cells: &[Cell], cell: &Cell) -> Option<String> {
    if !cell.screened() {
        return None;
    }
    let test = cell.test()?;
    let missed = missed(cell);
    let good = dropped(cell).iter().filter(|d| !d.0.poison).count();
    let verdict = match (missed.is_empty(), cell.poison().is_some()) {
        (_, false) => "the space held no poison".to_owned(),
        (true, true) => "every poison op was dropped".to_owned(),
        (false, true) => format!("it let pass {}", missed.join(", ")),
    };
    let clean_ops = match good {
        0 => "no clean op was".to_owned(),
        n => format!(
            "{n} clean op{} dropped too",
            if n == 1 { " was" } else { "s were" }
        ),
    };
    let mean = |c: Option<&Cell>| c.and_then(Cell::test).map(|i| format!("{:.1} %", i.mean));
    let mut beside = Vec::new();
    beside.extend(mean(unscreened(cells, cell)).map(|m| format!("{m} without the screen")));
    let again = is_clean_again(cells, cell);
    if !again {
        beside.extend(mean(clean_of(cells, cell)).map(|m| format!("{m} on the clean space")));
    }
    let beside = if beside.is_empty() {
        String::new()
    } else {
        format!(", beside {}", beside.join(" and "))
    };
    let same = if again {
        "identical to clean, seed by seed: the screen gave the clean space back; "
    } else {
        ""
    };
    Some(format!(
        "Screening the space of {} before the search: {verdict}, {clean_ops}; {same}test error \
         {}{beside}.",
        cell.label(),
        with_seeds(test),
    ))
}
