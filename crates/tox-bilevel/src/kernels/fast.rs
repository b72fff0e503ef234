//! Code compiled for the instruction set in use.

use pulp::{Simd, WithSimd};
use tox_data::isa;

/// Runs `f` compiled for the instruction set in use. To profit, `f` and what it calls must be
/// `#[inline(always)]`.
#[inline(always)]
pub fn fast<R>(f: impl FnOnce() -> R) -> R {
    struct Plain<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Plain<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    isa::dispatch(Plain(f))
}
