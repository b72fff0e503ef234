//! The products for f32, in vectors. 8-bit rows are widened in registers, so that a row costs a
//! quarter of the bytes. Sums of a tile stay in registers: rows by units in [`project`], units by
//! vectors of features in [`accumulate`].

use crate::real::Raw;
use pulp::{Scalar, Simd, WithSimd};

/// Most lanes of a vector of f32.
const LANES: usize = 16;

/// Rows as vectors.
trait Rows: Copy {
    /// Lanes of row `r` from feature `j` on, all of which exist.
    fn load<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s;

    /// The last features of row `r`, from `j` on, then zeros.
    fn tail<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s;
}

#[derive(Clone, Copy)]
struct Table<'a, T> {
    values: &'a [T],
    d: usize,
}

impl Rows for Table<'_, u8> {
    #[inline(always)]
    fn load<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s {
        let at = r * self.d + j;
        simd.widen(&self.values[at..at + S::F32_LANES])
    }

    #[inline(always)]
    fn tail<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s {
        let mut padded = [0; LANES];
        let rest = &self.values[r * self.d + j..(r + 1) * self.d];
        padded[..rest.len()].copy_from_slice(rest);
        simd.widen(&padded[..S::F32_LANES])
    }
}

impl Rows for Table<'_, f32> {
    #[inline(always)]
    fn load<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s {
        let at = r * self.d + j;
        simd.partial_load_f32s(&self.values[at..at + S::F32_LANES])
    }

    #[inline(always)]
    fn tail<S: Widen>(self, simd: S, r: usize, j: usize) -> S::f32s {
        simd.partial_load_f32s(&self.values[r * self.d + j..(r + 1) * self.d])
    }
}

/// Instruction sets that turn bytes into f32.
trait Widen: Simd {
    /// As many bytes as there are lanes.
    #[inline(always)]
    fn widen(self, bytes: &[u8]) -> Self::f32s {
        let mut wide = [0.0; LANES];
        for (wide, &byte) in wide.iter_mut().zip(bytes) {
            *wide = f32::from(byte);
        }
        self.partial_load_f32s(&wide[..Self::F32_LANES])
    }
}

impl Widen for Scalar {}

#[cfg(target_arch = "aarch64")]
impl Widen for pulp::aarch64::Neon {}

#[cfg(target_arch = "x86_64")]
impl Widen for pulp::x86::V3 {
    #[inline(always)]
    fn widen(self, bytes: &[u8]) -> Self::f32s {
        let mut eight = [0; LANES];
        eight[..8].copy_from_slice(&bytes[..8]);
        let wide = self.avx2._mm256_cvtepu8_epi32(pulp::cast(eight));
        pulp::cast(self.avx._mm256_cvtepi32_ps(wide))
    }
}

#[cfg(target_arch = "x86_64")]
impl Widen for pulp::x86::V4 {
    #[inline(always)]
    fn widen(self, bytes: &[u8]) -> Self::f32s {
        let mut sixteen = [0; LANES];
        sixteen.copy_from_slice(&bytes[..LANES]);
        let wide = self.avx512f._mm512_cvtepu8_epi32(pulp::cast(sixteen));
        pulp::cast(self.avx512f._mm512_cvtepi32_ps(wide))
    }
}

/// Something to run with an instruction set.
trait Kernel {
    fn run<S: Widen>(self, simd: S);
}

/// `kernel` with the instruction set `simd`.
struct With<S, K>(S, K);

impl<S: Widen, K: Kernel> WithSimd for With<S, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) {
        self.1.run(self.0);
    }
}

/// Runs a kernel with the best instruction set of this machine.
fn dispatch(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Simd::vectorize(simd, With(simd, kernel));
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Simd::vectorize(simd, With(simd, kernel));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = pulp::aarch64::Neon::try_new() {
        return Simd::vectorize(simd, With(simd, kernel));
    }
    Simd::vectorize(Scalar::new(), With(Scalar::new(), kernel));
}

/// [`crate::real::Real::project`].
pub fn project(x: Raw<'_, f32>, rows: usize, d: usize, w: &[f32], out: &mut [f32], pitch: usize) {
    match x {
        Raw::Bytes(values) => dispatch(Project {
            x: Table { values, d },
            rows,
            d,
            w,
            out,
            pitch,
        }),
        Raw::Reals(values) => dispatch(Project {
            x: Table { values, d },
            rows,
            d,
            w,
            out,
            pitch,
        }),
    }
}

/// [`crate::real::Real::accumulate`].
pub fn accumulate(
    x: Raw<'_, f32>,
    rows: usize,
    d: usize,
    delta: &[f32],
    pitch: usize,
    g: &mut [f32],
) {
    match x {
        Raw::Bytes(values) => dispatch(Accumulate {
            x: Table { values, d },
            rows,
            d,
            delta,
            pitch,
            g,
        }),
        Raw::Reals(values) => dispatch(Accumulate {
            x: Table { values, d },
            rows,
            d,
            delta,
            pitch,
            g,
        }),
    }
}

