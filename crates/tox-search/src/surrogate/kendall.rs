//! Kendall's rank correlation.

/// Kendall's tau-b of pairs: concordant less discordant pairs of pairs, over the geometric mean of
/// those not tied on the left and those not tied on the right; in [-1, 1]. Knight's algorithm,
/// O(n log n). Infinities rank as the numbers that they are.
///
/// `None` where it is undefined: fewer than two pairs, one side constant, or a NaN.
pub fn tau_b(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.iter().any(|(a, b)| a.is_nan() || b.is_nan()) {
        return None;
    }
    // adding 0 makes -0 and 0 one value for total_cmp
    let mut pairs: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (a + 0.0, b + 0.0)).collect();
    pairs.sort_by(|p, q| p.0.total_cmp(&q.0).then(p.1.total_cmp(&q.1)));
    let left_ties = ties(&pairs, |p, q| p.0 == q.0);
    let both_ties = ties(&pairs, |p, q| p == q);
    let mut right: Vec<f64> = pairs.iter().map(|p| p.1).collect();
    let discordant = inversions(&mut right);
    let right_ties = ties(&right, |p, q| p == q);
    let all = choose_two(pairs.len());
    let (left, right) = (all - left_ties, all - right_ties);
    if left == 0 || right == 0 {
        return None;
    }
    // all pairs = concordant + discordant + tied on a side or both
    let untied = all + both_ties - left_ties - right_ties;
    let score = untied as f64 - 2.0 * discordant as f64;
    Some((score / (left as f64).sqrt() / (right as f64).sqrt()).clamp(-1.0, 1.0))
}

fn choose_two(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// Pairs within runs of equal neighbours.
fn ties<T>(sorted: &[T], same: impl Fn(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(same).map(|run| choose_two(run.len())).sum()
}

/// Sorts by merging; returns how many pairs stood in the wrong order.
fn inversions(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (head, tail) = values.split_at_mut(middle);
    let mut count = inversions(head) + inversions(tail);
    let mut merged = Vec::with_capacity(values.len());
    let (mut i, mut j) = (0, middle);
    while i < middle && j < values.len() {
        if values[j] < values[i] {
            count += (middle - i) as u64;
            merged.push(values[j]);
            j += 1;
        } else {
            merged.push(values[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&values[i..middle]);
    merged.extend_from_slice(&values[j..]);
    values.copy_from_slice(&merged);
    count
}
