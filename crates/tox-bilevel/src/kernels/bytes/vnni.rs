//! The integer products themselves. Every function wants AVX-512 with VNNI, which
//! [`super::available`] finds out.

use super::{DIGITS, Digits, LANES, padded};
use crate::kernels::ROWS;
use std::arch::x86_64::*;

/// Rows that a product takes at a time.
const R: usize = 8;
/// Bytes of a vector.
const VECTOR: usize = 4 * LANES;

/// The 64 columns of a row from `j`, zeros behind its last.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn columns_of(row: &[u8], j: usize) -> __m512i {
    let mask = u64::MAX >> (VECTOR - (row.len() - j).min(VECTOR));
    // SAFETY: only bytes inside `row` are read.
    unsafe { _mm512_maskz_loadu_epi8(mask, row.as_ptr().add(j).cast()) }
}

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

/// Adds 64 columns of some rows to their sums with a unit, whose digits lie `pitch` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_columns(sums: &mut [[__m512i; DIGITS]; R], x: [__m512i; R], w: &[i8], pitch: usize) {
    for digit in 0..DIGITS {
        let w = &w[digit * pitch..][..VECTOR];
        // SAFETY: `w` has 64 values.
        let w = unsafe { _mm512_loadu_si512(w.as_ptr().cast()) };
        for i in 0..R {
            sums[i][digit] = _mm512_dpbusd_epi32(sums[i][digit], x[i], w);
        }
    }
}

/// The rows from `r`; past the last that one again, its sum to be dropped.
#[inline(always)]
fn rows_from(bytes: &[u8], d: usize, r: usize) -> [&[u8]; R] {
    let last = bytes.len() / d - 1;
    let mut x = [&bytes[..d]; R];
    for (i, x) in x.iter_mut().enumerate() {
        *x = &bytes[(r + i).min(last) * d..][..d];
    }
    x
}

/// Rows at a time, the columns in the lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn project_few(
    bytes: &[u8],
    d: usize,
    (scale, offset): (f32, f32),
    w: &Digits,
    out: &mut [f32],
    pitch: usize,
) {
    let (rows, whole) = (bytes.len() / d, d / VECTOR * VECTOR);
    for r in (0..rows).step_by(R) {
        let x = rows_from(bytes, d, r);
        for (k, w_k) in w.digits.chunks_exact(DIGITS * padded(d)).enumerate() {
            let mut sums = [[_mm512_setzero_si512(); DIGITS]; R];
            // Whole vectors without a mask, then what is left.
            for j in (0..whole).step_by(VECTOR) {
                let mut vectors = [_mm512_setzero_si512(); R];
                for (vector, x) in vectors.iter_mut().zip(x) {
                    let x = &x[j..j + VECTOR];
                    // Rows are too short for the machine to foresee the next ones.
                    let later = x.as_ptr().wrapping_add(R * d).cast();
                    // SAFETY: `x` has 64 values; a prefetch may have any address.
                    unsafe {
                        _mm_prefetch::<_MM_HINT_T0>(later);
                        *vector = _mm512_loadu_si512(x.as_ptr().cast());
                    }
                }
                add_columns(&mut sums, vectors, &w_k[j..], padded(d));
            }
            if whole < d {
                let mut vectors = [_mm512_setzero_si512(); R];
                for (vector, x) in vectors.iter_mut().zip(x) {
                    *vector = columns_of(x, whole);
                }
                add_columns(&mut sums, vectors, &w_k[whole..], padded(d));
            }
            let base = offset * w.sums[k];
            for (i, &sums) in sums.iter().enumerate().take(rows - r) {
                let sum = _mm512_reduce_add_ps(join(sums));
                out[k * pitch + r + i] = scale * (w.steps[k] * sum) + base;
            }
        }
    }
}

