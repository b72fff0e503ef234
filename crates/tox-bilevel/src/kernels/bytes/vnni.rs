//! The integer products themselves. Every function wants AVX-512 with VNNI, which
//! [`super::available`] finds out.

use super::tile::{Four, GROUP, Line, Tile};
use super::{DIGITS, FEW, LANES, Weights};
use crate::kernels::ROWS;
use std::arch::x86_64::*;

/// The sums of the three digits as one number.
#[inline]
#[target_feature(enable = "avx512f")]
fn join([a, b, c]: [__m512i; DIGITS]) -> __m512 {
    let (a, b, c) = (
        _mm512_cvtepi32_ps(a),
        _mm512_cvtepi32_ps(b),
        _mm512_cvtepi32_ps(c),
    );
    let low = _mm512_fmadd_ps(b, _mm512_set1_ps(256.0), c);
    _mm512_fmadd_ps(a, _mm512_set1_ps(65536.0), low)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn joined<const G: usize>(sums: [[__m512i; DIGITS]; G]) -> [__m512; G] {
    let mut joined = [_mm512_setzero_ps(); G];
    for g in 0..G {
        joined[g] = join(sums[g]);
    }
    joined
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line has 64 bytes, and is aligned to as many.
    unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
}

/// The part of a tile's rows that a product takes at a time: `G` lines of each four from the `from`th.
#[derive(Clone, Copy)]
struct Part<'a, const G: usize> {
    tile: &'a Tile,
    from: usize,
}

impl<const G: usize> Part<'_, G> {
    /// The integer sums of fours `range` with one unit's weights, a row in each lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn sums(self, range: std::ops::Range<usize>, w: &[Four]) -> [[__m512i; DIGITS]; G] {
        let (tile, groups) = (self.tile, self.tile.groups());
        let mut sums = [[_mm512_setzero_si512(); DIGITS]; G];
        let lines = tile.lines[range.start * groups..range.end * groups].chunks_exact(groups);
        for (lines, &four) in lines.zip(&tile.fours[range]) {
            let lines = &lines[self.from..self.from + G];
            let w = &w[usize::from(four)];
            for digit in 0..DIGITS {
                let w = _mm512_set1_epi32(i32::from_le_bytes(w[digit].map(|w| w as u8)));
                for g in 0..G {
                    sums[g][digit] = _mm512_dpbusd_epi32(sums[g][digit], load(&lines[g]), w);
                }
            }
        }
        sums
    }

    /// Writes the features' sums with unit `k`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(self, sums: [__m512; G], (w, affine): Weights<'_>, k: usize, out: &mut [f32]) {
        let (scale, offset) = affine;
        let base = _mm512_set1_ps(offset * w.sums[k]);
        let (scale, step) = (_mm512_set1_ps(scale), _mm512_set1_ps(w.steps[k]));
        for (g, sum) in sums.into_iter().enumerate() {
            let sum = _mm512_add_ps(_mm512_mul_ps(scale, _mm512_mul_ps(step, sum)), base);
            let first = (self.from + g) * GROUP;
            let out = &mut out[first..self.tile.rows.min(first + GROUP)];
            let mask = u16::MAX >> (GROUP - out.len());
            // SAFETY: the mask leaves what is in `out`.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, sum) };
        }
    }
}

/// Products of a tile's rows with each unit's weights. Of few units the sums of the columns whose fours
/// have the same remainder are made real first, then added by halves; of many the whole sum is.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn project(tile: &Tile, (w, affine): Weights<'_>, out: &mut [f32], pitch: usize) {
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn part<const G: usize>(
        part: Part<'_, G>,
        (w, affine): Weights<'_>,
        out: &mut [f32],
        pitch: usize,
    ) -> usize {
        let units = w.steps.len();
        for (k, out) in out.chunks_mut(pitch).enumerate().take(units) {
            let mut sums = [[_mm512_setzero_ps(); G]; LANES];
            if units < FEW {
                let mut start = 0;
                for (sums, &end) in sums.iter_mut().zip(&part.tile.ends) {
                    *sums = joined(part.sums(start..end, w.unit(k)));
                    start = end;
                }
                for half in [8, 4, 2, 1] {
                    let (left, right) = sums.split_at_mut(half);
                    for (left, right) in
                        left.as_flattened_mut().iter_mut().zip(right.as_flattened())
                    {
                        *left = _mm512_add_ps(*left, *right);
                    }
                }
            } else {
                sums[0] = joined(part.sums(0..part.tile.fours.len(), w.unit(k)));
            }
            part.write(sums[0], (w, affine), k, out);
        }
        G
    }
    let mut from = 0;
    while from < tile.groups() {
        from += match tile.groups() - from {
            8.. => part(Part::<8> { tile, from }, (w, affine), out, pitch),
            4.. => part(Part::<4> { tile, from }, (w, affine), out, pitch),
            _ => part(Part::<1> { tile, from }, (w, affine), out, pitch),
        };
    }
}

