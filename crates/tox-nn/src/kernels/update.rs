//! The optimiser's update in one pass over weight, gradient and momentum.

use super::dispatch;
use pulp::{Simd, WithSimd};

/// One step of SGD with momentum, as PyTorch's: `g = scale * grad + decay * w`,
/// `v = momentum * v + g`, `w -= lr * v`, or with Nesterov momentum `w -= lr * (g + momentum * v)`.
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    /// Learning rate.
    pub lr: f32,
    pub momentum: f32,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty.
    pub decay: f32,
    /// What clipping multiplies the gradient with.
    pub scale: f32,
}

/// Applies the step. Without a gradient it is `scale * 0`, which is NaN if `scale` is.
pub fn momentum(w: &mut [f32], v: &mut [f32], grad: Option<&[f32]>, step: Momentum) {
    dispatch(Update { w, v, grad, step });
}

struct Update<'a> {
    w: &'a mut [f32],
    v: &'a mut [f32],
    grad: Option<&'a [f32]>,
    step: Momentum,
}

impl WithSimd for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Momentum {
            lr,
            momentum,
            nesterov,
            decay,
            scale,
        } = self.step;
        let pairs = self.w.iter_mut().zip(self.v.iter_mut());
        let one = |w: &mut f32, v: &mut f32, grad: f32| {
            let g = scale * grad + decay * *w;
            *v = momentum * *v + g;
            *w -= lr * if nesterov { g + momentum * *v } else { *v };
        };
        match self.grad {
            Some(grad) => pairs.zip(grad).for_each(|((w, v), &g)| one(w, v, g)),
            None => pairs.for_each(|(w, v)| one(w, v, 0.0)),
        }
    }
}

/// Sum of squares, in f32 lanes as PyTorch's norm: it overflows to infinity where f32 does.
pub fn square_sum(x: &[f32]) -> f32 {
    struct SquareSum<'a>(&'a [f32]);
    impl WithSimd for SquareSum<'_> {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> f32 {
            super::Lanes::sum(self.0, |v| v * v) as f32
        }
    }
    dispatch(SquareSum(x))
}
