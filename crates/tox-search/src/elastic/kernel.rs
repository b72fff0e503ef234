//! Smaller depthwise kernels out of the largest one, as Once-for-All takes them: the centre 5x5 of a
//! 7x7 kernel, its 25 numbers multiplied with a learned matrix; for 3x3 the centre of that, multiplied
//! with another. The matrices belong to a layer, are shared by its channels and begin as identities.

use crate::space::elastic::KERNELS;

/// Numbers of a row and column of the matrices, of 7 to 5 and of 5 to 3.
pub const MATRICES: [usize; 2] = [25, 9];

/// The kernels `[channels, to, to]` of the largest ones, `[channels, 7, 7]`. No matrices: the centre as
/// it is.
pub fn shrink(large: &[f32], to: usize, matrices: Option<[&[f32]; 2]>) -> Vec<f32> {
    let Some(matrices) = matrices else {
        return centre(large, KERNELS[2], to);
    };
    let mut kernels = large.to_vec();
    for (step, matrix) in steps(to).zip(matrices) {
        let x = centre(&kernels, step[0], step[1]);
        kernels = times(&x, matrix, step[1] * step[1], false);
    }
    kernels
}

/// Gradients of the largest kernels and of the matrices, from that of what [`shrink`] gave. A matrix
/// that was not used has none.
pub fn shrink_backward(
    gradient: &[f32],
    large: &[f32],
    to: usize,
    matrices: Option<[&[f32]; 2]>,
) -> (Vec<f32>, [Option<Vec<f32>>; 2]) {
    let mut found = [None, None];
    let Some(matrices) = matrices else {
        return (spread(gradient, to, KERNELS[2]), found);
    };
    let (mut kernels, mut inputs) = (large.to_vec(), Vec::new());
    for (step, matrix) in steps(to).zip(matrices) {
        let x = centre(&kernels, step[0], step[1]);
        kernels = times(&x, matrix, step[1] * step[1], false);
        inputs.push((step, x));
    }
    let mut gradient = gradient.to_vec();
    for (i, (step, x)) in inputs.into_iter().enumerate().rev() {
        let n = step[1] * step[1];
        let mut of_matrix = vec![0.0; n * n];
        for (y, x) in gradient.chunks_exact(n).zip(x.chunks_exact(n)) {
            for (row, y) in of_matrix.chunks_exact_mut(n).zip(y) {
                row.iter_mut().zip(x).for_each(|(sum, x)| *sum += y * x);
            }
        }
        found[i] = Some(of_matrix);
        gradient = spread(&times(&gradient, matrices[i], n, true), step[1], step[0]);
    }
    (gradient, found)
}

/// From 7 to 5, and on to 3 if `to` is 3; nothing for 7.
fn steps(to: usize) -> impl Iterator<Item = [usize; 2]> {
    let [three, five, seven] = KERNELS;
    let all = [[seven, five], [five, three]];
    all.into_iter().filter(move |step| step[1] >= to)
}

/// Each row of `n` numbers times the transposed matrix, or times the matrix.
fn times(rows: &[f32], matrix: &[f32], n: usize, transposed: bool) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(n) {
        let mut result = vec![0.0; n];
        for (i, line) in matrix.chunks_exact(n).enumerate() {
            if transposed {
                let scaled = result.iter_mut().zip(line);
                scaled.for_each(|(sum, m)| *sum += row[i] * m);
            } else {
                result[i] = row.iter().zip(line).map(|(x, m)| x * m).sum();
            }
        }
        out.extend(result);
    }
    out
}

/// The middle `to` x `to` of maps `from` x `from`.
fn centre(maps: &[f32], from: usize, to: usize) -> Vec<f32> {
    let first = (from - to) / 2;
    let rows = maps.chunks_exact(from * from).flat_map(|map| {
        let rows = map.chunks_exact(from).skip(first).take(to);
        rows.flat_map(|row| &row[first..first + to])
    });
    rows.copied().collect()
}

/// Maps `from` x `from` in the middle of maps `to` x `to`, zeros around.
fn spread(maps: &[f32], from: usize, to: usize) -> Vec<f32> {
    let first = (to - from) / 2;
    let mut out = vec![0.0; maps.len() / (from * from) * to * to];
    let pairs = out
        .chunks_exact_mut(to * to)
        .zip(maps.chunks_exact(from * from));
    for (out, map) in pairs {
        let rows = out.chunks_exact_mut(to).skip(first);
        for (row, from_row) in rows.zip(map.chunks_exact(from)) {
            row[first..first + from].copy_from_slice(from_row);
        }
    }
    out
}
