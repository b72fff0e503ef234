//! The two scores of a pruned supernet, on random batches and weights.

use super::config::TenasConfig;
use super::kernel::{condition_number, gram};
use super::left::Left;
use super::network::{Score, Supernet};
use super::regions::Patterns;
use crate::nas::Direction;
use crate::space::PoisonedSpace;
use crate::space::cells::CellSpace;
use rand::RngExt;
use rand::seq::index::sample;
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_data::{Batch, Images, Normalise, Split};
use tox_nn::Device;
use tox_nn::layers::State;

/// What the scores are taken on. There are no labels among it: label noise cannot reach them.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub space: &'a PoisonedSpace,
    pub images: &'a Images,
    /// Their normalisation; see [`super::Normalisation`].
    pub normalise: &'a Normalise,
    /// What happens to the batches of the kernel; crops are not augmented.
    pub augment: &'a Augment,
    pub classes: usize,
    pub config: &'a TenasConfig,
    pub direction: Direction,
    pub seed: u64,
}

/// The networks of both scores, and where they run.
pub struct Scorer<'a> {
    scene: Scene<'a>,
    device: Device,
    copies: usize,
    kernel: (Supernet, State),
    regions: (Supernet, State),
}

/// Copies of the kernel's network in one pass, measured: see [`super::kernel`].
fn copies(space: CellSpace) -> usize {
    match space {
        CellSpace::Darts => 7,
        CellSpace::NasBench201 => 1,
    }
}

impl<'a> Scorer<'a> {
    /// For a scene that [`TenasConfig::check`] has approved of.
    pub fn new(scene: Scene<'a>, device: Device) -> Self {
        let copies = copies(scene.space.space).min(scene.config.batch(scene.space.space));
        let wide = |score, copies| {
            let key = (scene.seed, "tenas");
            Supernet::new(scene.space, score, shape(&scene), copies, key)
        };
        Self {
            scene,
            device,
            copies,
            kernel: wide(Score::Kernel, copies),
            regions: wide(Score::Regions, scene.config.region_batches),
        }
    }

    fn state(&self, score: Score, draw: &[u64]) -> State {
        let (net, wide, name) = match score {
            Score::Kernel => (&self.kernel.0, &self.kernel.1, "kernel"),
            Score::Regions => (&self.regions.0, &self.regions.1, "regions"),
        };
        let draw: Vec<String> = draw.iter().map(u64::to_string).collect();
        let network = format!("tenas/{name}/{}", draw.join("/"));
        let (seed, scene) = (self.scene.seed, &self.scene);
        let (_, one) = Supernet::new(scene.space, score, shape(scene), 1, (seed, &network));
        let mut state = wide.clone();
        net.widen(&mut state, &one);
        state
    }

    /// The condition number of the kernel of every pruned supernet, with the batch and the weights of
    /// `draw`.
    pub fn kernel(&self, all: &[&Left], draw: &[u64]) -> Vec<f64> {
        let (state, batch) = (self.state(Score::Kernel, draw), self.batch(draw));
        let network = (&self.kernel.0, &state, self.copies);
        let one = |left: &&Left| condition_number(&gram(network, left, &batch, &self.device));
        all.iter().map(one).collect()
    }

    /// The number of linear regions of every pruned supernet, with the crops and the weights of
    /// `draw`.
    pub fn regions(&self, all: &[&Left], draw: &[u64]) -> Vec<f64> {
        let (state, batches) = (self.state(Score::Regions, draw), self.crops(draw));
        let crop = self.scene.config.crop;
        let shape = [self.scene.config.region_crops, 1, crop, crop];
        let one = |left: &&Left| {
            let network = (&self.regions.0, &state);
            let patterns = Patterns::of(network, left, (&batches, shape), &self.device);
            patterns.count() as f64
        };
        all.iter().map(one).collect()
    }

    /// Different images, augmented.
    fn batch(&self, draw: &[u64]) -> Batch {
        let scene = &self.scene;
        let mut rng = stream(scene.seed, "tenas/batch", draw);
        let count = scene.config.batch(scene.space.space);
        let [n, c, h, w] = scene.images.shape;
        let stride = scene.images.stride();
        let chosen = sample(&mut rng, n, count).into_iter();
        let pixels = chosen.flat_map(|i| &scene.images.pixels[i * stride..(i + 1) * stride]);
        let split = Split {
            images: Images {
                pixels: pixels.copied().collect(),
                shape: [count, c, h, w],
            },
            labels: vec![0; count],
        };
        let all: Vec<u32> = (0..count as u32).collect();
        split.batch(&all, scene.normalise, Some((scene.augment, &mut rng)))
    }

    /// Batches of crops of one channel each.
    fn crops(&self, draw: &[u64]) -> Vec<Vec<f32>> {
        let (scene, config) = (&self.scene, self.scene.config);
        let mut rng = stream(scene.seed, "tenas/crops", draw);
        let ([n, c, h, w], side) = (scene.images.shape, config.crop);
        let mut batch = |_| {
            let mut pixels = Vec::with_capacity(config.region_crops * side * side);
            for _ in 0..config.region_crops {
                let (image, channel) = (rng.random_range(0..n), rng.random_range(0..c));
                let top = rng.random_range(0..=h - side);
                let left = rng.random_range(0..=w - side);
                let plane = &scene.images.pixels[(image * c + channel) * h * w..][..h * w];
                let (mean, std) = (scene.normalise.mean[channel], scene.normalise.std[channel]);
                for row in plane.chunks_exact(w).skip(top).take(side) {
                    let row = row[left..left + side].iter();
                    pixels.extend(row.map(|v| (f32::from(*v) / 255.0 - mean) / std));
                }
            }
            pixels
        };
        (0..config.region_batches).map(&mut batch).collect()
    }
}

fn shape(scene: &Scene<'_>) -> (usize, usize) {
    (scene.images.shape[1], scene.classes)
}
