//! What streams give, and what is drawn from them: every trial's outcome rests on these, so that another
//! version of a crate which draws otherwise is noticed here. The numbers are what rand 0.9, rand_chacha 0.9
//! and rand_distr 0.5 gave.

use rand::seq::index::sample;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tox_data::rng::stream;

/// How many of each are drawn.
const MANY: usize = 10_000;

/// The beginning of blake3 of the bytes of [`MANY`] values drawn from the stream of `purpose`.
fn digest<const N: usize>(
    purpose: &str,
    mut draw: impl FnMut(&mut ChaCha8Rng) -> [u8; N],
) -> String {
    let mut rng = stream(1, purpose, &[2, 3]);
    let bytes: Vec<u8> = (0..MANY).flat_map(|_| draw(&mut rng)).collect();
    blake3::hash(&bytes).to_hex()[..16].to_owned()
}

/// The digest of values of one range, drawn as many times.
macro_rules! range {
    ($range:expr) => {
        digest(stringify!($range), |rng| {
            rng.random_range($range).to_le_bytes()
        })
    };
}

#[track_caller]
fn check(drawn: &[(&str, String)], expected: &[(&str, &str)]) {
    let drawn: Vec<(&str, &str)> = drawn.iter().map(|(name, d)| (*name, d.as_str())).collect();
    assert_eq!(drawn, expected);
}

#[test]
fn streams_give_these_words_and_bytes() {
    let mut rng = stream(7, "words", &[]);
    let words: [u32; 4] = std::array::from_fn(|_| rng.next_u32());
    assert_eq!(words, [3875155338, 2417219132, 2070923045, 1225882821]);
    // A long number begins at the very next word, odd as its place may be.
    assert_eq!(
        [rng.next_u64(), u64::from(rng.next_u32()), rng.next_u64()],
        [13514150929693839028, 1093690645, 887361218830220747]
    );
    let mut bytes = [0; 7];
    rng.fill_bytes(&mut bytes);
    assert_eq!(bytes, [242, 39, 154, 116, 41, 158, 111]);
    assert_eq!(rng.next_u32(), 4258938706);

    let mut seeded = ChaCha8Rng::seed_from_u64(7);
    assert_eq!(
        [seeded.next_u64(), seeded.next_u64()],
        [2910824217569608635, 3098856782162503994]
    );

    let drawn = [
        ("u32", digest("u32", |rng| rng.next_u32().to_le_bytes())),
        ("u64", digest("u64", |rng| rng.next_u64().to_le_bytes())),
        // Long numbers lie across the ends of blocks.
        (
            "u32, u64",
            digest("u32, u64", |rng| {
                (u64::from(rng.next_u32()) ^ rng.next_u64()).to_le_bytes()
            }),
        ),
        (
            "bytes",
            digest("bytes", |rng| {
                let mut bytes = [0; 13];
                rng.fill_bytes(&mut bytes);
                bytes
            }),
        ),
    ];
    check(
        &drawn,
        &[
            ("u32", "bc84ca57fd1aaf35"),
            ("u64", "fb0551dc60417a93"),
            ("u32, u64", "8a78ad1c6a6b121f"),
            ("bytes", "27ba4a6ceba88f3e"),
        ],
    );
}

