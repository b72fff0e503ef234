//! 8-bit rows, multiplied as integers (AVX-512 VNNI: 64 products an instruction).
//!
//! The real side becomes fixed-point numbers of 24 bits, relative to the largest of its row: three
//! digits of 8 bits with a sign, `step * (65536 a + 256 b + c)`. The bytes are exact as they are, so are
//! the integer sums, and each value is rounded once, by at most 2^-23 of the largest: as exact as
//! f32 sums of as many products, three quarters of their instructions, and nothing is converted.
//! Rows are cut into tiles (see [`tile`]) when a set is prepared, once for all its passes.

// Elsewhere there are no integer kernels that read what is laid out here.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_variables))]

pub mod tile;
#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::kernels::ROWS;
use crate::real::Real;
use tile::{Four, Line, Tile};
use tox_data::isa;

/// Digits of a number.
const DIGITS: usize = 3;
/// What the largest of a row becomes: three digits of -128 to 127 can write 8,355,711, and rounding
/// must not lead beyond.
const LARGEST: f32 = 8_355_600.0;
/// Below this a row counts as zero: the step would leave f32's normal numbers.
const LEAST: f32 = 1e-30;
/// Most columns for which no sum of 255 * 128 can leave 32 bits.
pub const MAX_COLUMNS: usize = 65_536;
/// Sums that a row's product with one of fewer than [`FEW`] units has before it is made real.
const LANES: usize = 16;
const FEW: usize = 4;

/// Whether 8-bit rows of `d` columns are multiplied as integers.
pub fn integers<F: Real>(d: usize) -> bool {
    F::IS_SINGLE && d <= MAX_COLUMNS && isa::integers()
}

/// Whether this machine multiplies 8-bit rows as integers: AVX-512 with VNNI.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// A matrix of weights in digits, laid out for [`project`]. It keeps its room from one use to the
/// next.
#[derive(Debug, Default)]
pub struct Digits {
    /// Unit by unit, a unit's columns by fours; the last one is filled up with zeros.
    digits: Vec<Four>,
    /// What 1 is worth, and the sum of the weights, for each unit.
    steps: Vec<f32>,
    sums: Vec<f32>,
}

impl Digits {
    /// Takes the matrix `w` of `d` columns.
    pub fn set(&mut self, w: &[f32], d: usize) {
        super::fast(
            #[inline(always)]
            || self.fill(w, d),
        );
    }

    #[inline(always)]
    fn fill(&mut self, w: &[f32], d: usize) {
        self.steps.clear();
        self.sums.clear();
        let fours = d.div_ceil(4);
        self.digits.resize(w.len() / d * fours, Four::default());
        for (w, to) in w.chunks_exact(d).zip(self.digits.chunks_exact_mut(fours)) {
            let (step, per_step) = scale(w);
            self.steps.push(step);
            self.sums
                .push(w.iter().map(|&w| f64::from(w)).sum::<f64>() as f32);
            for (w, to) in w.chunks(4 * LANES).zip(to.chunks_mut(LANES)) {
                let [high, middle, low] = &mut planes::<{ 4 * LANES }>(w, per_step);
                let each = high.as_chunks().0.iter().zip(middle.as_chunks().0);
                for (to, ((high, middle), low)) in to.iter_mut().zip(each.zip(low.as_chunks().0)) {
                    *to = [*high, *middle, *low];
                }
            }
        }
    }

    /// The digits of unit `k`.
    #[cfg(target_arch = "x86_64")]
    fn unit(&self, k: usize) -> &[Four] {
        let fours = self.digits.len() / self.steps.len();
        &self.digits[k * fours..][..fours]
    }
}

/// The digits of at most `N` values, a digit's side by side.
#[inline(always)]
fn planes<const N: usize>(values: &[f32], per_step: f32) -> [[i8; N]; DIGITS] {
    let mut planes = [[0; N]; DIGITS];
    let [high, middle, low] = &mut planes;
    for (((&value, high), middle), low) in values.iter().zip(high).zip(middle).zip(low) {
        [*high, *middle, *low] = digits(value, per_step);
    }
    planes
}

/// The step of a row's fixed-point numbers, and how many there are to 1. Values that are not finite
/// make the step not a number, and with it all that comes of it.
#[inline(always)]
fn scale(values: &[f32]) -> (f32, f32) {
    let mut most = [0.0f32; 16];
    let mut broken = [0.0f32; 16];
    for values in values.chunks(16) {
        for ((most, broken), &value) in most.iter_mut().zip(&mut broken).zip(values) {
            let size = value.abs();
            *most = if size > *most { size } else { *most };
            *broken += 0.0 * value;
        }
    }
    let most = most.into_iter().fold(0.0, f32::max);
    let broken: f32 = broken.into_iter().sum();
    if broken.is_nan() {
        (f32::NAN, 0.0)
    } else if most < LEAST {
        (0.0, 0.0)
    } else {
        (most / LARGEST, LARGEST / most)
    }
}