/// Adds a unit's digits of the rows of some groups as [`accumulate`] reads them: in each 128-bit lane
/// those of four rows, four times.
#[target_feature(enable = "avx512f")]
pub fn spread(digits: &[[i8; ROWS]; DIGITS], groups: usize, to: &mut Vec<Line>) {
    let each = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    for g in 0..groups {
        for digits in digits {
            let rows = &digits[g * GROUP..][..GROUP];
            let mut line = Line::ZERO;
            // SAFETY: `rows` has 16 bytes, a line 64.
            unsafe {
                let rows = _mm512_castsi128_si512(_mm_loadu_si128(rows.as_ptr().cast()));
                let lanes = _mm512_permutexvar_epi32(each, rows);
                _mm512_store_si512(std::ptr::from_mut(&mut line).cast(), lanes);
            }
            to.push(line);
        }
    }
}

/// Fours of columns that fill a vector of sums.
const FOURS: usize = 4;

/// Adds the products of a tile's columns with each unit's coefficients to the unit's gradient.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn accumulate(tile: &Tile, delta: &[Line], scales: &[(f32, f32)], g: &mut [f32]) {
    let (groups, d) = (tile.groups(), tile.columns);
    let units = delta.chunks_exact(groups * DIGITS).zip(scales);
    for ((delta, &scale), g) in units.zip(g.chunks_exact_mut(d)) {
        // What is empty has a sum of zero, which a scale that is not a number still makes none.
        let nothing = 0.0f32.mul_add(scale.0, scale.1);
        if nothing != 0.0 {
            for &four in &tile.empty {
                let at = 4 * usize::from(four);
                g[at..d.min(at + 4)].iter_mut().for_each(|g| *g += nothing);
            }
        }
        match groups {
            8 => columns::<8>(tile, delta, scale, g),
            7 => columns::<7>(tile, delta, scale, g),
            6 => columns::<6>(tile, delta, scale, g),
            5 => columns::<5>(tile, delta, scale, g),
            4 => columns::<4>(tile, delta, scale, g),
            3 => columns::<3>(tile, delta, scale, g),
            2 => columns::<2>(tile, delta, scale, g),
            _ => columns::<1>(tile, delta, scale, g),
        }
    }
}

/// One unit's part of [`accumulate`], for a tile of `G` groups. All its digits stay in registers: a core
/// loads fewer vectors than it multiplies.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn columns<const G: usize>(tile: &Tile, delta: &[Line], scale: (f32, f32), g: &mut [f32]) {
    let mut digits = [[_mm512_setzero_si512(); DIGITS]; G];
    for (digits, lines) in digits.iter_mut().zip(delta.as_chunks::<DIGITS>().0) {
        for digit in 0..DIGITS {
            digits[digit] = load(&lines[digit]);
        }
    }
    let lines = tile.lines.as_chunks::<G>().0.chunks(FOURS);
    for (lines, fours) in lines.zip(tile.fours.chunks(FOURS)) {
        let mut sums = [[_mm512_setzero_si512(); FOURS]; DIGITS];
        for (i, lines) in lines.iter().enumerate() {
            let mut sum = [_mm512_setzero_si512(); DIGITS];
            for r in 0..G {
                let x = by_column(load(&lines[r]));
                for digit in 0..DIGITS {
                    sum[digit] = _mm512_dpbusd_epi32(sum[digit], x, digits[r][digit]);
                }
            }
            for digit in 0..DIGITS {
                sums[digit][i] = sum[digit];
            }
        }
        add(join(sums.map(|sums| together(sums))), scale, fours, g);
    }
}

/// From four columns of a row side by side to four rows of a column, in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn by_column(line: __m512i) -> __m512i {
    let each = _mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    _mm512_shuffle_epi8(line, _mm512_broadcast_i32x4(each))
}

/// Lane i gets the sum of the lanes of vector i, 128 bits each.
#[inline]
#[target_feature(enable = "avx512f")]
fn together([a, b, c, d]: [__m512i; FOURS]) -> __m512i {
    let ab = _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0x44>(a, b),
        _mm512_shuffle_i32x4::<0xee>(a, b),
    );
    let cd = _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0x44>(c, d),
        _mm512_shuffle_i32x4::<0xee>(c, d),
    );
    _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0x88>(ab, cd),
        _mm512_shuffle_i32x4::<0xdd>(ab, cd),
    )
}

/// Adds the sums of some fours of columns to a unit's gradient.
#[inline]
#[target_feature(enable = "avx512f")]
fn add(sums: __m512, (scale, shift): (f32, f32), fours: &[u16], g: &mut [f32]) {
    let sums = _mm512_fmadd_ps(sums, _mm512_set1_ps(scale), _mm512_set1_ps(shift));
    let mut each = [[0.0f32; 4]; FOURS];
    // SAFETY: `each` has 16 values.
    unsafe { _mm512_storeu_ps(each.as_mut_ptr().cast(), sums) };
    for (&four, sums) in fours.iter().zip(each) {
        let at = 4 * usize::from(four);
        match g.get_mut(at..at + 4) {
            Some(g) => (0..4).for_each(|c| g[c] += sums[c]),
            None => g[at..].iter_mut().zip(sums).for_each(|(g, sum)| *g += sum),
        }
    }
}
