//! Tensors as slices, and back.

use crate::kernels::buffer_pool;
use burn::backend::flex::FlexTensor;

/// A tensor's values, in order.
pub struct Values(pub FlexTensor);

impl Values {
    pub fn new(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    pub fn get(&self) -> &[f32] {
        let layout = self.0.layout();
        let start = layout.start_offset();
        &self.0.storage::<f32>()[start..start + layout.num_elements()]
    }
}

pub fn shape(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

pub fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    debug_assert_eq!(values.len(), shape.iter().product::<usize>());
    FlexTensor::from_data(buffer_pool::data(values, shape))
}
