//! f32 rows: tiles of accumulators in registers, on any instruction set.

use super::coefficients::Coefficients;
use pulp::{Simd, WithSimd};
use tox_data::isa;

/// [`super::Products::project`].
pub fn project(x: &[f32], d: usize, w: &[f32], out: &mut [f32], pitch: usize) {
    let (rows, units) = (x.len() / d, w.len() / d);
    assert!(units == 0 || rows == 0 || (units - 1) * pitch + rows <= out.len());
    isa::dispatch(Project {
        x,
        d,
        w,
        out,
        pitch,
    });
}

/// [`super::Products::combine`].
pub fn combine(by: Coefficients<'_, f32>, rows: &[f32], d: usize, out: &mut [f32]) {
    isa::dispatch(Combine { by, rows, d, out });
}

/// Dot products of every row with every unit's weights.
struct Project<'a> {
    x: &'a [f32],
    d: usize,
    w: &'a [f32],
    out: &'a mut [f32],
    pitch: usize,
}

impl WithSimd for Project<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::REGISTER_COUNT >= 32, self.w.len() / self.d) {
            (_, 1) => self.tiles::<S, 8, 1>(simd),
            (true, _) => self.tiles::<S, 6, 4>(simd),
            (false, _) => self.tiles::<S, 3, 4>(simd),
        }
    }
}

impl Project<'_> {
    /// `R` rows by `K` units at a time. Past the last of either: that one again, its sum dropped.
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const K: usize>(self, simd: S) {
        let (d, vectors) = (self.d, self.d / S::F32_LANES);
        let (rows, units) = (self.x.len() / d, self.w.len() / d);
        for r in (0..rows).step_by(R) {
            let xs: [&[f32]; R] =
                std::array::from_fn(|i| &self.x[(r + i).min(rows - 1) * d..][..d]);
            let x = xs.map(|x| &S::as_simd_f32s(x).0[..vectors]);
            for k in (0..units).step_by(K) {
                let ws: [&[f32]; K] =
                    std::array::from_fn(|i| &self.w[(k + i).min(units - 1) * d..][..d]);
                let w = ws.map(|w| &S::as_simd_f32s(w).0[..vectors]);
                let mut sums = [[simd.splat_f32s(0.0); K]; R];
                for v in 0..vectors {
                    let w: [S::f32s; K] = std::array::from_fn(|i| w[i][v]);
                    for i in 0..R {
                        for j in 0..K {
                            sums[i][j] = simd.mul_add_e_f32s(x[i][v], w[j], sums[i][j]);
                        }
                    }
                }
                if vectors * S::F32_LANES < d {
                    let rest = |values: &[f32]| simd.partial_load_f32s(S::as_simd_f32s(values).1);
                    let w: [S::f32s; K] = std::array::from_fn(|i| rest(ws[i]));
                    for i in 0..R {
                        let x = rest(xs[i]);
                        for j in 0..K {
                            sums[i][j] = simd.mul_add_e_f32s(x, w[j], sums[i][j]);
                        }
                    }
                }
                for (i, sums) in sums.iter().enumerate().take(rows - r) {
                    for (j, &sum) in sums.iter().enumerate().take(units - k) {
                        self.out[(k + j) * self.pitch + r + i] = simd.reduce_sum_f32s(sum);
                    }
                }
            }
        }
    }
}

/// Sums of rows, each by its coefficient.
struct Combine<'a> {
    by: Coefficients<'a, f32>,
    rows: &'a [f32],
    d: usize,
    out: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (S::REGISTER_COUNT >= 32, self.out.len() / self.d) {
            (_, 1) => self.tiles::<S, 1, 8>(simd),
            (true, _) => self.tiles::<S, 4, 4>(simd),
            (false, _) => self.tiles::<S, 2, 4>(simd),
        }
    }
}

