//! Who dominates whom, and how crowded a front is (Deb et al. 2002).

use super::NsgaError;

/// Whether `a` is at least as good as `b` in every objective and better in one.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut pairs = a.iter().zip(b);
    pairs.clone().all(|(a, b)| a <= b) && pairs.any(|(a, b)| a < b)
}

/// Checks that points are comparable.
pub(super) fn check<P: AsRef<[f64]>>(points: &[P]) -> Result<(), NsgaError> {
    let expected = points.first().map_or(0, |p| p.as_ref().len());
    for (point, objectives) in points.iter().map(AsRef::as_ref).enumerate() {
        if objectives.len() != expected {
            return Err(NsgaError::Objectives {
                point,
                found: objectives.len(),
                expected,
            });
        }
        if let Some(objective) = objectives.iter().position(|v| !v.is_finite()) {
            return Err(NsgaError::NotFinite { point, objective });
        }
    }
    Ok(())
}

/// Fast non-dominated sort: the points in fronts, best first. A point of the first front is
/// dominated by none, one of the next by points of the first alone, and so on; within a front the
/// points stand in their order. Equal points share a front. No points have no front.
///
/// # Errors
/// When an objective is not finite, or points differ in their number of objectives.
pub fn fronts<P: AsRef<[f64]>>(points: &[P]) -> Result<Vec<Vec<usize>>, NsgaError> {
    check(points)?;
    // whom each point dominates, and how many not yet ranked points dominate it
    let mut worse: Vec<Vec<usize>> = vec![Vec::new(); points.len()];
    let mut better = vec![0_usize; points.len()];
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate() {
            if dominates(a.as_ref(), b.as_ref()) {
                worse[i].push(j);
                better[j] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut front: Vec<usize> = (0..points.len()).filter(|&i| better[i] == 0).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for j in front.iter().flat_map(|&i| &worse[i]) {
            better[*j] -= 1;
            if better[*j] == 0 {
                next.push(*j);
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    Ok(fronts)
}

/// Crowding distances of the points of one front: the mean over the objectives of the gap between a
/// point's neighbours, as a share of the front's range; infinite at both ends of an objective. As in
/// pymoo, in a front of one or two points all are infinite, an objective that does not vary counts
/// as 0, and of equal points all but the first have distance 0.
///
/// # Errors
/// As [`fronts`].
pub fn crowding<P: AsRef<[f64]>>(front: &[P]) -> Result<Vec<f64>, NsgaError> {
    check(front)?;
    if front.len() <= 2 {
        return Ok(vec![f64::INFINITY; front.len()]);
    }
    let points: Vec<&[f64]> = front.iter().map(AsRef::as_ref).collect();
    let first = |&i: &usize| !points[..i].contains(&points[i]);
    let unique: Vec<usize> = (0..points.len()).filter(first).collect();
    let objectives = points[0].len();
    let mut distances = vec![0.0; points.len()];
    let columns = (0..objectives).map(|o| points.iter().map(|p| p[o]).collect());
    for column in columns.collect::<Vec<Vec<f64>>>() {
        let value = |i: usize| column[i];
        let mut order = unique.clone();
        order.sort_by(|&i, &j| value(i).total_cmp(&value(j)));
        let (low, high) = (order[0], order[order.len() - 1]);
        let range = value(high) - value(low);
        if range == 0.0 {
            continue;
        }
        distances[low] = f64::INFINITY;
        distances[high] = f64::INFINITY;
        for near in order.windows(3) {
            let gap = value(near[2]) - value(near[0]);
            distances[near[1]] += gap / range / objectives as f64;
        }
    }
    Ok(distances)
}
