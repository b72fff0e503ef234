//! Weights, kept on the host in one flat buffer whatever the device.
//!
//! A step of a search uses a small part of the supernet. Its weights are handed to the device as
//! leaves of the autodiff graph, the gradients come back, and the update runs over the flat
//! buffers. So clipping, NaN policies, checkpoints and determinism are the same on every device.

#[cfg(feature = "cube")]
use crate::gpu::{self, Uploaded};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};
use std::cell::RefCell;
#[cfg(feature = "cube")]
use std::sync::OnceLock;

/// Index of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamId(usize);

/// Name, shape and place of a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Dotted name, such as `layer3.conv5.pre.weight`.
    pub name: String,
    /// Four dimensions: conv `[out, in / groups, k, k]`, linear `[out, in, 1, 1]`, vectors
    /// `[n, 1, 1, 1]`.
    pub shape: [usize; 4],
    /// How many of them it has outside of here, as in a PyTorch state dict; the others are 1.
    pub rank: usize,
    start: usize,
}

impl Entry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never true: every dimension is at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the values lie in the flat buffer.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len()
    }
}

/// All weights of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    entries: Vec<Entry>,
    /// The values of all weights, one after the other.
    pub values: Vec<f32>,
}

impl Params {
    /// Adds a weight; `values` in row-major order, as many as `shape`, of at most four
    /// dimensions, says.
    pub fn add<const D: usize>(
        &mut self,
        name: String,
        shape: [usize; D],
        values: Vec<f32>,
    ) -> ParamId {
        const { assert!(D <= 4) };
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "values of {name}"
        );
        let mut full = [1; 4];
        full[..D].copy_from_slice(&shape);
        self.entries.push(Entry {
            name,
            shape: full,
            rank: D,
            start: self.values.len(),
        });
        self.values.extend(values);
        ParamId(self.entries.len() - 1)
    }

    /// The weights in the order in which they were added.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One weight.
    pub fn entry(&self, id: ParamId) -> &Entry {
        &self.entries[id.0]
    }

    /// Ids in order.
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.entries.len()).map(ParamId)
    }

    /// Whether every value is finite.
    pub fn finite(&self) -> bool {
        self.values.iter().all(|v| v.is_finite())
    }
}

/// All weights of a model as they lie on a GPU, where they are sent at once and stay; nothing on a CPU.
#[derive(Debug, Default)]
pub struct Resident {
    #[cfg(feature = "cube")]
    sent: OnceLock<Uploaded>,
}

impl Resident {
    /// A weight on a device, no leaf yet.
    fn weight(&self, params: &Params, id: ParamId, device: &Device) -> Tensor<4> {
        let entry = params.entry(id);
        #[cfg(feature = "cube")]
        if gpu::is(device) {
            let all = self.sent.get_or_init(|| Uploaded::new(params, device));
            return all.weight(entry, id.0, device);
        }
        let data = TensorData::new(params.values[entry.range()].to_vec(), entry.shape);
        Tensor::from_data(data, device)
    }
}

/// Gradients of weights: which, and a number for each of its values.
pub type OfWeights = Vec<(ParamId, Vec<f32>)>;

/// The weights of one pass on a device: on a CPU each is sent when it is first asked for.
pub struct Leaves<'a> {
    params: &'a Params,
    device: &'a Device,
    tracked: bool,
    sent: RefCell<Vec<Option<Tensor<4>>>>,
    own: Resident,
    shared: Option<&'a Resident>,
}

impl<'a> Leaves<'a> {
    /// For one pass on `device`; gradients are recorded if it is an autodiff device.
    pub fn new(params: &'a Params, device: &'a Device) -> Self {
        Self {
            params,
            device,
            tracked: device.is_autodiff(),
            sent: RefCell::new(vec![None; params.entries.len()]),
            own: Resident::default(),
            shared: None,
        }
    }

    /// These, which are sent to a GPU once for all passes that share `resident`. The weights may not change
    /// between these.
    pub fn resident(mut self, resident: &'a Resident) -> Self {
        self.shared = Some(resident);
        self
    }

    /// For one pass on `device` that asks for no gradients of these weights.
    pub fn fixed(params: &'a Params, device: &'a Device) -> Self {
        Self {
            tracked: false,
            ..Self::new(params, device)
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// The weight as a tensor of four dimensions.
    pub fn get(&self, id: ParamId) -> Tensor<4> {
        let leaf = &mut self.sent.borrow_mut()[id.0];
        leaf.get_or_insert_with(|| {
            let resident = self.shared.unwrap_or(&self.own);
            let tensor = resident.weight(self.params, id, self.device);
            if self.tracked {
                tensor.require_grad()
            } else {
                tensor
            }
        })
        .clone()
    }

    /// The weight as `[out, in]` (linear layers and embeddings).
    pub fn matrix(&self, id: ParamId) -> Tensor<2> {
        let [rows, columns, ..] = self.params.entries[id.0].shape;
        self.get(id).reshape([rows, columns])
    }

    /// The gradients of the weights that the pass used, in order.
    pub fn gradients(self, mut gradients: Gradients) -> OfWeights {
        self.take(&mut gradients)
    }

    /// As [`Leaves::gradients`], with the values of other tensors, such as the loss: all in one read.
    pub fn gradients_with<const N: usize>(
        self,
        mut gradients: Gradients,
        others: [Tensor<1>; N],
    ) -> (OfWeights, [Vec<f32>; N]) {
        let (ids, found) = self.found(&mut gradients);
        let mut read = others
            .into_iter()
            .fold(Transaction::default(), Transaction::register);
        read = found.into_iter().fold(read, Transaction::register);
        let mut values = executed(read);
        let others = std::array::from_fn(|_| values.next().unwrap_or_default());
        (ids.into_iter().zip(values).collect(), others)
    }

    /// As [`Leaves::gradients`], and leaves all other gradients where they are: for a pass with the
    /// weights of two models.
    pub fn take(self, gradients: &mut Gradients) -> OfWeights {
        let (ids, found) = self.found(gradients);
        let read = found
            .into_iter()
            .fold(Transaction::default(), Transaction::register);
        ids.into_iter().zip(executed(read)).collect()
    }

    /// The gradients on the device.
    pub(crate) fn found(self, gradients: &mut Gradients) -> (Vec<ParamId>, Vec<Tensor<4>>) {
        let sent = self.sent.into_inner().into_iter().enumerate();
        sent.filter_map(|(i, leaf)| Some((ParamId(i), leaf?.grad_remove(gradients)?)))
            .unzip()
    }
}

/// What a transaction of f32 tensors reads, in order.
pub(crate) fn executed(read: Transaction) -> impl Iterator<Item = Vec<f32>> {
    read.execute().into_iter().map(|data| {
        data.try_into_vec::<f32>()
            .unwrap_or_else(|e| unreachable!("every tensor here is f32: {e:?}"))
    })
}
