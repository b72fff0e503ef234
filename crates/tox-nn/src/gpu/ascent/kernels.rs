//! The kernels of an ascent. The state of `n` images is `3 n` numbers: for each the pass in which it was first
//! answered wrongly, or -1; its largest margin so far; and whether its present point is to be kept.
// The arguments of a kernel are its buffers and sizes.
#![allow(clippy::too_many_arguments)]

use crate::gpu::kernels::{UNITS, largest, place, total};
use cubecl::prelude::*;

/// What a projection onto a sphere leaves of its radius, so that the rounding of sums never leads out.
const INSIDE: f32 = 1.0 - 1e-5;

/// The loss that is raised, as a kernel is told.
pub const CROSS_ENTROPY: u32 = 0;
pub const MARGIN: u32 = 1;
pub const DIVERGENCE: u32 = 2;

#[cube]
fn finite(x: f32) -> bool {
    !x.is_nan() && x.abs() <= f32::max_value()
}

/// Looks at each image's logits: writes the derivative of the loss by them, and notes what they say of the
/// image. One that is answered wrongly, or whose derivative is not finite, has derivative 0. `of` are labels,
/// or the logits to diverge from.
#[cube(launch_unchecked)]
pub fn judge(
    logits: &[f32],
    of: &[f32],
    state: &mut [f32],
    cotangent: &mut [f32],
    n: usize,
    classes: usize,
    pass: f32,
    #[comptime] loss: u32,
    #[comptime] stops: bool,
) {
    if ABSOLUTE_POS >= n {
        terminate!();
    }
    let row = ABSOLUTE_POS * classes;
    // The largest logit, the first of equals; with the label's, the first largest of the others.
    let mut best = logits[row];
    let mut class = 0usize;
    let mut sound = finite(best);
    let mut number = !best.is_nan();
    for k in 1..classes {
        let value = logits[row + k];
        sound = sound && finite(value);
        number = number && !value.is_nan();
        if value > best {
            best = value;
            class = k;
        }
    }
    let mut label = 0usize;
    let mut other = 0usize;
    if comptime!(loss == CROSS_ENTROPY || loss == MARGIN) {
        label = usize::cast_from(of[ABSOLUTE_POS]);
        if label == 0 {
            other = 1;
        }
        for k in 0..classes {
            if k != label && logits[row + k] > logits[row + other] {
                other = k;
            }
        }
    }
    let mut open = true;
    if comptime!(stops) {
        open = state[ABSOLUTE_POS] < 0.0;
        let margin = logits[row + other] - logits[row + label];
        let wrong = !number || class != label;
        let mut kept = 0.0f32;
        if open && (wrong || (finite(margin) && margin > state[n + ABSOLUTE_POS])) {
            kept = 1.0f32;
            state[n + ABSOLUTE_POS] = margin;
            if wrong {
                state[ABSOLUTE_POS] = pass;
                open = false;
            }
        }
        state[2 * n + ABSOLUTE_POS] = kept;
    }
    let follow = open && sound;
    if comptime!(loss == MARGIN) {
        for k in 0..classes {
            let mut d = 0.0f32;
            if follow && k == other {
                d = 1.0f32;
            }
            if follow && k == label {
                d = -1.0f32;
            }
            cotangent[row + k] = d;
        }
    } else {
        let mut sum = 0.0f32;
        for k in 0..classes {
            sum += (logits[row + k] - best).exp();
        }
        if comptime!(loss == CROSS_ENTROPY) {
            // The label's own is minus the sum of the others: no digit is lost where the network is sure.
            let mut others = 0.0f32;
            for k in 0..classes {
                let mut d = 0.0f32;
                if follow && k != label {
                    d = (logits[row + k] - best).exp() / sum;
                    others += d;
                }
                cotangent[row + k] = d;
            }
            cotangent[row + label] = -others;
        } else {
            let mut most = of[row];
            let mut known = finite(most);
            for k in 1..classes {
                let value = of[row + k];
                known = known && finite(value);
                if value > most {
                    most = value;
                }
            }
            let mut all = 0.0f32;
            for k in 0..classes {
                all += (of[row + k] - most).exp();
            }
            for k in 0..classes {
                let mut d = 0.0f32;
                if follow && known {
                    d = (logits[row + k] - best).exp() / sum - (of[row + k] - most).exp() / all;
                }
                cotangent[row + k] = d;
            }
        }
    }
}

/// Keeps the points that the state says, of a last pass, behind which there is no step.
#[cube(launch_unchecked)]
pub fn keep(x: &[f32], kept: &mut [f32], state: &[f32], values: usize, n: usize, size: usize) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    if state[2 * n + ABSOLUTE_POS / size] > 0.0 {
        kept[ABSOLUTE_POS] = x[ABSOLUTE_POS];
    }
}

