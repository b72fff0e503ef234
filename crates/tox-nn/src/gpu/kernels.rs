//! The kernels. Maps are f32 and without gaps; every sum is taken in a fixed order.
// The arguments of a kernel are its buffers and sizes.
#![allow(clippy::too_many_arguments)]

use cubecl::prelude::*;

/// Units that work on one channel of a batch norm.
pub const UNITS: usize = 256;

/// Halvings of [`UNITS`] down to one.
const HALVINGS: u32 = 8;

/// Max pooling 3x3, stride 1, padding 1: of each window the value, and which it is, row by row. NaN wins,
/// the first of equals wins; of a window of nothing but minus infinity it is the centre.
#[cube(launch_unchecked)]
pub fn max_pool(x: &[f32], y: &mut [f32], winners: &mut [i32], values: usize, h: usize, w: usize) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let pixel = ABSOLUTE_POS % (h * w);
    let plane = ABSOLUTE_POS - pixel;
    let (row, column) = (pixel / w, pixel % w);
    // The lowest finite number: what is not above it, nor it, is minus infinity.
    let mut best = f32::min_value();
    let mut begun = false;
    let mut winner = 4i32;
    let mut at = ABSOLUTE_POS;
    for tap in 0..9usize {
        let (r, c) = (row + tap / 3, column + tap % 3);
        if r >= 1 && r <= h && c >= 1 && c <= w {
            let there = plane + (r - 1) * w + (c - 1);
            let value = x[there];
            if value.is_nan() || value > best || (!begun && value >= best) {
                best = value;
                begun = true;
                winner = i32::cast_from(tap);
                at = there;
            }
        }
    }
    y[ABSOLUTE_POS] = x[at];
    winners[ABSOLUTE_POS] = winner;
}

/// Of every 3x3 window the value that `winners` names.
#[cube(launch_unchecked)]
pub fn pick(x: &[f32], winners: &[i32], y: &mut [f32], values: usize, h: usize, w: usize) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let pixel = ABSOLUTE_POS % (h * w);
    let plane = ABSOLUTE_POS - pixel;
    let tap = usize::cast_from(winners[ABSOLUTE_POS]);
    // Named by a window of the same map, so inside it.
    let (r, c) = (pixel / w + tap / 3, pixel % w + tap % 3);
    y[ABSOLUTE_POS] = x[plane + (r - 1) * w + (c - 1)];
}

/// The gradient of [`pick`], which is that of [`max_pool`] too.
#[cube(launch_unchecked)]
pub fn picked(dy: &[f32], winners: &[i32], dx: &mut [f32], values: usize, h: usize, w: usize) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let pixel = ABSOLUTE_POS % (h * w);
    let plane = ABSOLUTE_POS - pixel;
    let (row, column) = (pixel / w, pixel % w);
    let mut sum = 0.0f32;
    for tap in 0..9usize {
        // The centre of the window of which this pixel is value `tap`.
        let (r, c) = (row + 2 - tap / 3, column + 2 - tap % 3);
        if r >= 1 && r <= h && c >= 1 && c <= w {
            let there = plane + (r - 1) * w + (c - 1);
            if winners[there] == i32::cast_from(tap) {
                sum += dy[there];
            }
        }
    }
    dx[ABSOLUTE_POS] = sum;
}

/// The pixels of a factorised reduction: of channel `k` every second one; behind all channels the same of the map
/// shifted by one to the left and up, 0 beyond the border. Maps lie as [`place`] says.
#[cube(launch_unchecked)]
pub fn gather(
    x: &[f32],
    y: &mut [f32],
    values: usize,
    channels: usize,
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    #[comptime] last: bool,
) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let mut channel = ABSOLUTE_POS / (oh * ow) % (2 * channels);
    let mut image = ABSOLUTE_POS / (oh * ow * 2 * channels);
    let mut pixel = ABSOLUTE_POS % (oh * ow);
    if comptime!(last) {
        channel = ABSOLUTE_POS % (2 * channels);
        pixel = ABSOLUTE_POS / (2 * channels) % (oh * ow);
        image = ABSOLUTE_POS / (2 * channels * oh * ow);
    }
    let mut shift = 0usize;
    if channel >= channels {
        shift = 1;
        channel -= channels;
    }
    let (r, c) = (pixel / ow * 2 + shift, pixel % ow * 2 + shift);
    let mut value = 0.0f32;
    if r < h && c < w {
        value = x[place(image * h * w + r * w + c, channel, channels, h * w, last)];
    }
    y[ABSOLUTE_POS] = value;
}

/// The gradient of [`gather`].
#[cube(launch_unchecked)]
pub fn gathered(
    dy: &[f32],
    dx: &mut [f32],
    values: usize,
    channels: usize,
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    #[comptime] last: bool,
) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let mut channel = ABSOLUTE_POS / (h * w) % channels;
    let mut image = ABSOLUTE_POS / (h * w * channels);
    let mut pixel = ABSOLUTE_POS % (h * w);
    if comptime!(last) {
        channel = ABSOLUTE_POS % channels;
        pixel = ABSOLUTE_POS / channels % (h * w);
        image = ABSOLUTE_POS / (channels * h * w);
    }
    let (r, c) = (pixel / w, pixel % w);
    let mut value = 0.0f32;
    if r % 2 == c % 2 {
        if r % 2 == 1 {
            channel += channels;
        }
        let at = image * oh * ow + r / 2 * ow + c / 2;
        value = dy[place(at, channel, 2 * channels, oh * ow, last)];
    }
    dx[ABSOLUTE_POS] = value;
}

