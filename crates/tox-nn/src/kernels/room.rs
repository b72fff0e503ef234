//! Room for maps. A map of a training step is some megabytes, and a step makes and drops a hundred of
//! them: from an allocator each would be zeroed, and its pages given back and faulted in again. Here
//! the buffer of a dropped tensor waits for the next map of its size.

use burn::tensor::{DType, TensorData};
use cubecl_environment::bytes::{
    AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes,
};
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

/// Shorter buffers are left to the allocator.
const LEAST: usize = 1 << 14;
/// Values that may wait, 1 GiB; beyond it those that have waited longest are freed.
const MOST: usize = 1 << 28;

/// Buffers that wait, the latest last.
struct Waiting(Vec<Vec<f32>>);

static WAITING: Mutex<Waiting> = Mutex::new(Waiting(Vec::new()));

impl Waiting {
    /// One of `len` values. The latest is the likeliest to be in cache.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let at = self.0.iter().rposition(|buffer| buffer.len() == len)?;
        Some(self.0.remove(at))
    }

    /// Keeps a buffer, and at most `most` values in all.
    fn give(&mut self, buffer: Vec<f32>, most: usize) {
        self.0.push(buffer);
        let mut all: usize = self.0.iter().map(Vec::len).sum();
        while all > most {
            all -= self.0.remove(0).len();
        }
    }
}

/// A buffer of `len` values with whatever it last held: every value must be written.
pub fn take(len: usize) -> Vec<f32> {
    let waiting = || WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let found = (len >= LEAST).then(|| waiting().take(len)).flatten();
    found.unwrap_or_else(|| vec![0.0; len])
}

/// The data of a tensor whose buffer comes back when it is dropped.
pub fn data(values: Vec<f32>, shape: [usize; 4]) -> TensorData {
    let length = size_of_val(values.as_slice());
    // SAFETY: all `length` bytes of the buffer are those of its values.
    let bytes = unsafe { Bytes::from_controller(Box::new(Lent(values)), length) };
    TensorData::from_bytes(bytes, shape, DType::F32)
}

/// A buffer that comes back when it is dropped.
#[derive(Debug)]
pub struct Lent(pub Vec<f32>);

impl Lent {
    /// The buffer, which does not come back.
    pub fn into_values(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.0.len() >= LEAST {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.give(std::mem::take(&mut self.0), MOST);
        }
    }
}

impl AllocationController for Lent {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Native
    }

    unsafe fn memory_mut(
        &mut self,
        _: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let values = self.0.as_mut_slice();
        let length = size_of_val(values);
        // SAFETY: the values are plain bytes, borrowed as long as the result; the caller promises to
        // write none that are not initialised.
        Ok(unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), length) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let values = self.0.as_slice();
        // SAFETY: as above, to read.
        Ok(unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_tensor_gives_its_buffer_to_the_next_of_its_size() {
        // A size that no other test of this program asks for.
        let len = LEAST + 12_345;
        let shape = [1, 1, 1, len];
        let buffer = take(len);
        let place = buffer.as_ptr();
        let tensor = data(buffer, shape);
        let copy = tensor.clone();
        drop(tensor);
        assert_eq!(copy.num_elements(), len);
        drop(copy);
        let again = take(len);
        assert_eq!(again.len(), len);
        // Either this very buffer came back, or the copy's.
        let other = take(len);
        assert!([again.as_ptr(), other.as_ptr()].contains(&place));
    }

    #[test]
    fn no_more_waits_than_may_and_the_oldest_goes_first() {
        let mut waiting = Waiting(Vec::new());
        for value in 0..4u8 {
            waiting.give(vec![f32::from(value); 10], 25);
        }
        assert_eq!(waiting.take(11), None);
        assert_eq!(waiting.take(10), Some(vec![3.0; 10]));
        assert_eq!(waiting.take(10), Some(vec![2.0; 10]));
        assert_eq!(waiting.take(10), None);
        // What is larger than all that may wait does not.
        waiting.give(vec![0.0; 26], 25);
        assert_eq!(waiting.take(26), None);
    }
}
