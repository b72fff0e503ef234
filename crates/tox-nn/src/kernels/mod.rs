//! CPU kernels for the ops that a search spends its time in, as a Burn backend extension.
//!
//! Each op has a plain composition of Burn's own ops beside it (see [`crate::ops`]): other
//! backends run that, and `TOXSCREEN_KERNELS=plain` forces it everywhere. ([`update`], the optimiser's
//! step over weights on the host, is no op and the same for all.) The instruction set is
//! chosen at run time (AVX-512, AVX2, portable), or by `TOXSCREEN_KERNELS=avx2` or `portable`, see [`isa`]. Sums are
//! cut into the same parts whatever the number of threads, so threads do not change a result; instruction
//! sets do, in the last digits.

mod buffer_pool;
pub mod chain;
pub mod conv;
mod extension;
pub mod norm;
pub mod pool;
mod product;
mod tensor_list;
pub mod update;

pub use extension::{KernelBackend, MOST_INPUTS, Sink};
pub use tensor_list::TensorList;

use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use tox_data::isa::{self, dispatch};

/// Whether the kernels are to be used where the device allows it.
pub fn wanted() -> bool {
    !isa::plain()
}

/// Name of the instruction set in use, such as `avx512`, or what Burn's own ops run with.
pub fn instruction_set() -> &'static str {
    match wanted() {
        true => isa::name(),
        false => isa::name_of_plain(),
    }
}

/// Maps of fewer values are left to one thread: waking another costs more than it does.
const SMALL: usize = 1 << 15;

thread_local! {
    /// Whether this thread does one of several things that go on side by side.
    static BESIDE_OTHERS: Cell<bool> = const { Cell::new(false) };
}

/// Whether work on so many values is shared out.
fn shared_out(values: usize) -> bool {
    values >= SMALL && rayon::current_num_threads() > 1 && !BESIDE_OTHERS.get()
}

/// `f(0)` to `f(n - 1)`, each on one thread of the current pool if it has no more threads than that:
/// networks that do not wait for each other use threads better side by side than one after the other,
/// each shared out.
pub fn side_by_side<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = rayon::current_num_threads();
    if threads < 2 || n < threads {
        return (0..n).map(f).collect();
    }
    let alone = |i| {
        let _beside = Beside(BESIDE_OTHERS.replace(true));
        f(i)
    };
    (0..n).into_par_iter().map(alone).collect()
}

/// Puts back what the thread did before.
struct Beside(bool);

impl Drop for Beside {
    fn drop(&mut self) {
        BESIDE_OTHERS.set(self.0);
    }
}

/// Calls `f(i, chunk i)` for every chunk of `size`, on the threads of the current pool if it is worth
/// it for the `work` values that they look at.
fn par_chunks<T: Send>(
    data: &mut [T],
    size: usize,
    work: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    let size = size.max(1);
    if data.len() <= size || !shared_out(work) {
        data.chunks_mut(size)
            .enumerate()
            .for_each(|(i, chunk)| f(i, chunk));
    } else {
        data.par_chunks_mut(size)
            .enumerate()
            .for_each(|(i, chunk)| f(i, chunk));
    }
}

/// Lends `N` buffers of the given lengths, with whatever they last held, from a thread's scratch.
fn scratch<const N: usize, T>(lengths: [usize; N], f: impl FnOnce([&mut [f32]; N]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        let total = lengths.iter().sum();
        if buffer.len() < total {
            // The old one goes first, and nothing is copied.
            *buffer = Vec::new();
            *buffer = vec![0.0; total];
        }
        let mut rest = &mut buffer[..total];
        f(lengths.map(|length| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(length);
            rest = later;
            now
        }))
    })
}

/// Sums in sixteen lanes, so that the compiler can keep them in vectors without changing the
/// order from one instruction set to the next.
struct Lanes;

impl Lanes {
    const N: usize = 16;

    #[inline(always)]
    fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
        let mut lanes = [0.0f32; Self::N];
        let chunks = x.chunks_exact(Self::N);
        let rest: f64 = chunks.remainder().iter().map(|&v| f64::from(f(v))).sum();
        for chunk in chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane += f(v);
            }
        }
        lanes.iter().map(|&v| f64::from(v)).sum::<f64>() + rest
    }

    #[inline(always)]
    fn sum2(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> (f32, f32)) -> [f64; 2] {
        // Two arrays, each in a register; of an array of them the compiler keeps none there.
        let (mut first, mut second) = ([0.0f32; Self::N], [0.0f32; Self::N]);
        let ((xs, rest_x), (ys, rest_y)) =
            (x.as_chunks::<{ Self::N }>(), y.as_chunks::<{ Self::N }>());
        let mut totals = [0.0f64; 2];
        for (&x, &y) in rest_x.iter().zip(rest_y) {
            let (a, b) = f(x, y);
            totals[0] += f64::from(a);
            totals[1] += f64::from(b);
        }
        for (x, y) in xs.iter().zip(ys) {
            for i in 0..Self::N {
                let (a, b) = f(x[i], y[i]);
                first[i] += a;
                second[i] += b;
            }
        }
        let lanes = [first, second];
        for (total, lanes) in totals.iter_mut().zip(lanes) {
            *total += lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
        }
        totals
    }
}
