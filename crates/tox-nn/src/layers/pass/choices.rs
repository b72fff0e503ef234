//! The choices of a pass: which side of zero each ReLU's values are on, which value of each window a
//! max pool takes. A later pass can be held to them.
//!
//! What a difference of two gradients at nearby weights is to stand for is a second derivative,
//! and that of a network with ReLUs and max pools is taken with their choices as constants: so does
//! PyTorch's double backward. A plain difference is useless there. At any distance that f32 can
//! tell from rounding some choice differs between the two points, and its jump, divided by the
//! distance, swamps the rest (relative errors of 0.2 to 20 on small networks with batch norm;
//! with the choices held, 2e-5 to 6e-5: `benches/peers/nas/central_difference.py`).
//!
//! ```
//! # use tox_nn::Device;
//! # use tox_nn::layers::{Mode, Pass, State};
//! # use burn::tensor::Tensor;
//! # let (here, nearby, device) = (State::default(), State::default(), Device::flex());
//! # let x = Tensor::<4>::ones([1, 1, 3, 3], &device);
//! let pass = Pass::new(&here, &device, Mode::Probe).noting();
//! let y = pass.relu(pass.max_pool(x.clone()));
//! let choices = pass.choices();
//! let held = Pass::new(&nearby, &device, Mode::Probe).holding(&choices);
//! let nearby = held.relu(held.max_pool(x));
//! ```

use super::Pass;
#[cfg(feature = "cube")]
use crate::gpu;
use crate::kernels::pool::Pool;
use crate::layers::gates::{Bytes, GateBackend, Sink};
use crate::ops::{self, Engine};
use burn::backend::Dispatch;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d_with_indices;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Bool, Int, Tensor, Transaction};
use std::cell::{Cell, RefCell};

/// What a pass chose, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub struct Choices(Vec<Choice>);

#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Which value of its window each output of a max pool is, by a GPU's kernel.
    #[cfg(feature = "cube")]
    Windows(Tensor<4, Int>),
    /// Where a ReLU's input is not above zero, flat.
    Off(Tensor<1, Bool>),
    /// Which pixel of its plane each output of a max pool is, `[n, c, h * w]`.
    Winners(Tensor<3, Int>),
    /// Which of a ReLU's values get through, by the kernels.
    Gate(Bytes),
    /// Which value of its window each output of a max pool is, by the kernels.
    Taps(Bytes),
}

impl Choices {
    /// For every ReLU, in the order in which they ran, which of its values are above zero (or NaN),
    /// row-major.
    pub fn above_zero(self) -> impl Iterator<Item = Vec<bool>> {
        let (mut gates, mut read) = (Vec::new(), Transaction::default());
        for choice in self.0 {
            match choice {
                Choice::Off(off) => read = read.register(off),
                Choice::Gate(gate) => gates.push(gate.iter().map(|open| *open != 0).collect()),
                Choice::Winners(_) | Choice::Taps(_) => {}
                #[cfg(feature = "cube")]
                Choice::Windows(_) => {}
            }
        }
        // A pass has either these or those.
        let read = read.execute().into_iter();
        let read = read.map(|off| off.iter::<bool>().map(|off| !off).collect());
        gates.into_iter().chain(read)
    }
}

/// Where a pass has its choices from.
pub(super) enum Chooser<'a> {
    /// It chooses, and forgets.
    Free,
    /// It chooses, and keeps what it chose.
    Noting(RefCell<Vec<Choice>>),
    /// It is given them; the next is that of the number.
    Holding(&'a Choices, Cell<usize>),
}

impl<'a> Pass<'a> {
    /// This pass, which has seen no layer yet, keeps its choices: see [`Pass::choices`].
    pub fn noting(mut self) -> Self {
        self.chooser = Chooser::Noting(RefCell::default());
        self
    }

    /// This pass, which has seen no layer yet, takes `choices` for its own. They must be those of a
    /// pass of the same network with images of the same shape.
    pub fn holding(mut self, choices: &'a Choices) -> Self {
        self.chooser = Chooser::Holding(choices, Cell::new(0));
        self
    }