/// Rows at a time, sixteen units in the lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn project_many(
    bytes: &[u8],
    d: usize,
    (scale, offset): (f32, f32),
    w: &Digits,
    out: &mut [f32],
    pitch: usize,
) {
    let (rows, units) = (bytes.len() / d, w.steps.len());
    let (quads, whole) = (d.div_ceil(4), d / 4);
    for r in (0..rows).step_by(R) {
        let x = rows_from(bytes, d, r);
        // Columns behind the last whole four.
        let rest = x.map(|x| {
            let rest = &x[4 * whole..];
            std::array::from_fn::<u8, 4, _>(|j| rest.get(j).copied().unwrap_or(0))
        });
        let groups = w.digits.chunks_exact(quads * DIGITS * VECTOR);
        for (group, w_k) in groups.enumerate() {
            let zero = [[_mm512_setzero_si512(); DIGITS]; R];
            let (w_k, w_rest) = w_k.split_at(whole * DIGITS * VECTOR);
            let mut sums = add_fours(zero, w_k, x);
            if !w_rest.is_empty() {
                sums = add_fours(sums, w_rest, rest.each_ref().map(|rest| &rest[..]));
            }
            let first = group * LANES;
            for (i, &sums) in sums.iter().enumerate().take(rows - r) {
                let mut sum = [0.0f32; LANES];
                // SAFETY: `sum` has 16 values.
                unsafe { _mm512_storeu_ps(sum.as_mut_ptr(), join(sums)) };
                for (k, sum) in (first..units).zip(sum) {
                    out[k * pitch + r + i] = scale * (w.steps[k] * sum) + offset * w.sums[k];
                }
            }
        }
    }
}

/// Adds the whole fours of columns that `w` has to the sums of some rows with sixteen units.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_fours(mut sums: [[__m512i; DIGITS]; R], w: &[i8], x: [&[u8]; R]) -> [[__m512i; DIGITS]; R] {
    let fours = w.len() / (DIGITS * VECTOR);
    assert!(x.iter().all(|x| 4 * fours <= x.len()));
    for four in 0..fours {
        // Read by pointer: from slices the compiler gathers these into vectors of its own.
        // SAFETY: `w` has three vectors and each row four bytes for each four, asserted above.
        unsafe {
            let w = w.as_ptr().add(four * DIGITS * VECTOR);
            let a = _mm512_loadu_si512(w.cast());
            let b = _mm512_loadu_si512(w.add(VECTOR).cast());
            let c = _mm512_loadu_si512(w.add(2 * VECTOR).cast());
            for i in 0..R {
                let x = x[i].as_ptr().add(4 * four).cast::<i32>().read_unaligned();
                let x = _mm512_set1_epi32(x);
                sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], x, a);
                sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], x, b);
                sums[i][2] = _mm512_dpbusd_epi32(sums[i][2], x, c);
            }
        }
    }
    sums
}

/// 64 columns at a time: the rows of a block are interleaved by fours, then go to two units at
/// a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn accumulate(
    bytes: &[u8],
    d: usize,
    delta: &[[i32; DIGITS]],
    scales: &[(f32, f32)],
    g: &mut [f32],
) {
    let quads = bytes.len().div_ceil(4 * d);
    if let [scale] = scales {
        for j in (0..d).step_by(VECTOR) {
            let mut sums = [[_mm512_setzero_si512(); DIGITS]; 4];
            for (rows, &delta) in bytes.chunks(4 * d).zip(delta) {
                add_four(&mut sums, four(rows, d, j), delta);
            }
            add(sums, *scale, Some(&mut *g), j);
        }
        return;
    }
    let mut room = [[_mm512_setzero_si512(); 4]; ROWS / 4];
    let x = &mut room[..quads];
    for j in (0..d).step_by(VECTOR) {
        for (x, rows) in x.iter_mut().zip(bytes.chunks(4 * d)) {
            *x = four(rows, d, j);
        }
        let mut units = delta.chunks_exact(quads).zip(scales);
        let mut g = g.chunks_exact_mut(d);
        while let Some((delta, scale)) = units.next() {
            match units.next() {
                Some((delta2, scale2)) => {
                    let sums = columns(x, [delta, delta2]);
                    add(sums[0], *scale, g.next(), j);
                    add(sums[1], *scale2, g.next(), j);
                }
                None => {
                    let [sums] = columns(x, [delta]);
                    add(sums, *scale, g.next(), j);
                }
            }
        }
    }
}

