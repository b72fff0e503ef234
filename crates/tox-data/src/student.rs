//! Student's t, for intervals of a few values.

use std::f64::consts::PI;

/// The `p` quantile of Student's t with `df` >= 1 degrees of freedom, 0.5 <= `p` < 1.
pub fn t_quantile(p: f64, df: u64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while 0.5 + central(high, df) / 2.0 < p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if 0.5 + central(middle, df) / 2.0 < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// P(|T| < t): the finite series for whole degrees of freedom, Abramowitz and Stegun 26.7.3 and
/// 26.7.4.
fn central(t: f64, df: u64) -> f64 {
    let theta = (t / (df as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = df % 2 == 1;
    // 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ... or cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ...
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = if df == 1 { 0.0 } else { term };
    let mut k = if odd { 3 } else { 2 };
    while k < df {
        term *= (k - 1) as f64 / k as f64 * cos * cos;
        sum += term;
        k += 2;
    }
    if odd {
        2.0 / PI * (theta + sin * sum)
    } else {
        sin * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (9, 2.262),
            (10, 2.228),
            (30, 2.042),
            (120, 1.980),
        ];
        for (df, t) in table {
            assert!((t_quantile(0.975, df) - t).abs() < 5e-4, "df {df}");
        }
        assert!((t_quantile(0.995, 2) - 9.925).abs() < 5e-4);
        assert!((t_quantile(0.95, 7) - 1.895).abs() < 5e-4);
    }
}
