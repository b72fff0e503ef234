//! exp, ln, tanh and their like from the crate `libm`, for the whole program.
//!
//! The C library's are rounded in other ways from one version to the next, and by the CPU, and the
//! standard library, Burn and `rand_distr` call them all. So they are defined here under their C names,
//! where the linker finds them before it looks into the C library: no call of the program leaves it,
//! and an outcome is the same beside any C library. Functions that have one right result, such as
//! `floor`, `fma` and `fmod`, may come from anywhere.
//!
//! A test of the binary (`toxscreen/tests/machines.rs`) looks for what was forgotten.

use std::ffi::c_int;

/// Defines functions of the same name and type as in `libm`.
macro_rules! define {
    ($($name:ident($($x:ident: $of:ty),*) -> $to:ty;)*) => {$(
        #[doc(hidden)]
        // Sound: name and type are those of C's function, and so is what it does.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($x: $of),*) -> $to {
            ::libm::$name($($x),*)
        }
    )*};
}

define! {
    acos(x: f64) -> f64;
    acosf(x: f32) -> f32;
    acosh(x: f64) -> f64;
    acoshf(x: f32) -> f32;
    asin(x: f64) -> f64;
    asinf(x: f32) -> f32;
    asinh(x: f64) -> f64;
    asinhf(x: f32) -> f32;
    atan(x: f64) -> f64;
    atanf(x: f32) -> f32;
    atan2(y: f64, x: f64) -> f64;
    atan2f(y: f32, x: f32) -> f32;
    atanh(x: f64) -> f64;
    atanhf(x: f32) -> f32;
    cbrt(x: f64) -> f64;
    cbrtf(x: f32) -> f32;
    cos(x: f64) -> f64;
    cosf(x: f32) -> f32;
    cosh(x: f64) -> f64;
    coshf(x: f32) -> f32;
    erf(x: f64) -> f64;
    erff(x: f32) -> f32;
    erfc(x: f64) -> f64;
    erfcf(x: f32) -> f32;
    exp(x: f64) -> f64;
    expf(x: f32) -> f32;
    exp2(x: f64) -> f64;
    exp2f(x: f32) -> f32;
    exp10(x: f64) -> f64;
    exp10f(x: f32) -> f32;
    expm1(x: f64) -> f64;
    expm1f(x: f32) -> f32;
    hypot(x: f64, y: f64) -> f64;
    hypotf(x: f32, y: f32) -> f32;
    lgamma(x: f64) -> f64;
    lgammaf(x: f32) -> f32;
    log(x: f64) -> f64;
    logf(x: f32) -> f32;
    log10(x: f64) -> f64;
    log10f(x: f32) -> f32;
    log1p(x: f64) -> f64;
    log1pf(x: f32) -> f32;
    log2(x: f64) -> f64;
    log2f(x: f32) -> f32;
    pow(x: f64, y: f64) -> f64;
    powf(x: f32, y: f32) -> f32;
    sin(x: f64) -> f64;
    sinf(x: f32) -> f32;
    sinh(x: f64) -> f64;
    sinhf(x: f32) -> f32;
    tan(x: f64) -> f64;
    tanf(x: f32) -> f32;
    tanh(x: f64) -> f64;
    tanhf(x: f32) -> f32;
    tgamma(x: f64) -> f64;
    tgammaf(x: f32) -> f32;
}

/// Defines `sincos`, which the compiler calls in place of a sine and a cosine, and `lgamma_r`.
macro_rules! define_pairs {
    ($($sincos:ident, $lgamma:ident of $of:ty;)*) => {$(
        #[doc(hidden)]
        /// # Safety
        /// `sin` and `cos` must be valid for a write, as C demands it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $sincos(x: $of, sin: *mut $of, cos: *mut $of) {
            let (s, c) = ::libm::$sincos(x);
            // SAFETY: the caller's.
            unsafe {
                sin.write(s);
                cos.write(c);
            }
        }

        #[doc(hidden)]
        /// # Safety
        /// `sign` must be valid for a write, as C demands it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $lgamma(x: $of, sign: *mut c_int) -> $of {
            let (value, found) = ::libm::$lgamma(x);
            // SAFETY: the caller's.
            unsafe { sign.write(found) };
            value
        }
    )*};
}

define_pairs! {
    sincos, lgamma_r of f64;
    sincosf, lgammaf_r of f32;
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    /// The standard library's functions are these, bit for bit.
    #[test]
    fn the_standard_library_calls_them() {
        for i in -2000..2000 {
            let x = black_box(f64::from(i) * 0.017);
            let (y, single) = (x.abs() + 1e-3, black_box(x as f32));
            for (name, found, ours) in [
                ("exp", x.exp(), libm::exp(x)),
                ("ln", y.ln(), libm::log(y)),
                ("powf", y.powf(x), libm::pow(y, x)),
                ("tanh", x.tanh(), libm::tanh(x)),
                ("sin", x.sin(), libm::sin(x)),
                ("cos", x.cos(), libm::cos(x)),
                ("ln_1p", y.ln_1p(), libm::log1p(y)),
                ("exp_m1", x.exp_m1(), libm::expm1(x)),
                ("hypot", x.hypot(y), libm::hypot(x, y)),
                ("log10", y.log10(), libm::log10(y)),
                ("log2", y.log2(), libm::log2(y)),
                ("atan2", x.atan2(y), libm::atan2(x, y)),
            ] {
                assert_eq!(found.to_bits(), ours.to_bits(), "{name} of {x}");
            }
            for (name, found, ours) in [
                ("exp", single.exp(), libm::expf(single)),
                ("ln", single.abs().ln(), libm::logf(single.abs())),
                ("tanh", single.tanh(), libm::tanhf(single)),
                ("powf", 1.5f32.powf(single), libm::powf(1.5, single)),
                ("ln_1p", single.abs().ln_1p(), libm::log1pf(single.abs())),
            ] {
                assert_eq!(found.to_bits(), ours.to_bits(), "{name} of {single}, f32");
            }
        }
    }
}