impl Combine<'_> {
    /// `A` rows of `out`, `V` vectors of each at a time.
    #[inline(always)]
    fn tiles<S: Simd, const A: usize, const V: usize>(&mut self, simd: S) {
        let vectors = self.d / S::F32_LANES;
        for a in (0..self.out.len() / self.d).step_by(A) {
            let wide = vectors / V * V;
            for v in (0..wide).step_by(V) {
                self.tile::<S, A, V>(simd, a, v * S::F32_LANES);
            }
            for v in wide..vectors {
                self.tile::<S, A, 1>(simd, a, v * S::F32_LANES);
            }
            if vectors * S::F32_LANES < self.d {
                self.tile::<S, A, 1>(simd, a, vectors * S::F32_LANES);
            }
        }
    }

    /// Columns from `at`: `V` vectors, the last maybe a part of one. Past the last row of `out`:
    /// that one again, its sums dropped.
    #[inline(always)]
    fn tile<S: Simd, const A: usize, const V: usize>(&mut self, simd: S, a: usize, at: usize) {
        let (d, last) = (self.d, self.out.len() / self.d - 1);
        let end = d.min(at + V * S::F32_LANES);
        let mut sums = [[simd.splat_f32s(0.0); V]; A];
        for (b, row) in self.rows.chunks_exact(d).enumerate() {
            let (vectors, rest) = S::as_simd_f32s(&row[at..end]);
            let mut x = [simd.splat_f32s(0.0); V];
            if rest.is_empty() {
                x.copy_from_slice(vectors);
            } else {
                x[0] = simd.partial_load_f32s(rest);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let by = simd.splat_f32s(self.by.at((a + i).min(last), b));
                for (sum, &x) in sums.iter_mut().zip(&x) {
                    *sum = simd.mul_add_e_f32s(by, x, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate().take(last + 1 - a) {
            let out = &mut self.out[(a + i) * d + at..(a + i) * d + end];
            let (vectors, rest) = S::as_mut_simd_f32s(out);
            if rest.is_empty() {
                for (out, &sum) in vectors.iter_mut().zip(sums) {
                    *out = simd.add_f32s(*out, sum);
                }
            } else {
                let old = simd.partial_load_f32s(rest);
                simd.partial_store_f32s(rest, simd.add_f32s(old, sums[0]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::plain;
    use rand::RngExt;
    use tox_data::rng::stream;

    /// Both products by `run`'s instruction set against plain loops in f64.
    fn check(name: &str, run: impl Fn(Product<'_>)) {
        let mut rng = stream(1, "reals", &[]);
        for d in [1, 7, 784, 785] {
            for rows in [1, 2, 5, 31, 64] {
                for units in [1, 3, 8, 10, 32] {
                    let mut reals = |n: usize| -> Vec<f32> {
                        (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
                    };
                    let (x, w) = (reals(rows * d), reals(units * d));
                    let (by, start) = (reals(units * 64), reals(units * d));
                    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                    let close = |ours: &[f32], exact: &[f64], terms: usize| {
                        let limit = 1e-7 * (1 + terms) as f64;
                        for (&a, &b) in ours.iter().zip(exact) {
                            assert!(
                                (f64::from(a) - b).abs() <= limit,
                                "{name} {d} {rows} {units}"
                            );
                        }
                    };

                    let (mut out, mut exact) = (vec![7.0; units * 64], vec![7.0; units * 64]);
                    run(Product::Project(Project {
                        x: &x,
                        d,
                        w: &w,
                        out: &mut out,
                        pitch: 64,
                    }));
                    plain::project(&wide(&x), d, &wide(&w), &mut exact, 64);
                    close(&out, &exact, d);

                    let (mut g, mut exact) = (start.clone(), wide(&start));
                    run(Product::Combine(Combine {
                        by: Coefficients::by_unit(&by, 64),
                        rows: &x,
                        d,
                        out: &mut g,
                    }));
                    let by_wide = wide(&by);
                    plain::combine(
                        Coefficients::by_unit(&by_wide, 64),
                        &wide(&x),
                        d,
                        &mut exact,
                    );
                    close(&g, &exact, rows);

                    let (mut spread, mut exact) = (x.clone(), wide(&x));
                    run(Product::Combine(Combine {
                        by: Coefficients::by_row(&by, 64),
                        rows: &w,
                        d,
                        out: &mut spread,
                    }));
                    plain::combine(Coefficients::by_row(&by_wide, 64), &wide(&w), d, &mut exact);
                    close(&spread, &exact, units);
                }
            }
        }
    }

    enum Product<'a> {
        Project(Project<'a>),
        Combine(Combine<'a>),
    }

    impl WithSimd for Product<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            match self {
                Product::Project(op) => op.with_simd(simd),
                Product::Combine(op) => op.with_simd(simd),
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_plain_loops() {
        check("best", |op| pulp::Arch::new().dispatch(op));
        check("portable", |op| op.with_simd(pulp::Scalar::new()));
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            check("avx2", |op| Simd::vectorize(avx2, op));
        }
    }
}
