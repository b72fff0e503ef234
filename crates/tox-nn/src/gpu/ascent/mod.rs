//! An [ascent](crate::ascent) on a GPU.

mod extension;
mod kernels;

use crate::ascent::{Ascended, Ascent, Bounds, Images, Raised};
use crate::params::executed;
use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor, TensorData, Transaction};
use extension::{AscentKernels, Step};

/// The tensors of an ascent; all but the first two stay as they are between steps.
struct Running {
    /// The points, and the same as the network sees them.
    x: Tensor<4>,
    normal: Tensor<4>,
    /// The points to keep, and what is known of each image.
    kept: Tensor<4>,
    state: Tensor<1>,
    bounds: Tensor<1>,
    scale: Tensor<1>,
    /// Labels, or logits to diverge from.
    of: Tensor<1>,
    loss: u32,
    step: Step,
}

impl Running {
    fn new(a: &Ascent<'_>, of: Images<'_>, device: &Device) -> Self {
        let [c, h, w] = of.shape;
        let (size, plane) = (c * h * w, h * w);
        let images = a.start.len() / size;
        let flat = |values: Vec<f32>| {
            let n = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [n]), device)
        };
        let map = |values: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values, [images, c, h, w]), device)
        };
        let (means, deviations) = (of.mean, of.std);
        let mut normal = a.start.to_vec();
        for (i, channel) in normal.chunks_exact_mut(plane).enumerate() {
            let (mean, deviation) = (means[i % c], deviations[i % c]);
            channel
                .iter_mut()
                .for_each(|v| *v = (*v - mean) / deviation);
        }
        // As NHWC, which convolutions read.
        let mut turned = vec![0.0; normal.len()];
        for (i, value) in normal.into_iter().enumerate() {
            let (image, channel, pixel) = (i / size, i % size / plane, i % plane);
            turned[(image * plane + pixel) * c + channel] = value;
        }
        let last = Tensor::<4>::from_data(TensorData::new(turned, [images, h, w, c]), device);
        let labels = |labels: &[u16]| labels.iter().map(|label| f32::from(*label)).collect();
        let (loss, of) = match a.raised {
            Raised::CrossEntropy(all) => (kernels::CROSS_ENTROPY, labels(all)),
            Raised::Margin(all) => (kernels::MARGIN, labels(all)),
            Raised::Divergence(logits) => (kernels::DIVERGENCE, logits.to_vec()),
        };
        let (bounds, radius) = match a.bounds {
            Bounds::Box { low, high } => ([low, high].concat(), None),
            Bounds::Sphere { clean, radius } => (clean.to_vec(), Some(radius as f32)),
        };
        let (open, nothing) = (vec![-1.0; images], vec![f32::MIN; images]);
        Self {
            x: map(a.start.to_vec()),
            normal: last.permute([0, 3, 1, 2]),
            kept: map(a.start.to_vec()),
            state: flat([open, nothing, vec![0.0; images]].concat()),
            bounds: flat(bounds),
            scale: flat([means, deviations].concat()),
            of: flat(of),
            loss,
            step: Step {
                images,
                size,
                plane,
                length: a.length as f32,
                radius,
                stops: a.stops,
            },
        }
    }

    /// The derivative of the loss by the logits of a pass.
    fn judge(&self, logits: Tensor<2>, pass: usize) -> Tensor<2> {
        let (of, state) = (self.of.clone(), self.state.clone());
        Tensor::from_dispatch(Dispatch::cube_judge(
            logits.into_dispatch(),
            of.into_dispatch(),
            state.into_dispatch(),
            pass as f32,
            self.loss,
            self.step.stops,
        ))
    }

    fn step(&self, gradient: Tensor<4>) {
        let [x, kept, normal, gradient] =
            [&self.x, &self.kept, &self.normal, &gradient].map(|map| map.clone().into_dispatch());
        let [bounds, state, scale] =
            [&self.bounds, &self.state, &self.scale].map(|values| values.clone().into_dispatch());
        Dispatch::cube_step(x, kept, normal, gradient, bounds, state, scale, self.step);
    }

    fn keep(&self) {
        let [x, kept] = [&self.x, &self.kept].map(|map| map.clone().into_dispatch());
        Dispatch::cube_keep(x, kept, self.state.clone().into_dispatch());
    }
}

/// See [`crate::ascent::run`].
pub fn run(
    a: &Ascent<'_>,
    of: Images<'_>,
    device: &Device,
    network: &dyn Fn(Tensor<4>, &Device) -> Tensor<2>,
) -> Ascended {
    let stops = a.stops;
    assert!(
        !stops || !matches!(a.raised, Raised::Divergence(_)),
        "only labels say what is wrong"
    );
    let plain = device.clone().inner();
    let tracked = plain.clone().autodiff();
    let all = Running::new(a, of, &plain);
    for pass in 0..a.steps {
        let images = Tensor::from_inner(all.normal.clone()).require_grad();
        let y = network(images.clone(), &tracked);
        let derivative = all.judge(y.clone().inner(), pass);
        // Of a network whose answer does not depend on the image there is none.
        let gradient = y.is_tracked().then(|| {
            let (y, derivative) = (y.into_dispatch(), derivative.into_dispatch());
            let seed = Tensor::<1>::from_dispatch(Dispatch::cube_seed(y, derivative));
            images.grad(&seed.backward())
        });
        let still = || Tensor::zeros(all.x.dims(), &plain);
        all.step(gradient.flatten().unwrap_or_else(still));
    }
    let images = all.step.images;
    let pixels = if stops {
        let answers = network(all.normal.clone(), &plain);
        all.judge(answers, a.steps);
        all.keep();
        all.kept
    } else {
        all.x
    };
    let read = Transaction::default().register(pixels).register(all.state);
    let mut read = executed(read);
    let (pixels, state) = (
        read.next().unwrap_or_default(),
        read.next().unwrap_or_default(),
    );
    let mut of_images = state.chunks(images.max(1));
    let mut next = || of_images.next().unwrap_or_default().iter();
    let fooled = next().map(|pass| (*pass >= 0.0).then_some(*pass as u32));
    let fooled = fooled.collect();
    let margins = next().map(|margin| match *margin {
        f32::MIN => f32::NEG_INFINITY,
        margin => margin,
    });
    Ascended {
        pixels,
        fooled,
        margins: margins.collect(),
    }
}