/// The mean of every channel of every image.
#[cube(launch_unchecked)]
pub fn average(
    x: &[f32],
    y: &mut [f32],
    values: usize,
    channels: usize,
    plane: usize,
    #[comptime] last: bool,
) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let (image, channel) = (ABSOLUTE_POS / channels, ABSOLUTE_POS % channels);
    let mut sum = 0.0f32;
    for pixel in 0..plane {
        sum += x[place(image * plane + pixel, channel, channels, plane, last)];
    }
    y[ABSOLUTE_POS] = sum / f32::cast_from(plane);
}

/// The gradient of [`average`].
#[cube(launch_unchecked)]
pub fn averaged(
    dy: &[f32],
    dx: &mut [f32],
    values: usize,
    channels: usize,
    plane: usize,
    #[comptime] last: bool,
) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let mut of = ABSOLUTE_POS / plane;
    if comptime!(last) {
        of = ABSOLUTE_POS / (plane * channels) * channels + ABSOLUTE_POS % channels;
    }
    dx[ABSOLUTE_POS] = dy[of] / f32::cast_from(plane);
}

/// The largest of every unit's values, of which none is below 0 or NaN.
#[cube]
pub fn largest(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    sync_cube();
    shared[unit] = value;
    sync_cube();
    #[unroll]
    for halving in 0..HALVINGS {
        let half = comptime!((UNITS >> (halving + 1)) as usize);
        if unit < half {
            let other = shared[unit + half];
            if other > shared[unit] {
                shared[unit] = other;
            }
        }
        sync_cube();
    }
    shared[0]
}

/// The sum of every unit's value.
#[cube]
pub fn total(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    // Everybody has read the last one.
    sync_cube();
    shared[unit] = value;
    sync_cube();
    #[unroll]
    for halving in 0..HALVINGS {
        let half = comptime!((UNITS >> (halving + 1)) as usize);
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
    }
    shared[0]
}

/// Where value `i` of a channel lies in a map whose channels are `last` (NHWC) or not (NCHW).
#[cube]
pub fn place(
    i: usize,
    channel: usize,
    channels: usize,
    plane: usize,
    #[comptime] last: bool,
) -> usize {
    if last {
        i * channels + channel
    } else {
        (i / plane * channels + channel) * plane + i % plane
    }
}

/// Batch norm, then ReLU if `relu`; `stats`: the means of all channels, then the biased variances, which are
/// those of the batch and written there unless they are `given`. One cube a channel, of `count` values.
#[cube(launch_unchecked)]
pub fn norm(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
    stats: &mut [f32],
    count: usize,
    channels: usize,
    plane: usize,
    eps: f32,
    #[comptime] relu: bool,
    #[comptime] given: bool,
    #[comptime] last: bool,
) {
    let channel = CUBE_POS_X as usize;
    // Of the batch they are overwritten.
    let mut mean = stats[channel];
    let mut variance = stats[channels + channel];
    let mut i = UNIT_POS as usize;
    if comptime!(!given) {
        let mut shared = Shared::new_slice(UNITS);
        let n = f32::cast_from(count);
        let mut sum = 0.0f32;
        while i < count {
            sum += x[place(i, channel, channels, plane, last)];
            i += UNITS;
        }
        mean = total(sum, &mut shared) / n;
        let mut squares = 0.0f32;
        i = UNIT_POS as usize;
        while i < count {
            let d = x[place(i, channel, channels, plane, last)] - mean;
            squares += d * d;
            i += UNITS;
        }
        variance = total(squares, &mut shared) / n;
        if UNIT_POS == 0 {
            stats[channel] = mean;
            stats[channels + channel] = variance;
        }
    }
    let (scale, shift) = (gamma[channel] / (variance + eps).sqrt(), beta[channel]);
    i = UNIT_POS as usize;
    while i < count {
        let at = place(i, channel, channels, plane, last);
        let value = (x[at] - mean) * scale + shift;
        // NaN is not below zero.
        if relu && value <= 0.0 {
            y[at] = 0.0;
        } else {
            y[at] = value;
        }
        i += UNITS;
    }
}

/// The gradients of [`norm`].
#[cube(launch_unchecked)]
pub fn normed(
    x: &[f32],
    dy: &[f32],
    gamma: &[f32],
    beta: &[f32],
    stats: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    count: usize,
    channels: usize,
    plane: usize,
    eps: f32,
    #[comptime] relu: bool,
    #[comptime] given: bool,
    #[comptime] last: bool,
) {
    let mut shared = Shared::new_slice(UNITS);
    let channel = CUBE_POS_X as usize;
    let n = f32::cast_from(count);
    let (mean, variance) = (stats[channel], stats[channels + channel]);
    let inverse = 1.0f32 / (variance + eps).sqrt();
    let (scale, shift) = (gamma[channel], beta[channel]);
    let mut of_beta = 0.0f32;
    let mut of_gamma = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < count {
        let at = place(i, channel, channels, plane, last);
        let normal = (x[at] - mean) * inverse;
        let mut d = dy[at];
        if relu && normal * scale + shift <= 0.0 {
            d = 0.0;
        }
        of_beta += d;
        of_gamma += d * normal;
        i += UNITS;
    }
    let of_beta = total(of_beta, &mut shared);
    let of_gamma = total(of_gamma, &mut shared);
    if UNIT_POS == 0 {
        dbeta[channel] = of_beta;
        dgamma[channel] = of_gamma;
    }
    let mut level = of_beta / n;
    let mut slope = of_gamma / n;
    if given {
        level = 0.0;
        slope = 0.0;
    }
    i = UNIT_POS as usize;
    while i < count {
        let at = place(i, channel, channels, plane, last);
        let normal = (x[at] - mean) * inverse;
        let mut d = dy[at];
        if relu && normal * scale + shift <= 0.0 {
            d = 0.0;
        }
        dx[at] = scale * inverse * (d - level - normal * slope);
        i += UNITS;
    }
}