    /// What a [noting](Pass::noting) pass chose so far; nothing of any other.
    pub fn choices(&self) -> Choices {
        match &self.chooser {
            Chooser::Noting(choices) => Choices(choices.borrow().clone()),
            Chooser::Free | Chooser::Holding(..) => Choices::default(),
        }
    }

    /// Whether its ReLUs and max pools are as any other op, and may be part of one. If not, they
    /// must go through [`Pass::relu`] and [`Pass::max_pool`].
    pub fn is_free(&self) -> bool {
        matches!(self.chooser, Chooser::Free)
    }

    /// ReLU. NaN stays NaN.
    pub fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.is_free() {
            return relu(x);
        }
        let (shape, flat) = (x.shape(), x.shape().num_elements());
        match (self.held(), self.engine) {
            (None, Engine::Kernels) => {
                let (x, sink) = (x.reshape([1, 1, 1, flat]).into_dispatch(), Sink::default());
                let y = Dispatch::noted_relu(x, sink.clone());
                self.note(sink.take().into_iter().map(Choice::Gate));
                Tensor::<4>::from_dispatch(y).reshape(shape)
            }
            (None, Engine::Plain) => {
                let off = x.clone().lower_equal_elem(0.0).reshape([flat]);
                self.note([Choice::Off(off.clone())]);
                x.mask_fill(off.reshape(shape), 0.0)
            }
            (Some(Choice::Gate(gate)), _) => {
                let x = x.reshape([1, 1, 1, flat]).into_dispatch();
                Tensor::<4>::from_dispatch(Dispatch::gate(x, gate)).reshape(shape)
            }
            (Some(Choice::Off(off)), _) => x.mask_fill(off.reshape(shape), 0.0),
            (Some(_), _) => unreachable!("a ReLU where the pass that chose had a max pool"),
        }
    }

    /// [`ops::pool`] by the maximum: 3x3, stride 1, padding 1.
    pub fn max_pool(&self, x: Tensor<4>) -> Tensor<4> {
        if self.is_free() {
            return ops::pool(self.engine, x, Pool::Max);
        }
        let [n, c, h, w] = x.dims();
        let pick = |x: Tensor<4>, winners| {
            let y = x.reshape([n, c, h * w]).gather(2, winners);
            y.reshape([n, c, h, w])
        };
        match (self.held(), self.engine) {
            (None, Engine::Kernels) => {
                let sink = Sink::default();
                let y = Dispatch::noted_max_pool(x.into_dispatch(), sink.clone());
                self.note(sink.take().into_iter().map(Choice::Taps));
                Tensor::from_dispatch(y)
            }
            #[cfg(feature = "cube")]
            (None, Engine::Plain) if gpu::has(&x) => {
                let (y, windows) = gpu::max_pool(x);
                self.note([Choice::Windows(windows)]);
                y
            }
            (None, Engine::Plain) => {
                let options = MaxPoolOptions::new([3, 3])
                    .with_stride([1, 1])
                    .with_padding([1, 1]);
                let (_, winners) = max_pool2d_with_indices(x.clone().detach(), options);
                let winners = winners.reshape([n, c, h * w]);
                self.note([Choice::Winners(winners.clone())]);
                pick(x, winners)
            }
            #[cfg(feature = "cube")]
            (Some(Choice::Windows(windows)), _) => gpu::pick(x, windows),
            (Some(Choice::Taps(taps)), _) => {
                Tensor::from_dispatch(Dispatch::pick(x.into_dispatch(), taps))
            }
            (Some(Choice::Winners(winners)), _) => pick(x, winners),
            (Some(_), _) => unreachable!("a max pool where the pass that chose had a ReLU"),
        }
    }

    /// Keeps new choices.
    fn note(&self, new: impl IntoIterator<Item = Choice>) {
        if let Chooser::Noting(choices) = &self.chooser {
            choices.borrow_mut().extend(new);
        }
    }

    /// The next choice that is held; `None` if choices are noted.
    fn held(&self) -> Option<Choice> {
        let Chooser::Holding(choices, next) = &self.chooser else {
            return None;
        };
        let i = next.replace(next.get() + 1);
        let choice = choices.0.get(i).cloned();
        Some(choice.unwrap_or_else(|| unreachable!("the pass that chose had {i} choices")))
    }
}