struct Project<'a, X> {
    x: X,
    rows: usize,
    d: usize,
    w: &'a [f32],
    out: &'a mut [f32],
    pitch: usize,
}

impl<X: Rows> Kernel for Project<'_, X> {
    #[inline(always)]
    fn run<S: Widen>(mut self, simd: S) {
        let units = self.w.len() / self.d;
        let mut k = 0;
        while k + 8 <= units {
            self.units::<S, 3, 8>(simd, k);
            k += 8;
        }
        if k + 4 <= units {
            self.units::<S, 4, 4>(simd, k);
            k += 4;
        }
        if k + 2 <= units {
            self.units::<S, 8, 2>(simd, k);
            k += 2;
        }
        if k < units {
            self.units::<S, 8, 1>(simd, k);
        }
    }
}

impl<X: Rows> Project<'_, X> {
    /// `U` units from `k` on, `R` rows at a time.
    #[inline(always)]
    fn units<S: Widen, const R: usize, const U: usize>(&mut self, simd: S, k: usize) {
        let mut r = 0;
        while r + R <= self.rows {
            self.tile::<S, R, U>(simd, r, k);
            r += R;
        }
        while r < self.rows {
            self.tile::<S, 1, U>(simd, r, k);
            r += 1;
        }
    }

    #[inline(always)]
    fn tile<S: Widen, const R: usize, const U: usize>(&mut self, simd: S, r: usize, k: usize) {
        let d = self.d;
        let mut sums = [[simd.splat_f32s(0.0); U]; R];
        let weights: [&[f32]; U] = std::array::from_fn(|u| &self.w[(k + u) * d..(k + u + 1) * d]);
        let whole = d / S::F32_LANES * S::F32_LANES;
        let mut j = 0;
        while j < whole {
            let x: [S::f32s; R] = std::array::from_fn(|i| self.x.load(simd, r + i, j));
            for u in 0..U {
                let w = simd.partial_load_f32s(&weights[u][j..j + S::F32_LANES]);
                for i in 0..R {
                    sums[i][u] = simd.mul_add_e_f32s(x[i], w, sums[i][u]);
                }
            }
            j += S::F32_LANES;
        }
        if whole < d {
            let x: [S::f32s; R] = std::array::from_fn(|i| self.x.tail(simd, r + i, whole));
            for u in 0..U {
                let w = simd.partial_load_f32s(&weights[u][whole..]);
                for i in 0..R {
                    sums[i][u] = simd.mul_add_e_f32s(x[i], w, sums[i][u]);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (u, sum) in sums.into_iter().enumerate() {
                self.out[(k + u) * self.pitch + r + i] = simd.reduce_sum_f32s(sum);
            }
        }
    }
}

struct Accumulate<'a, X> {
    x: X,
    rows: usize,
    d: usize,
    delta: &'a [f32],
    pitch: usize,
    g: &'a mut [f32],
}

impl<X: Rows> Kernel for Accumulate<'_, X> {
    #[inline(always)]
    fn run<S: Widen>(mut self, simd: S) {
        let units = self.g.len() / self.d;
        let mut k = 0;
        while k + 8 <= units {
            self.units::<S, 8, 3>(simd, k);
            k += 8;
        }
        if k + 4 <= units {
            self.units::<S, 4, 4>(simd, k);
            k += 4;
        }
        if k + 2 <= units {
            self.units::<S, 2, 8>(simd, k);
            k += 2;
        }
        if k < units {
            self.units::<S, 1, 8>(simd, k);
        }
    }
}

