//! 8-bit rows, multiplied as integers (AVX-512 VNNI: 64 products an instruction).
//!
//! The real side becomes fixed-point numbers of 24 bits, relative to the largest of its row: three
//! digits of 8 bits with a sign, `step * (65536 a + 256 b + c)`. The bytes are exact as they are, so are
//! the integer sums, and each value is rounded once, by at most 2^-23 of the largest: as exact as
//! f32 sums of as many products, three quarters of their instructions, and nothing is converted.

#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::kernels::ROWS;
use crate::real::Real;
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
/// Units side by side in a vector; fewer than [`FEW`] are taken one by one.
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
    /// Few units: `[unit][digit][column]`; else `[16 units][4 columns][digit][unit][column]`.
    /// Columns, and units, are filled up with zeros.
    digits: Vec<i8>,
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
        let units = w.len() / d;
        self.steps.clear();
        self.sums.clear();
        let size = if units < FEW {
            units * DIGITS * padded(d)
        } else {
            units.div_ceil(LANES) * d.div_ceil(4) * DIGITS * 4 * LANES
        };
        self.digits.resize(size, 0);
        for (k, w) in w.chunks_exact(d).enumerate() {
            let (step, per_step) = scale(w);
            self.steps.push(step);
            self.sums
                .push(w.iter().map(|&w| f64::from(w)).sum::<f64>() as f32);
            if units < FEW {
                let (pitch, rows) = (padded(d), &mut self.digits);
                let rows = &mut rows[k * DIGITS * pitch..(k + 1) * DIGITS * pitch];
                let (a, rest) = rows.split_at_mut(pitch);
                let (b, c) = rest.split_at_mut(pitch);
                for (((&w, a), b), c) in w.iter().zip(a).zip(b).zip(c) {
                    [*a, *b, *c] = digits(w, per_step);
                }
            } else {
                let group = k / LANES * d.div_ceil(4) * DIGITS * 4 * LANES;
                for (quad, w) in w.chunks(4).enumerate() {
                    let at = group + quad * DIGITS * 4 * LANES + k % LANES * 4;
                    for (j, &w) in w.iter().enumerate() {
                        for (i, digit) in digits(w, per_step).into_iter().enumerate() {
                            self.digits[at + i * 4 * LANES + j] = digit;
                        }
                    }
                }
            }
        }
    }
}

/// Columns filled up to whole vectors.
fn padded(d: usize) -> usize {
    d.next_multiple_of(64)
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

/// `out[k * pitch + r] = x[r] . w[k]`, where `x = scale * byte + offset`.
pub fn project(
    bytes: &[u8],
    d: usize,
    affine: (f32, f32),
    w: &Digits,
    out: &mut [f32],
    pitch: usize,
) {
    assert!(d <= MAX_COLUMNS && available());
    let units = w.steps.len();
    assert!(units * pitch <= out.len() && bytes.len() / d <= pitch);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the machine has the instructions, asserted above.
    unsafe {
        if units < FEW {
            vnni::project_few(bytes, d, affine, w, out, pitch);
        } else {
            vnni::project_many(bytes, d, affine, w, out, pitch);
        }
    }
}

/// `g[k * d + j] += sum over r of delta[k * pitch + r] * x[r][j]`, where `x = scale * byte + offset`.
/// At most [`ROWS`] rows; `room` is kept between calls.
pub fn accumulate(
    bytes: &[u8],
    d: usize,
    (times, offset): (f32, f32),
    delta: &[f32],
    pitch: usize,
    room: &mut Vec<[i32; DIGITS]>,
    g: &mut [f32],
) {
    let (rows, units) = (bytes.len() / d, g.len() / d);
    assert!(rows <= ROWS && units * pitch <= delta.len() && available());
    let quads = rows.div_ceil(4);
    let mut scales = Vec::with_capacity(units);
    super::fast(
        #[inline(always)]
        || {
            room.clear();
            for delta in delta.chunks_exact(pitch).take(units) {
                let delta = &delta[..rows];
                let (step, per_step) = scale(delta);
                let mut written = [[0u8; ROWS]; DIGITS];
                let [high, middle, low] = &mut written;
                for (((&value, high), middle), low) in delta.iter().zip(high).zip(middle).zip(low) {
                    [*high, *middle, *low] = digits(value, per_step).map(|digit| digit as u8);
                }
                let fours = written.each_ref().map(|digits| digits.as_chunks::<4>().0);
                for quad in 0..quads {
                    room.push(fours.map(|fours| i32::from_le_bytes(fours[quad])));
                }
                let shift = match offset == 0.0 {
                    true => 0.0,
                    false => offset * delta.iter().sum::<f32>(),
                };
                scales.push((times * step, shift));
            }
        },
    );
    debug_assert_eq!(room.len(), units * quads);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the machine has the instructions, asserted above.
    unsafe {
        vnni::accumulate(bytes, d, room, &scales, g);
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
                    project(&bytes, d, (scale, offset), &digits, &mut out, ROWS);
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
                        &bytes,
                        d,
                        (scale, offset),
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
                project(&[1; 10], 5, (1.0, 0.0), &digits, &mut out, ROWS);
                assert!(out[..2].iter().all(|out| out.is_nan()));
                assert!(units == 1 || (out[ROWS] - 1.25).abs() < 1e-6);
            }
        }
    }
}