/// The 64 columns from `j` of at most four rows, interleaved; rows that are missing are zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn four(rows: &[u8], d: usize, j: usize) -> [__m512i; 4] {
    let mut vectors = [_mm512_setzero_si512(); 4];
    for (vector, row) in vectors.iter_mut().zip(rows.chunks_exact(d)) {
        *vector = columns_of(row, j);
    }
    interleave(vectors)
}

/// Vector q gets, in its 128-bit lane l, the four rows' bytes of columns 16 l + 4 q to + 3, a
/// column's side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave(rows: [__m512i; 4]) -> [__m512i; 4] {
    let low = _mm512_unpacklo_epi8(rows[0], rows[1]);
    let high = _mm512_unpackhi_epi8(rows[0], rows[1]);
    let low2 = _mm512_unpacklo_epi8(rows[2], rows[3]);
    let high2 = _mm512_unpackhi_epi8(rows[2], rows[3]);
    [
        _mm512_unpacklo_epi16(low, low2),
        _mm512_unpackhi_epi16(low, low2),
        _mm512_unpacklo_epi16(high, high2),
        _mm512_unpackhi_epi16(high, high2),
    ]
}

/// The sums of 64 columns for each unit, in the order of [`interleave`].
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn columns<const K: usize>(
    x: &[[__m512i; 4]],
    delta: [&[[i32; DIGITS]]; K],
) -> [[[__m512i; DIGITS]; 4]; K] {
    let delta = delta.map(|delta| &delta[..x.len()]);
    let mut sums = [[[_mm512_setzero_si512(); DIGITS]; 4]; K];
    for (quad, x) in x.iter().enumerate() {
        for k in 0..K {
            add_four(&mut sums[k], *x, delta[k][quad]);
        }
    }
    sums
}

/// Adds four interleaved rows to a unit's sums.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_four(sums: &mut [[__m512i; DIGITS]; 4], x: [__m512i; 4], delta: [i32; DIGITS]) {
    for digit in 0..DIGITS {
        let delta = _mm512_set1_epi32(delta[digit]);
        for q in 0..4 {
            sums[q][digit] = _mm512_dpbusd_epi32(sums[q][digit], x[q], delta);
        }
    }
}

/// Adds the sums of columns `j` to `j + 63` to a unit's gradient.
#[inline]
#[target_feature(enable = "avx512f")]
fn add(sums: [[__m512i; DIGITS]; 4], (scale, shift): (f32, f32), g: Option<&mut [f32]>, j: usize) {
    let Some(g) = g else { return };
    let [a, b, c, d] = sums.map(|sums| join(sums));
    // From vectors of lanes to columns in order: 4 x 4 blocks transposed.
    let (ab, cd) = (
        _mm512_shuffle_f32x4::<0x44>(a, b),
        _mm512_shuffle_f32x4::<0x44>(c, d),
    );
    let (ab2, cd2) = (
        _mm512_shuffle_f32x4::<0xee>(a, b),
        _mm512_shuffle_f32x4::<0xee>(c, d),
    );
    let sums = [
        _mm512_shuffle_f32x4::<0x88>(ab, cd),
        _mm512_shuffle_f32x4::<0xdd>(ab, cd),
        _mm512_shuffle_f32x4::<0x88>(ab2, cd2),
        _mm512_shuffle_f32x4::<0xdd>(ab2, cd2),
    ];
    let (scale, shift) = (_mm512_set1_ps(scale), _mm512_set1_ps(shift));
    for (g, sum) in g[j..].chunks_mut(LANES).zip(sums) {
        let sum = _mm512_fmadd_ps(sum, scale, shift);
        if g.len() == LANES {
            // SAFETY: `g` has 16 values.
            unsafe {
                let old = _mm512_loadu_ps(g.as_ptr());
                _mm512_storeu_ps(g.as_mut_ptr(), _mm512_add_ps(old, sum));
            }
        } else {
            let mut rest = [0.0f32; LANES];
            // SAFETY: `rest` has 16 values.
            unsafe { _mm512_storeu_ps(rest.as_mut_ptr(), sum) };
            for (g, sum) in g.iter_mut().zip(rest) {
                *g += sum;
            }
        }
    }
}
