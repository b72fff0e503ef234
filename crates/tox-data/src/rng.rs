//! Random streams keyed by (seed, purpose, indices), so that a draw added somewhere moves nothing
//! elsewhere and a resumed trial draws what an undisturbed one would.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The stream for `purpose` (and, say, an epoch and a step) under `seed`.
pub fn stream(seed: u64, purpose: &str, indices: &[u64]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 random stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    for index in indices {
        hasher.update(&index.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::stream;
    use rand::RngExt;

    #[test]
    fn streams_differ_by_every_part_of_the_key_and_by_nothing_else() {
        let first = |seed, purpose, indices: &[u64]| stream(seed, purpose, indices).random::<u64>();
        let base = first(1, "shuffle", &[2, 3]);
        assert_eq!(base, first(1, "shuffle", &[2, 3]));
        for other in [
            first(2, "shuffle", &[2, 3]),
            first(1, "shuffl", &[2, 3]),
            first(1, "shuffle", &[3, 2]),
            first(1, "shuffle", &[2]),
        ] {
            assert_ne!(base, other);
        }
    }
}