#[test]
fn values_of_a_type_are_these() {
    let drawn = [
        (
            "bool",
            digest("bool", |rng| [u8::from(rng.random::<bool>())]),
        ),
        ("u8", digest("u8", |rng| [rng.random()])),
        (
            "u32",
            digest("u32", |rng| rng.random::<u32>().to_le_bytes()),
        ),
        (
            "u64",
            digest("u64", |rng| rng.random::<u64>().to_le_bytes()),
        ),
        (
            "f32",
            digest("f32", |rng| rng.random::<f32>().to_le_bytes()),
        ),
        (
            "f64",
            digest("f64", |rng| rng.random::<f64>().to_le_bytes()),
        ),
        (
            "normal f32",
            digest("normal f32", |rng| {
                rng.sample::<f32, _>(StandardNormal).to_le_bytes()
            }),
        ),
        (
            "normal f64",
            digest("normal f64", |rng| {
                rng.sample::<f64, _>(StandardNormal).to_le_bytes()
            }),
        ),
    ];
    check(
        &drawn,
        &[
            ("bool", "14094cb06bc7abd5"),
            ("u8", "42b87279b7829003"),
            ("u32", "bc84ca57fd1aaf35"),
            ("u64", "fb0551dc60417a93"),
            ("f32", "b319f5a0bc782299"),
            ("f64", "81ac415570c7697e"),
            ("normal f32", "f12ac2e117578467"),
            ("normal f64", "219cc9468cfe0645"),
        ],
    );
    let mut rng = stream(7, "values", &[]);
    let normal: [f32; 2] = std::array::from_fn(|_| rng.sample(StandardNormal));
    assert_eq!(normal, [1.4261041, -0.9598098]);
    let normal: [f64; 2] = std::array::from_fn(|_| rng.sample(StandardNormal));
    assert_eq!(normal, [-0.9811487573534122, -0.13312538566153004]);
    assert_eq!([rng.random::<f32>(), rng.random()], [0.7905327, 0.43503666]);
    assert_eq!(
        [rng.random::<f64>(), rng.random()],
        [0.11564328173209637, 0.8966468713443183]
    );
}

#[test]
fn whole_numbers_of_a_range_are_these() {
    let drawn = [
        ("i8", range!(-4i8..=4)),
        ("u8 of 3", range!(0..3u8)),
        ("u8 of 2", range!(7..9u8)),
        ("u16 of 10", range!(0..10u16)),
        ("u16 of 9", range!(1..10u16)),
        ("u32 of 10", range!(0..10u32)),
        ("u32 of 50000", range!(0..50_000u32)),
        ("u32 of 3 billion", range!(0..3_000_000_000u32)),
        ("u32, all", range!(0..=u32::MAX)),
        ("i32 of 13", range!(0..13i32)),
        ("i64 of 9", range!(-4i64..=4)),
        ("i64, wide", range!(-3_000_000_000_000i64..3)),
        ("u64 of 1", range!(0..1u64)),
        ("u64 of 7", range!(0..7u64)),
        ("u64, wide", range!(0..12_000_000_000_000_000_000u64)),
        ("usize of 1", range!(0..1usize)),
        ("usize of 2", range!(0..2usize)),
        ("usize of 9", range!(0..=8usize)),
        ("usize of 10", range!(1..11usize)),
        ("usize of 15625", range!(0..15_625usize)),
        ("usize of 3 billion", range!(0..3_000_000_000usize)),
        ("usize, wide", range!(0..6_000_000_000_000usize)),
    ];
    check(
        &drawn,
        &[
            ("i8", "a9851d0742b41c2e"),
            ("u8 of 3", "d4c9f15f5b873548"),
            ("u8 of 2", "c45b4b1a742da0c7"),
            ("u16 of 10", "ee470c64e25d8167"),
            ("u16 of 9", "0207d5c89aa3c17f"),
            ("u32 of 10", "2971a9981d88e01c"),
            ("u32 of 50000", "e7c39d3821cbdb94"),
            ("u32 of 3 billion", "f71478773d8319bd"),
            ("u32, all", "9247124eeafcac2f"),
            ("i32 of 13", "5e370eddfd3c2c5f"),
            ("i64 of 9", "932ee98139278898"),
            ("i64, wide", "c4b6862c689b3aab"),
            ("u64 of 1", "c40cfbdf52f5c04f"),
            ("u64 of 7", "c875d207b247d19c"),
            ("u64, wide", "d03b3ee8eb06138e"),
            ("usize of 1", "c40cfbdf52f5c04f"),
            ("usize of 2", "5f1caf1f73b992ae"),
            ("usize of 9", "79102b368aa5f3b0"),
            ("usize of 10", "13ce78ab05adacb4"),
            ("usize of 15625", "5517fd7deb3916af"),
            ("usize of 3 billion", "7971dc586bd69801"),
            ("usize, wide", "18361d571372c6d5"),
        ],
    );
    let mut rng = stream(7, "ranges", &[]);
    assert_eq!(
        [(); 8].map(|()| rng.random_range(0..10usize)),
        [2, 4, 9, 0, 2, 4, 5, 8]
    );
    assert_eq!(
        [(); 8].map(|()| rng.random_range(0..10u16)),
        [8, 5, 9, 1, 9, 9, 4, 3]
    );
}

