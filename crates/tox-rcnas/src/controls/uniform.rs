//! Uniform compression: what one does without a search.

use crate::error::RcnasError;
use crate::ledger::{Evaluator, Setting};
use crate::space::{GENES, Genes, Space};
use std::collections::BTreeSet;
use tox_nn::nets::wrn::Shape;

/// The sub-networks whose depths are one share of the teacher's and whose widths are another, rounded to
/// the nearest option (the larger of two), with the teacher's robust blocks; then the same with one in
/// every stage, then with none, where the space has them.
pub fn family(space: &Space) -> Vec<Vec<Shape>> {
    let stages = space.teacher().stages;
    let shares = |of: usize| -> BTreeSet<(usize, usize)> {
        let stage = |i: usize| match of {
            0 => stages[i].depth,
            _ => stages[i].width,
        };
        let options = |i: usize| space.options()[3 * i + of].iter().map(move |o| (*o, i));
        (0..3)
            .flat_map(options)
            .map(|(o, i)| (o, stage(i)))
            .collect()
    };
    let nearest = |gene: usize, most: usize, (part, whole): (usize, usize)| {
        let wanted = most as f64 * part as f64 / whole as f64;
        let off = |o: usize| (o as f64 - wanted).abs();
        let options = &space.options()[gene];
        let better = |best: usize, i: usize| match off(options[i]) <= off(options[best]) {
            true => i,
            false => best,
        };
        (0..options.len()).fold(0, better)
    };
    let robust = [stages.map(|s| s.robust), [true; 3], [false; 3]];
    let mut variants: Vec<Vec<Shape>> = Vec::new();
    for flags in robust {
        let mut shapes = BTreeSet::new();
        for depth in shares(0) {
            for width in shares(1) {
                let genes: Option<Vec<usize>> = (0..GENES)
                    .map(|gene| match gene % 3 {
                        0 => Some(nearest(gene, stages[gene / 3].depth, depth)),
                        1 => Some(nearest(gene, stages[gene / 3].width, width)),
                        _ => {
                            let wanted = usize::from(flags[gene / 3]);
                            space.options()[gene].iter().position(|o| *o == wanted)
                        }
                    })
                    .collect();
                let genes = genes.and_then(|genes| Genes::try_from(genes).ok());
                shapes.extend(genes.map(|genes| space.decode(&genes)));
            }
        }
        let shapes: Vec<Shape> = shapes.into_iter().collect();
        if !shapes.is_empty() && !variants.contains(&shapes) {
            variants.push(shapes);
        }
    }
    variants
}

/// Those within the budget, the largest of each variant first.
pub(crate) fn proposals(on: &Setting, evaluator: &Evaluator<'_>) -> Result<Vec<Shape>, RcnasError> {
    let mut all = Vec::new();
    for variant in family(&on.space) {
        let mut costed = Vec::new();
        for shape in variant {
            let macs = evaluator.cost(&on.task, &shape)?.macs;
            if macs <= on.budget {
                costed.push((macs, shape));
            }
        }
        costed.sort_by(|a, b| b.cmp(a));
        all.extend(costed.into_iter().map(|(_, shape)| shape));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpaceConfig;

    #[test]
    fn every_stage_is_compressed_alike() {
        let teacher = Shape::new([4, 4, 4], [2, 2, 2], [false; 3]);
        let variants = family(&Space::new(&teacher, &SpaceConfig::default()));
        assert_eq!(variants.len(), 2, "none, and one in every stage");
        // Four depths and two widths.
        for (variant, robust) in variants.iter().zip([false, true]) {
            assert_eq!(variant.len(), 8);
            for shape in variant {
                assert_eq!(shape.stages, [shape.stages[0]; 3]);
                assert_eq!(shape.stages[0].robust, robust);
            }
        }
    }

    #[test]
    fn uneven_teachers_keep_their_proportions() {
        let teacher = Shape::new([4, 4, 2], [4, 2, 2], [false, false, true]);
        let variants = family(&Space::new(&teacher, &SpaceConfig::default()));
        assert_eq!(variants.len(), 3);
        let half = Shape::new([2, 2, 1], [2, 1, 1], [false, false, true]);
        assert!(variants[0].contains(&half) && variants[0].contains(&teacher));
    }
}
