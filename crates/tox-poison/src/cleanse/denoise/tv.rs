//! Total-variation denoising.

use super::TvChambolle;

/// Smooths one channel `image` (values 0..=1, height `h`, width `w`, row after row): the minimum of
/// the total variation times `weight` plus half of the squared distance to `image`, approached by
/// Chambolle's fixed-point iteration on the dual field p, one vector a pixel, with step 1/4:
/// `p <- (p - tau g) / (1 + tau |g| / weight)` for the forward differences g of `image + d`, where d is
/// the negative divergence of p.
pub fn tv_chambolle(image: &[f64], (h, w): (usize, usize), settings: &TvChambolle) -> Vec<f64> {
    let (weight, tau) = (settings.weight, 0.25);
    let mut p = vec![[0.0; 2]; image.len()];
    let mut out = image.to_vec();
    let (mut first, mut previous) = (0.0, 0.0);
    for i in 0..settings.iterations {
        let mut distance = 0.0;
        if i > 0 {
            for (at, out) in out.iter_mut().enumerate() {
                let mut d = -p[at][0] - p[at][1];
                if at >= w {
                    d += p[at - w][0];
                }
                if at % w > 0 {
                    d += p[at - 1][1];
                }
                distance += d * d;
                *out = image[at] + d;
            }
        }
        let mut variation = 0.0;
        for (at, p) in p.iter_mut().enumerate() {
            let down = if at / w + 1 < h {
                out[at + w] - out[at]
            } else {
                0.0
            };
            let right = if at % w + 1 < w {
                out[at + 1] - out[at]
            } else {
                0.0
            };
            let norm = (down * down + right * right).sqrt();
            variation += norm;
            let shrink = 1.0 + norm * tau / weight;
            *p = [(p[0] - tau * down) / shrink, (p[1] - tau * right) / shrink];
        }
        let objective = (distance + weight * variation) / image.len() as f64;
        if i == 0 {
            first = objective;
        } else if (previous - objective).abs() < settings.eps * first {
            break;
        }
        previous = objective;
    }
    out
}
