//! The instruction set that kernels run with: the best one that the machine has, or what
//! `TOXSCREEN_KERNELS` asks for. Nothing else reads the variable, so that everything obeys it alike.
//!
//! Outcomes are the same where [`name`] is, on whatever machine: `avx2` asked for on a newer CPU is
//! `avx2` of an older one.

use pulp::{Arch, Simd, WithSimd};
use std::sync::LazyLock;

/// What `TOXSCREEN_KERNELS` asks for.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// The best instruction set that this machine has.
    Best,
    /// Burn's own ops in place of kernels, which then are portable.
    Plain,
    /// AVX2 at most.
    Avx2,
    /// What every machine of its kind has.
    Portable,
}

impl Choice {
    fn given() -> Result<Self, String> {
        let value = std::env::var_os("TOXSCREEN_KERNELS").unwrap_or_default();
        match value.to_str() {
            Some("") => Ok(Self::Best),
            Some("plain") => Ok(Self::Plain),
            #[cfg(target_arch = "x86_64")]
            Some("avx2") if pulp::x86::V3::try_new().is_some() => Ok(Self::Avx2),
            Some("avx2") => {
                Err("TOXSCREEN_KERNELS asks for avx2, which this machine has not".into())
            }
            Some("portable") => Ok(Self::Portable),
            _ => Err(format!(
                "TOXSCREEN_KERNELS is {value:?}; expected plain, avx2 or portable"
            )),
        }
    }

    fn get() -> Self {
        static CHOICE: LazyLock<Choice> = LazyLock::new(|| Choice::given().unwrap_or(Choice::Best));
        *CHOICE
    }
}

/// Refuses a `TOXSCREEN_KERNELS` that cannot be followed, which the kernels take for none.
///
/// # Errors
/// An unknown word, or an instruction set that this machine has not.
pub fn check() -> Result<(), String> {
    Choice::given().map(|_| ())
}

/// Whether Burn's own ops are to run in place of kernels.
pub fn plain() -> bool {
    Choice::get() == Choice::Plain
}

/// Runs `op` with the instruction set in use. To profit, what it calls must be `#[inline(always)]`.
#[inline(always)]
pub fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    match Choice::get() {
        Choice::Best => Arch::new().dispatch(op),
        #[cfg(target_arch = "x86_64")]
        Choice::Avx2 => match pulp::x86::V3::try_new() {
            Some(simd) => Simd::vectorize(simd, op),
            None => op.with_simd(pulp::Scalar::new()),
        },
        #[cfg(not(target_arch = "x86_64"))]
        Choice::Avx2 => op.with_simd(pulp::Scalar::new()),
        Choice::Plain | Choice::Portable => op.with_simd(pulp::Scalar::new()),
    }
}

/// Name of the instruction set that [`dispatch`] uses, such as `avx512`.
pub fn name() -> &'static str {
    struct Name;
    impl WithSimd for Name {
        type Output = &'static str;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> &'static str {
            match S::F32_LANES {
                16 => "avx512",
                8 => "avx2",
                4 => "128-bit",
                _ => "portable",
            }
        }
    }
    dispatch(Name)
}

/// Whether 8-bit rows are multiplied as integers (AVX-512 VNNI).
#[inline]
pub fn integers() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        Choice::get() == Choice::Best
            && name() == "avx512"
            && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Name of what Burn's own ops run with: their matrix products ask the CPU themselves, and cut sums
/// by the size of its cache, so such an outcome is of one machine.
pub fn name_of_plain() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "plain, gemm avx512";
        }
        if is_x86_feature_detected!("fma") {
            return "plain, gemm fma";
        }
        "plain, gemm scalar"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        "plain"
    }
}

/// All of the above in words: what a computation that goes on must go on with.
pub fn all() -> String {
    match (plain(), integers()) {
        (true, _) => name_of_plain().to_owned(),
        (false, true) => format!("{} with vnni", name()),
        (false, false) => name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_there() {
        assert!(["avx512", "avx2", "128-bit", "portable"].contains(&name()));
        assert!(all().starts_with(name()) || plain());
        assert!(!integers() || name() == "avx512");
    }
}