/// The digits of a value, the most significant first.
#[inline(always)]
fn digits(value: f32, per_step: f32) -> [i8; DIGITS] {
    let number = (value * per_step).round_ties_even() as i32;
    let low = number as i8;
    let rest = (number - i32::from(low)) >> 8;
    let middle = rest as i8;
    [((rest - i32::from(middle)) >> 8) as i8, middle, low]
}

/// Weights in digits, and the scale and offset that make features of the bytes that they meet.
pub type Weights<'a> = (&'a Digits, (f32, f32));

/// `out[k * pitch + r] = x[r] . w[k]` for the rows `x` of a tile.
pub fn project(tile: &Tile, weights: Weights<'_>, out: &mut [f32], pitch: usize) {
    let w = weights.0;
    assert!(tile.columns <= MAX_COLUMNS && available());
    assert!(w.digits.len() == w.steps.len() * tile.columns.div_ceil(4));
    assert!(w.steps.len() * pitch <= out.len() && tile.rows <= pitch);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the machine has the instructions, asserted above.
    unsafe {
        vnni::project(tile, weights, out, pitch);
    }
}

/// `g[k * d + j] += sum over r of delta[k * pitch + r] * x[r][j]` for the rows `x` of a tile, which have
/// `d` columns and whose features have this scale and offset; `room` is kept between calls.
pub fn accumulate(
    (tile, affine): (&Tile, (f32, f32)),
    delta: &[f32],
    pitch: usize,
    room: &mut Vec<Line>,
    g: &mut [f32],
) {
    let (rows, units) = (tile.rows, g.len() / tile.columns);
    assert!(rows <= ROWS && units * pitch <= delta.len() && available());
    let (times, offset) = affine;
    let mut scales = Vec::with_capacity(units);
    room.clear();
    for delta in delta.chunks_exact(pitch).take(units) {
        let delta = &delta[..rows];
        super::fast(
            #[inline(always)]
            || {
                let (step, per_step) = scale(delta);
                let written = planes::<ROWS>(delta, per_step);
                let shift = match offset == 0.0 {
                    true => 0.0,
                    false => offset * delta.iter().sum::<f32>(),
                };
                scales.push((times * step, shift));
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has the instructions, asserted above.
                unsafe {
                    vnni::spread(&written, tile.groups(), room);
                }
            },
        );
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the machine has the instructions, asserted above.
    unsafe {
        vnni::accumulate(tile, room, &scales, g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngExt};
    use tox_data::rng::stream;

    /// Products with odd sizes against f64, relative to the sum of the products' sizes.
    #[test]
    #[ignore = "needs AVX-512 VNNI"]
    fn vnni_integer_products_are_as_exact_as_f32() {
        assert!(available(), "no AVX-512 VNNI on this machine");
        let mut rng = stream(1, "bytes", &[]);
        let (scale, offset) = (2.0f32 / 255.0, -1.0f32);
        for d in [1, 3, 7, 64, 784, 785] {
            for rows in [1, 2, 5, 31, 64, 127, ROWS] {
                for units in [1, 3, 8, 10, 16, 33] {
                    let mut bytes = vec![0; rows * d];
                    rng.fill_bytes(&mut bytes);
                    let x = |r: usize, j: usize| {
                        f64::from(scale) * f64::from(bytes[r * d + j]) + f64::from(offset)
                    };
                    let mut reals = |n: usize| -> Vec<f32> {
                        (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
                    };
                    let (w, delta, start) =
                        (reals(units * d), reals(units * ROWS), reals(units * d));

                    let mut digits = Digits::default();
                    digits.set(&w, d);
                    let mut out = vec![7.0; units * ROWS];
                    let tile = Tile::new(&bytes, d);
                    project(&tile, (&digits, (scale, offset)), &mut out, ROWS);
                    for (k, out) in out.chunks_exact(ROWS).enumerate() {
                        for (r, &out) in out[..rows].iter().enumerate() {
                            let terms = || (0..d).map(|j| f64::from(w[k * d + j]) * x(r, j));
                            let exact: f64 = terms().sum();
                            let size: f64 =
                                w[k * d..][..d].iter().map(|w| f64::from(w.abs())).sum();
                            assert!(
                                (f64::from(out) - exact).abs() <= 4e-7 * size,
                                "{d} {rows} {units}: {out} {exact} {size}"
                            );
                        }
                        assert!(out[rows..].iter().all(|&out| out == 7.0));
                    }

                    let mut g = start.clone();
                    accumulate(
                        (&tile, (scale, offset)),
                        &delta,
                        ROWS,
                        &mut Vec::new(),
                        &mut g,
                    );
                    for (at, (&g, &start)) in g.iter().zip(&start).enumerate() {
                        let (delta, j) = (&delta[at / d * ROWS..][..rows], at % d);
                        let terms = delta.iter().enumerate();
                        let exact: f64 = terms.map(|(r, &by)| f64::from(by) * x(r, j)).sum();
                        let size: f64 = delta.iter().map(|by| f64::from(by.abs())).sum();
                        let error = f64::from(g) - f64::from(start) - exact;
                        assert!(
                            error.abs() <= 4e-7 * (size + 1.0),
                            "{d} {rows} {units}: {error}"
                        );
                    }
                }
            }
        }
    }

    /// Bit for bit: the sums of columns with the same remainder of their four by 16 made real and then added
    /// by halves, or of many units the whole sum made real; whether fours are empty or not.
    #[test]
    #[ignore = "needs AVX-512 VNNI"]
    fn vnni_sums_are_made_real_in_one_order() {
        assert!(available(), "no AVX-512 VNNI on this machine");
        let mut rng = stream(2, "bytes", &[]);
        let (times, offset) = (2.0f32 / 255.0, -1.0f32);
        let join = |[a, b, c]: [i32; 3]| {
            let low = (b as f32).mul_add(256.0, c as f32);
            (a as f32).mul_add(65536.0, low)
        };
        for (rows, d, units) in [(ROWS, 784, 1), (77, 130, 1), (1, 3, 2), (100, 784, 5)] {
            let mut bytes = vec![0; rows * d];
            rng.fill_bytes(&mut bytes);
            for (i, byte) in bytes.iter_mut().enumerate() {
                // Of two fours in five one is empty in all rows, and every tenth byte is zero.
                *byte = match (i % d / 4 % 5, *byte) {
                    (1 | 3, _) | (_, 0..25) => 0,
                    (_, byte) => byte,
                };
            }
            let w: Vec<f32> = (0..units * d).map(|_| rng.random::<f32>() - 0.5).collect();
            let mut ready = Digits::default();
            ready.set(&w, d);
            let tile = Tile::new(&bytes, d);
            let mut out = vec![0.0; units * ROWS];
            project(&tile, (&ready, (times, offset)), &mut out, ROWS);
            for (k, w) in w.chunks_exact(d).enumerate() {
                let (step, per_step) = scale(w);
                for (r, row) in bytes.chunks_exact(d).enumerate() {
                    let mut lanes = [[0i32; 3]; LANES];
                    for (j, (&x, &w)) in row.iter().zip(w).enumerate() {
                        let lane = if units < FEW { j / 4 % LANES } else { 0 };
                        for (sum, digit) in lanes[lane].iter_mut().zip(digits(w, per_step)) {
                            *sum += i32::from(x) * i32::from(digit);
                        }
                    }
                    let mut sums = lanes.map(join);
                    for half in [8, 4, 2, 1] {
                        for lane in 0..half {
                            sums[lane] += sums[lane + half];
                        }
                    }
                    let expected = times * (step * sums[0]) + offset * ready.sums[k];
                    assert_eq!(
                        out[k * ROWS + r].to_bits(),
                        expected.to_bits(),
                        "{rows} {d} {units}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_coefficient_that_is_no_number_reaches_empty_columns() {
        if !available() {
            return;
        }
        let tile = Tile::new(&[0, 0, 0, 0, 9], 5);
        for (delta, is_nan) in [(1.0, false), (f32::NAN, true)] {
            let mut g = vec![0.5; 5];
            accumulate(
                (&tile, (1.0, 0.0)),
                &[delta; ROWS],
                ROWS,
                &mut Vec::new(),
                &mut g,
            );
            assert_eq!(g[0].is_nan(), is_nan);
            assert!(is_nan || g == [0.5, 0.5, 0.5, 0.5, 9.5]);
        }
    }

    #[test]
    fn digits_write_every_number() {
        for number in (-8_355_711..=8_355_711i32).step_by(37).chain([8_355_711]) {
            let [a, b, c] = digits(number as f32, 1.0).map(i32::from);
            assert_eq!(65_536 * a + 256 * b + c, number);
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        if !available() {
            return;
        }
        for bad in [f32::NAN, f32::INFINITY] {
            for units in [1, 8] {
                let mut w = vec![0.25; units * 5];
                w[3] = bad;
                let mut digits = Digits::default();
                digits.set(&w, 5);
                let mut out = vec![0.0; units * ROWS];
                let tile = Tile::new(&[1; 10], 5);
                project(&tile, (&digits, (1.0, 0.0)), &mut out, ROWS);
                assert!(out[..2].iter().all(|out| out.is_nan()));
                assert!(units == 1 || (out[ROWS] - 1.25).abs() < 1e-6);
            }
        }
    }
}