impl<X: Rows> Accumulate<'_, X> {
    /// `U` units from `k` on, `V` vectors of features at a time.
    #[inline(always)]
    fn units<S: Widen, const U: usize, const V: usize>(&mut self, simd: S, k: usize) {
        let mut j = 0;
        while j + V * S::F32_LANES <= self.d {
            self.tile::<S, U, V>(simd, k, j);
            j += V * S::F32_LANES;
        }
        while j + S::F32_LANES <= self.d {
            self.tile::<S, U, 1>(simd, k, j);
            j += S::F32_LANES;
        }
        if j < self.d {
            self.last::<S, U>(simd, k, j);
        }
    }

    #[inline(always)]
    fn tile<S: Widen, const U: usize, const V: usize>(&mut self, simd: S, k: usize, j: usize) {
        let at = |u: usize, v: usize| (k + u) * self.d + j + v * S::F32_LANES;
        let mut sums: [[S::f32s; V]; U] = std::array::from_fn(|u| {
            std::array::from_fn(|v| {
                simd.partial_load_f32s(&self.g[at(u, v)..at(u, v) + S::F32_LANES])
            })
        });
        let delta: [&[f32]; U] = std::array::from_fn(|u| {
            let from = (k + u) * self.pitch;
            &self.delta[from..from + self.rows]
        });
        for r in 0..self.rows {
            let x: [S::f32s; V] =
                std::array::from_fn(|v| self.x.load(simd, r, j + v * S::F32_LANES));
            for u in 0..U {
                let delta = simd.splat_f32s(delta[u][r]);
                for v in 0..V {
                    sums[u][v] = simd.mul_add_e_f32s(delta, x[v], sums[u][v]);
                }
            }
        }
        for (u, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let at = (k + u) * self.d + j + v * S::F32_LANES;
                simd.partial_store_f32s(&mut self.g[at..at + S::F32_LANES], sum);
            }
        }
    }

    /// The features that do not fill a vector.
    #[inline(always)]
    fn last<S: Widen, const U: usize>(&mut self, simd: S, k: usize, j: usize) {
        let range = |u: usize| (k + u) * self.d + j..(k + u + 1) * self.d;
        let mut sums: [S::f32s; U] =
            std::array::from_fn(|u| simd.partial_load_f32s(&self.g[range(u)]));
        for r in 0..self.rows {
            let x = self.x.tail(simd, r, j);
            for u in 0..U {
                let delta = simd.splat_f32s(self.delta[(k + u) * self.pitch + r]);
                sums[u] = simd.mul_add_e_f32s(delta, x, sums[u]);
            }
        }
        for (u, sum) in sums.into_iter().enumerate() {
            simd.partial_store_f32s(&mut self.g[(k + u) * self.d + j..(k + u + 1) * self.d], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::plain;
    use rand::Rng;
    use tox_data::rng::stream;

    /// Every instruction set that this machine has.
    fn everywhere(run: &dyn Fn(&dyn Fn(Job))) {
        run(&|job| Simd::vectorize(Scalar::new(), With(Scalar::new(), job)));
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V3::try_new() {
                run(&|job| Simd::vectorize(simd, With(simd, job)));
            }
            if let Some(simd) = pulp::x86::V4::try_new() {
                run(&|job| Simd::vectorize(simd, With(simd, job)));
            }
        }
    }

    /// One of the four kernels.
    enum Job<'a> {
        ProjectBytes(Project<'a, Table<'a, u8>>),
        ProjectReals(Project<'a, Table<'a, f32>>),
        AccumulateBytes(Accumulate<'a, Table<'a, u8>>),
        AccumulateReals(Accumulate<'a, Table<'a, f32>>),
    }

    impl Kernel for Job<'_> {
        #[inline(always)]
        fn run<S: Widen>(self, simd: S) {
            match self {
                Job::ProjectBytes(kernel) => kernel.run(simd),
                Job::ProjectReals(kernel) => kernel.run(simd),
                Job::AccumulateBytes(kernel) => kernel.run(simd),
                Job::AccumulateReals(kernel) => kernel.run(simd),
            }
        }
    }

    fn close(ours: &[f32], theirs: &[f64], size: f64) {
        for (&a, &b) in ours.iter().zip(theirs) {
            assert!((f64::from(a) - b).abs() <= 3e-6 * size, "{a} against {b}");
        }
    }

    #[test]
    fn vectors_agree_with_plain_loops_in_f64() {
        let pitch = 64;
        for d in [1, 7, 16, 50, 784, 785] {
            for rows in [1, 2, 5, 16, 63, 64] {
                for units in [1, 2, 3, 7, 8, 10, 32] {
                    let mut rng = stream(1, "kernels", &[d as u64, rows as u64, units as u64]);
                    let bytes: Vec<u8> = (0..rows * d).map(|_| rng.random()).collect();
                    let reals: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
                    let mut draw = |n: usize| -> Vec<f32> {
                        (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
                    };
                    let (w, delta, g) = (draw(units * d), draw(units * pitch), draw(units * d));
                    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                    let (w64, delta64, x) = (wide(&w), wide(&delta), Raw::Bytes(&bytes[..]));
                    let mut out64 = vec![0.0; units * pitch];
                    plain::project(x, rows, d, &w64, &mut out64, pitch);
                    let mut g64 = wide(&g);
                    plain::accumulate(x, rows, d, &delta64, pitch, &mut g64);
                    everywhere(&|run| {
                        for real in [false, true] {
                            let mut out = vec![0.0; units * pitch];
                            let mut sums = g.clone();
                            let (bytes, reals) = (
                                Table {
                                    values: &bytes[..],
                                    d,
                                },
                                Table {
                                    values: &reals[..],
                                    d,
                                },
                            );
                            if real {
                                run(Job::ProjectReals(Project {
                                    x: reals,
                                    rows,
                                    d,
                                    w: &w,
                                    out: &mut out,
                                    pitch,
                                }));
                                run(Job::AccumulateReals(Accumulate {
                                    x: reals,
                                    rows,
                                    d,
                                    delta: &delta,
                                    pitch,
                                    g: &mut sums,
                                }));
                            } else {
                                run(Job::ProjectBytes(Project {
                                    x: bytes,
                                    rows,
                                    d,
                                    w: &w,
                                    out: &mut out,
                                    pitch,
                                }));
                                run(Job::AccumulateBytes(Accumulate {
                                    x: bytes,
                                    rows,
                                    d,
                                    delta: &delta,
                                    pitch,
                                    g: &mut sums,
                                }));
                            }
                            close(&out, &out64, 255.0 * (d as f64).sqrt());
                            close(&sums, &g64, 255.0 * (rows as f64).sqrt());
                        }
                    });
                }
            }
        }
    }
}