/// A step by the gradient's sign, cut at `bounds`: the lowest of all pixels, then the highest. One unit a pixel.
/// `scale`: the channels' means, then their standard deviations; `normal`: the images as the network sees them, by
/// which the gradient is, lying as NHWC; the gradient does so too if `last`.
#[cube(launch_unchecked)]
pub fn step_in_box(
    x: &mut [f32],
    kept: &mut [f32],
    normal: &mut [f32],
    gradient: &[f32],
    bounds: &[f32],
    state: &[f32],
    scale: &[f32],
    values: usize,
    n: usize,
    size: usize,
    plane: usize,
    length: f32,
    #[comptime] stops: bool,
    #[comptime] last: bool,
) {
    if ABSOLUTE_POS >= values {
        terminate!();
    }
    let row = ABSOLUTE_POS / size;
    let channels = size / plane;
    let channel = ABSOLUTE_POS % size / plane;
    let pixel = row * plane + ABSOLUTE_POS % plane;
    let point = x[ABSOLUTE_POS];
    let mut open = true;
    if comptime!(stops) {
        open = state[row] < 0.0;
        if state[2 * n + row] > 0.0 {
            kept[ABSOLUTE_POS] = point;
        }
    }
    if open {
        let slope = gradient[place(pixel, channel, channels, plane, last)];
        let mut next = point;
        if finite(slope) && slope > 0.0 {
            next += length;
        }
        if finite(slope) && slope < 0.0 {
            next -= length;
        }
        let low = bounds[ABSOLUTE_POS];
        let high = bounds[values + ABSOLUTE_POS];
        if next < low {
            next = low;
        }
        if next > high {
            next = high;
        }
        x[ABSOLUTE_POS] = next;
        let there = place(pixel, channel, channels, plane, true);
        normal[there] = (next - scale[channel]) / scale[channels + channel];
    }
}

/// The gradient by value `i` of an image.
#[cube]
fn slope_of(
    gradient: &[f32],
    scale: &[f32],
    row: usize,
    i: usize,
    channels: usize,
    plane: usize,
    #[comptime] last: bool,
) -> f32 {
    let channel = i / plane;
    let at = place(row * plane + i % plane, channel, channels, plane, last);
    gradient[at] / scale[channels + channel]
}

/// As [`step_in_box`], along the gradient, and back to within `radius` of `clean` and to 0..=1. One cube an image.
#[cube(launch_unchecked)]
pub fn step_in_sphere(
    x: &mut [f32],
    kept: &mut [f32],
    normal: &mut [f32],
    gradient: &[f32],
    clean: &[f32],
    state: &[f32],
    scale: &[f32],
    n: usize,
    size: usize,
    plane: usize,
    length: f32,
    radius: f32,
    #[comptime] stops: bool,
    #[comptime] last: bool,
) {
    let mut shared = Shared::new_slice(UNITS);
    let row = CUBE_POS_X as usize;
    let from = row * size;
    let channels = size / plane;
    let unit = UNIT_POS as usize;
    let mut open = true;
    if comptime!(stops) {
        open = state[row] < 0.0;
        if state[2 * n + row] > 0.0 {
            let mut i = unit;
            while i < size {
                kept[from + i] = x[from + i];
                i += UNITS;
            }
        }
    }
    // The gradient over its largest entry, so that no square of it is lost.
    let mut steepest = 0.0f32;
    let mut i = unit;
    while i < size {
        let slope = slope_of(gradient, scale, row, i, channels, plane, last).abs();
        if finite(slope) && slope > steepest {
            steepest = slope;
        }
        i += UNITS;
    }
    let steepest = largest(steepest, &mut shared);
    let mut squares = 0.0f32;
    i = unit;
    while i < size {
        let slope = slope_of(gradient, scale, row, i, channels, plane, last);
        if finite(slope) && steepest > 0.0 {
            let share = slope / steepest;
            squares += share * share;
        }
        i += UNITS;
    }
    let squares = total(squares, &mut shared);
    let mut stride = 0.0f32;
    if open && squares > 0.0 {
        stride = length / squares.sqrt();
    }
    let mut away = 0.0f32;
    i = unit;
    while i < size {
        let slope = slope_of(gradient, scale, row, i, channels, plane, last);
        let mut next = x[from + i];
        if finite(slope) && steepest > 0.0 {
            next += stride * (slope / steepest);
        }
        x[from + i] = next;
        let change = next - clean[from + i];
        away += change * change;
        i += UNITS;
    }
    let away = total(away, &mut shared).sqrt();
    i = unit;
    while i < size {
        let middle = clean[from + i];
        let mut next = x[from + i];
        if open && away > radius * INSIDE {
            next = middle + (next - middle) * (radius * INSIDE / away);
        }
        if next < 0.0 {
            next = 0.0f32;
        }
        if next > 1.0 {
            next = 1.0f32;
        }
        x[from + i] = next;
        let channel = i / plane;
        let there = place(row * plane + i % plane, channel, channels, plane, true);
        normal[there] = (next - scale[channel]) / scale[channels + channel];
        i += UNITS;
    }
}
