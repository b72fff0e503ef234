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
/// Values that may wait, 8 GiB; beyond it those that have waited longest are freed. What waits was in
/// use before, so this is no more than a step needs anyway; a P-DARTS step of the paper's size needs 4.
const MOST: usize = 1 << 31;
/// So many buffers are taken while one waits, and it is freed: its size is that of other batches or of
/// another network. A step takes some hundreds.
const IDLE: u64 = 10_000;

/// Buffers that wait, the latest last, each with the number of those taken before it came.
struct Waiting {
    buffers: Vec<(u64, Vec<f32>)>,
    taken: u64,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting::NONE);

impl Waiting {
    const NONE: Self = Self {
        buffers: Vec::new(),
        taken: 0,
    };

    /// One of `len` values. The latest is the likeliest to be in cache.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.taken += 1;
        let at = self.buffers.iter().rposition(|(_, b)| b.len() == len)?;
        Some(self.buffers.remove(at).1)
    }

    /// Keeps a buffer, and at most `most` values in all.
    fn give(&mut self, buffer: Vec<f32>, most: usize) {
        self.buffers.push((self.taken, buffer));
        let mut all: usize = self.buffers.iter().map(|(_, b)| b.len()).sum();
        while all > most
            || self
                .buffers
                .first()
                .is_some_and(|b| b.0 + IDLE < self.taken)
        {
            all -= self.buffers.remove(0).1.len();
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
    let bytes = unsafe { Bytes::from_controller(Box::new(PooledBuffer(values)), length) };
    TensorData::from_bytes(bytes, shape, DType::F32)
}

/// A buffer that comes back when it is dropped.
#[derive(Debug)]
pub struct PooledBuffer(pub Vec<f32>);

impl PooledBuffer {
    /// The buffer, which does not come back.
    pub fn into_values(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if self.0.len() >= LEAST {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.give(std::mem::take(&mut self.0), MOST);
        }
    }
}

impl AllocationController for PooledBuffer {
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
        let mut waiting = Waiting::NONE;
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
        // What nobody asks for any more is freed, what is asked for is not.
        waiting.give(vec![4.0; 7], 25);
        waiting.give(vec![5.0; 8], 25);
        for _ in 0..=IDLE {
            let buffer = waiting.take(8).unwrap();
            waiting.give(buffer, 25);
        }
        assert!(waiting.take(7).is_none() && waiting.take(8).is_some());
    }
}
