//! The hypervolume: how much of the objective space a set of points dominates.

use super::{NsgaError, sort};

/// The volume, within the box below `reference`, that `points` dominate: exact, for two or three
/// objectives. Points that are not better than the reference in every objective add nothing, nor do
/// dominated and repeated ones. NSGANetV2 reports it as a share: reference 1.01 times the worst of
/// the first archive in each objective, volume over the product of the reference's coordinates.
///
/// # Errors
/// When there are other than two or three objectives, points and reference differ in their number,
/// or a number is not finite.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> Result<f64, NsgaError> {
    sort::check(points)?;
    if !matches!(reference.len(), 2 | 3) {
        return Err(NsgaError::Dimensions {
            found: reference.len(),
        });
    }
    if let Some(objective) = reference.iter().position(|v| !v.is_finite()) {
        let point = points.len();
        return Err(NsgaError::NotFinite { point, objective });
    }
    let found = points.first().map_or(reference.len(), |p| p.as_ref().len());
    if found != reference.len() {
        return Err(NsgaError::Objectives {
            point: 0,
            found,
            expected: reference.len(),
        });
    }
    let inside = |p: &&[f64]| p.iter().zip(reference).all(|(p, r)| p < r);
    let inside: Vec<&[f64]> = points.iter().map(AsRef::as_ref).filter(inside).collect();
    let flat = inside.iter().map(|p| (p[0], p[1])).collect();
    let corner = (reference[0], reference[1]);
    if reference.len() == 2 {
        return Ok(area(flat, corner));
    }
    Ok(volume(inside, corner, reference[2]))
}

/// Two objectives: a staircase, from left to right.
fn area(mut points: Vec<(f64, f64)>, (right, top): (f64, f64)) -> f64 {
    points.sort_by(|p, q| p.0.total_cmp(&q.0).then(p.1.total_cmp(&q.1)));
    let (mut area, mut lowest) = (0.0, top);
    for (x, y) in points {
        if y < lowest {
            area += (right - x) * (lowest - y);
            lowest = y;
        }
    }
    area
}

/// Three objectives: slabs between neighbouring values of the third one.
fn volume(mut points: Vec<&[f64]>, corner: (f64, f64), end: f64) -> f64 {
    points.sort_by(|p, q| p[2].total_cmp(&q[2]));
    let mut volume = 0.0;
    for (last, point) in points.iter().enumerate() {
        let upper = points.get(last + 1).map_or(end, |next| next[2]);
        if upper > point[2] {
            let below = points[..=last].iter().map(|p| (p[0], p[1])).collect();
            volume += (upper - point[2]) * area(below, corner);
        }
    }
    volume
}