#[test]
fn real_numbers_of_a_range_are_these() {
    let drawn = [
        ("f32", range!(-0.3f32..0.3)),
        ("f32, radius", range!(-8.0 / 255.0..8.0f32 / 255.0)),
        ("f32, closed", range!(-1.0f32..=1.0)),
        ("f64", range!(0.1..1.0f64)),
        ("f64, far", range!(0.0..600.0f64)),
        ("f64, closed", range!(-1.0f64..=1.0)),
    ];
    check(
        &drawn,
        &[
            ("f32", "f6865d8c193e6361"),
            ("f32, radius", "e9366dde6b4698d9"),
            ("f32, closed", "ec384f7c09398e64"),
            ("f64", "3e77e3c0ff0c8c54"),
            ("f64, far", "c7df7d0c7f7d0369"),
            ("f64, closed", "40d3faa8a1d3990f"),
        ],
    );
    let mut rng = stream(7, "real ranges", &[]);
    assert_eq!(
        [(); 3].map(|()| rng.random_range(-1.0..=1.0f32)),
        [0.87514806, -0.0907073, 0.86878896]
    );
    assert_eq!(
        [(); 3].map(|()| rng.random_range(-1.0..=1.0f64)),
        [
            -0.34635109138141207,
            -0.2500698331397735,
            0.17838207353038493
        ]
    );
}

#[test]
fn orders_and_choices_are_these() {
    let bytes =
        |order: &[usize]| -> Vec<u8> { order.iter().flat_map(|i| i.to_le_bytes()).collect() };
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    let shuffled = |n: usize| {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut stream(1, "shuffle", &[n as u64]));
        order
    };
    let sampled =
        |n: usize, of: usize| sample(&mut stream(1, "sample", &[n as u64]), of, n).into_vec();
    assert_eq!(shuffled(10), [8, 1, 9, 7, 3, 0, 2, 6, 4, 5]);
    assert_eq!(sampled(5, 10), [9, 3, 2, 8, 6]);
    // Each of the ways in which `sample` works is among these.
    let drawn = [
        ("shuffle of 2", hash(&bytes(&shuffled(2)))),
        ("shuffle of 100", hash(&bytes(&shuffled(100)))),
        ("shuffle of 50000", hash(&bytes(&shuffled(50_000)))),
        ("sample of 2 of 50", hash(&bytes(&sampled(2, 50)))),
        ("sample of 10 of 100", hash(&bytes(&sampled(10, 100)))),
        ("sample of 25 of 50", hash(&bytes(&sampled(25, 50)))),
        ("sample of 50 of 50", hash(&bytes(&sampled(50, 50)))),
        (
            "sample of 100 of 15625",
            hash(&bytes(&sampled(100, 15_625))),
        ),
        (
            "sample of 1000 of 15625",
            hash(&bytes(&sampled(1000, 15_625))),
        ),
        (
            "sample of 5000 of 15625",
            hash(&bytes(&sampled(5000, 15_625))),
        ),
        (
            "sample of 500 of 1000000",
            hash(&bytes(&sampled(500, 1_000_000))),
        ),
        (
            "choose of 25",
            digest("choose of 25", |rng| {
                let all: [u8; 25] = std::array::from_fn(|i| i as u8);
                [*all.choose(rng).unwrap_or(&u8::MAX)]
            }),
        ),
    ];
    check(
        &drawn,
        &[
            ("shuffle of 2", "74500697761748e7"),
            ("shuffle of 100", "663cfb6d86b56232"),
            ("shuffle of 50000", "3cd85ba480437a9a"),
            ("sample of 2 of 50", "98901c9c5ec0fa97"),
            ("sample of 10 of 100", "10dadf0ef5c076d3"),
            ("sample of 25 of 50", "f093029de602fae4"),
            ("sample of 50 of 50", "e9b43085417a97eb"),
            ("sample of 100 of 15625", "8f717ec894e1041b"),
            ("sample of 1000 of 15625", "785ea684120aa1ea"),
            ("sample of 5000 of 15625", "b5ea7aa679d8e08d"),
            ("sample of 500 of 1000000", "ab431f597f604179"),
            ("choose of 25", "0990d6c8e89440bc"),
        ],
    );
}
