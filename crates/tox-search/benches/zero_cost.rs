//! Seconds of training-free scores on one thread, as `benches/peers/nas/tenas.py` and
//! `benches/peers/nas/zero_cost.py` measure them: the two TE-NAS scores of a fresh DARTS-space supernet
//! (three draws of batch and weights), and RoBoT's six metrics of DARTS V2 (16 channels, 5 cells,
//! 64 images of 32x32).
//!
//!     cargo bench -p tox-search --bench zero_cost
//!
//! The kernel is also taken with other numbers of copies side by side; 1 is a pass for each image.

use std::time::Instant;
use tox_data::spec::Augment;
use tox_data::{Batch, Images, Normalise};
use tox_nn::Device;
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::tenas::kernel::gram;
use tox_search::tenas::network::{Score, Supernet};
use tox_search::tenas::{Left, Scene, Scorer, TenasConfig};
use tox_search::zero_cost::{GRASP_STEP, metrics};
use tox_testkit::DARTS_V2;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Median of `repeats` runs after one to warm up.
fn time(what: &str, repeats: usize, mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!(
        "{what}: {:.3} s (least {:.3})",
        seconds[repeats / 2],
        seconds[0]
    );
    seconds[repeats / 2]
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32 * 4.0 - 2.0
    };
    (0..n).map(|_| next()).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|w| what.contains(w.as_str()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let device = Device::flex();
        if wants("tenas") {
            tenas(&device);
        }
        if wants("copies") {
            copies(&device);
        }
        if wants("metrics") {
            let shape = SupernetShape {
                channels: 16,
                cells: 5,
                classes: 10,
                input: [3, 32, 32],
            };
            let genotype = CellGenotype::Darts(DARTS_V2.parse()?);
            let (net, state) = GenotypeNetwork::new(&genotype, shape, (0, "bench"))?;
            let batch = Batch {
                pixels: noise(64 * 3 * 32 * 32),
                shape: [64, 3, 32, 32],
                labels: (0..64).map(|i| i % 10).collect(),
            };
            time("six metrics of DARTS V2", 5, || {
                metrics(&net, &state, &batch, &device, GRASP_STEP);
            });
        }
        Ok(())
    })
}

fn tenas(device: &Device) {
    let images = Images {
        pixels: noise(100 * 3072)
            .iter()
            .map(|v| (v * 60.0 + 128.0) as u8)
            .collect(),
        shape: [100, 3, 32, 32],
    };
    let normalise = Normalise {
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
    };
    let (config, augment) = (TenasConfig::default(), Augment::default());
    let scene = Scene {
        space: &CellSpace::Darts.into(),
        images: &images,
        normalise: &normalise,
        augment: &augment,
        classes: 10,
        config: &config,
        direction: Default::default(),
        seed: 0,
    };
    let scorer = Scorer::new(scene, device.clone());
    let left = Left::fresh(CellSpace::Darts);
    let kernel = time("tenas kernel, 3 draws", 3, || {
        (0..3).for_each(|draw| drop(scorer.kernel(&[&left], &[draw])));
    });
    let regions = time("tenas regions, 3 draws", 3, || {
        (0..3).for_each(|draw| drop(scorer.regions(&[&left], &[draw])));
    });
    println!("tenas state: {:.3} s", kernel + regions);
}

fn copies(device: &Device) {
    for (space, n, all) in [
        (CellSpace::Darts, 14, &[1, 2, 7, 14][..]),
        (CellSpace::NasBench201, 72, &[1, 4, 9, 18]),
    ] {
        let batch = Batch {
            pixels: noise(n * 3072),
            shape: [n, 3, 32, 32],
            labels: vec![0; n],
        };
        let left = Left::fresh(space);
        for &copies in all {
            let build = |copies| Supernet::new(space, Score::Kernel, (3, 10), copies, (0, "bench"));
            let (_, one) = build(1);
            let (net, mut wide) = build(copies);
            net.widen(&mut wide, &one);
            time(
                &format!("copies: kernel of {space:?}, {copies} side by side"),
                1,
                || {
                    gram((&net, &wide, copies), &left, &batch, device);
                },
            );
        }
    }
}
