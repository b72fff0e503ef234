//! How an evaluation stops in the middle of an attack.

use crate::oracle::{Cotangent, Oracle};
use std::cell::{Cell, RefCell};
use tox_nn::ascent::{Ascended, Ascent};

/// Whether the surroundings want an end; once they did, they do.
pub(super) struct StopRequest<'a> {
    ask: RefCell<&'a mut dyn FnMut() -> bool>,
    yes: Cell<bool>,
}

impl<'a> StopRequest<'a> {
    pub fn new(ask: &'a mut dyn FnMut() -> bool) -> Self {
        Self {
            ask: RefCell::new(ask),
            yes: Cell::new(false),
        }
    }

    /// Asks.
    pub fn poll(&self) -> bool {
        if !self.yes.get() {
            let yes = (self.ask.borrow_mut())();
            self.yes.set(yes);
        }
        self.yes.get()
    }

    /// What was answered last.
    pub fn stopped(&self) -> bool {
        self.yes.get()
    }
}

/// An oracle that asks before every pass and, once stopped, passes no more.
pub(super) struct Stoppable<'a> {
    pub oracle: &'a dyn Oracle,
    pub request: &'a StopRequest<'a>,
}

impl Oracle for Stoppable<'_> {
    fn shape(&self) -> [usize; 3] {
        self.oracle.shape()
    }

    fn classes(&self) -> usize {
        self.oracle.classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        match self.request.poll() {
            true => vec![0.0; pixels.len() / self.size() * self.classes()],
            false => self.oracle.logits(pixels),
        }
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        match self.request.poll() {
            true => (self.logits(pixels), vec![0.0; pixels.len()]),
            false => self.oracle.pullback(pixels, cotangent),
        }
    }

    /// Asks once: an ascent that has begun ends.
    fn ascend(&self, ascent: &Ascent<'_>) -> Option<Ascended> {
        match self.request.poll() {
            true => None,
            false => self.oracle.ascend(ascent),
        }
    }

    fn has_gradient(&self) -> bool {
        self.oracle.has_gradient()
    }

    fn stopped(&self) -> bool {
        self.request.stopped()
    }
}
