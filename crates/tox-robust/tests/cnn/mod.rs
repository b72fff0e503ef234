//! The adversarially trained network of the fixtures and its 600 test images.

use safetensors::SafeTensors;
use std::path::Path;
use tox_data::{Images, Normalise, Split};
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Builder, Conv, Init, Linear, Network, Pass, State};
use tox_robust::model::Model;

/// Two convolutions of stride 2 and a linear layer.
pub struct SmallCnn {
    convs: [Conv; 2],
    head: Linear,
}

impl Network for SmallCnn {
    fn logits(&self, pass: &Pass<'_>, mut x: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<2> {
        for conv in &self.convs {
            x = pass.relu(conv.forward(pass, x));
        }
        self.head.forward(pass, x.flatten(1, 3))
    }
}

/// What a [`Model`] borrows, and the images.
pub struct Fixture {
    network: SmallCnn,
    state: State,
    normalise: Normalise,
    pub images: Split,
}

impl Fixture {
    pub fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut b = Builder::new(0, "test", Init::Torch);
        let half = Geometry::same(3).stride(2);
        let network = SmallCnn {
            convs: [
                b.conv_with_bias("conv1", 1, 12, half),
                b.conv_with_bias("conv2", 12, 24, half),
            ],
            head: b.linear("fc", 24 * 4 * 4, 10),
        };
        let mut state = b.finish();
        state.load(&folder.join("robust_cnn.safetensors")).unwrap();
        let bytes = std::fs::read(folder.join("attack_images.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let images = tensors.tensor("images").unwrap();
        let labels = tensors.tensor("labels").unwrap().data().to_vec();
        Self {
            network,
            state,
            normalise: Normalise {
                mean: vec![0.5],
                std: vec![0.25],
            },
            images: Split {
                images: Images {
                    pixels: images.data().to_vec(),
                    shape: images.shape().try_into().unwrap(),
                },
                labels: labels.into_iter().map(u16::from).collect(),
            },
        }
    }

    /// The numbers of a tensor.
    #[allow(dead_code, reason = "one of the tests asks")]
    pub fn weights(&self, name: &str) -> &[f32] {
        let mut entries = self.state.params.entries().iter();
        let entry = entries.find(|entry| entry.name == name).unwrap();
        &self.state.params.values[entry.range()]
    }

    pub fn model(&self) -> Model<'_, SmallCnn> {
        self.model_on(Device::flex())
    }

    pub fn model_on(&self, device: Device) -> Model<'_, SmallCnn> {
        let (shape, classes) = ([1, 16, 16], 10);
        let (state, normalise) = (&self.state, &self.normalise);
        Model::new(&self.network, state, normalise, (shape, classes), device)
    }
}
