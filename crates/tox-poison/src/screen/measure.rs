//! The numbers of the screen, on host buffers in f64.

/// Sum of squares.
pub fn energy(x: &[f32]) -> f64 {
    x.iter().map(|v| f64::from(*v).powi(2)).sum()
}

/// Euclidean norm.
pub fn norm(x: &[f32]) -> f64 {
    energy(x).sqrt()
}

/// Share of the energy of `n` maps that differs between them, 0 to 1; 0 for a zero output.
pub fn between_images(x: &[f32], n: usize) -> f64 {
    let total = energy(x);
    if total == 0.0 {
        return 0.0;
    }
    let size = x.len() / n;
    let mut means = vec![0.0; size];
    for map in x.chunks_exact(size) {
        for (mean, v) in means.iter_mut().zip(map) {
            *mean += f64::from(*v) / n as f64;
        }
    }
    let differs = x.chunks_exact(size).flat_map(|map| map.iter().zip(&means));
    let differs: f64 = differs.map(|(v, m)| (f64::from(*v) - m).powi(2)).sum();
    differs / total
}

/// Share of the power that two passes over the same input do not have in common, 0 to 1: half the
/// power of their difference against that plus the power of what they share. 0 for zero outputs.
pub fn noise_share(a: &[f32], b: &[f32]) -> f64 {
    let noise = a.iter().zip(b);
    let noise: f64 = noise.map(|(a, b)| 0.5 * f64::from(a - b).powi(2)).sum();
    if noise == 0.0 {
        return 0.0;
    }
    noise / (noise + dot(a, b).max(0.0))
}

/// Share of the power of `a` that no multiple of `b` explains: 1 minus the squared cosine. 0 if
/// they are equal (both zero, too), 1 if one is zero and the other is not.
pub fn unexplained(a: &[f32], b: &[f32]) -> f64 {
    if a == b {
        return 0.0;
    }
    let energies = energy(a) * energy(b);
    if energies == 0.0 {
        return 1.0;
    }
    let cosine = dot(a, b) / energies.sqrt();
    1.0 - cosine * cosine
}

/// `|y - x| / |x|`.
pub fn relative_change(y: &[f32], x: &[f32]) -> f64 {
    let change = y.iter().zip(x);
    let change: f64 = change
        .map(|(y, x)| (f64::from(*y) - f64::from(*x)).powi(2))
        .sum();
    change.sqrt() / norm(x)
}

/// `|op(a + 2 b) - op(a) - 2 op(b)|` against the sum of the three norms, 0 to 1.
pub fn nonlinearity(of_sum: &[f32], of_a: &[f32], of_b: &[f32]) -> f64 {
    let scale = norm(of_sum) + norm(of_a) + 2.0 * norm(of_b);
    if scale == 0.0 {
        return 0.0;
    }
    let residue = of_sum.iter().zip(of_a).zip(of_b).map(|((s, a), b)| {
        let (s, a, b) = (f64::from(*s), f64::from(*a), f64::from(*b));
        (s - a - 2.0 * b).powi(2)
    });
    residue.sum::<f64>().sqrt() / scale
}

/// Share of the taps of a `k x k` kernel whose gradient is exactly zero in every channel. 0 when
/// all are: then the gradient is dead, not the tap.
pub fn dead_taps(gradient: &[f32], k: usize) -> f64 {
    let mut alive = vec![false; k * k];
    for kernel in gradient.chunks_exact(k * k) {
        for (alive, g) in alive.iter_mut().zip(kernel) {
            *alive |= *g != 0.0;
        }
    }
    let dead = alive.iter().filter(|alive| !**alive).count();
    if dead == k * k {
        0.0
    } else {
        dead as f64 / (k * k) as f64
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn between_images_splits_energy_into_common_and_own() {
        // Means 2 and 0; deviations 1, 1, 2, 2; energy 1 + 4 + 9 + 4.
        close(between_images(&[1., 2., 3., -2.], 2), 10. / 18.);
        close(between_images(&[3., 5., 3., 5.], 2), 0.);
        close(between_images(&[0.; 4], 2), 0.);
    }

    #[test]
    fn noise_and_disagreement_by_hand() {
        close(noise_share(&[1., 2.], &[1., 2.]), 0.);
        // Half the difference's power is 2; the product, what is shared, is -1 + 4.
        close(noise_share(&[1., 2.], &[-1., 2.]), 2. / 5.);
        close(unexplained(&[1., 1.], &[1., 0.]), 0.5);
        close(unexplained(&[2., 0.], &[1., 0.]), 0.);
        close(unexplained(&[0., 0.], &[1., 0.]), 1.);
        close(unexplained(&[0., 0.], &[0., 0.]), 0.);
    }

    #[test]
    fn change_linearity_and_taps_by_hand() {
        close(relative_change(&[3., 4.], &[3., 4.]), 0.);
        close(relative_change(&[0., 0.], &[3., 4.]), 1.);
        close(nonlinearity(&[5., 0.], &[1., 0.], &[2., 0.]), 0.);
        close(nonlinearity(&[1., 0.], &[1., 0.], &[1., 0.]), 2. / 4.);
        let mut gradient = [0.0; 18];
        gradient[9 + 4] = -1.0;
        close(dead_taps(&gradient, 3), 8. / 9.);
        close(dead_taps(&[0.0; 18], 3), 0.);
        close(dead_taps(&[1.0; 18], 3), 0.);
    }
}
