//! Jobs that wait until their device has room.

use super::{Job, Stop};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Jobs that wait, and how many run on each device.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    freed: Condvar,
}

struct Inner {
    waiting: VecDeque<Job>,
    running: BTreeMap<String, usize>,
    on_each: usize,
}

impl Inner {
    /// The first job whose device has room.
    fn next(&mut self) -> Option<Job> {
        let room = |job: &Job| {
            job.device == "cpu"
                || self
                    .running
                    .get(&job.device)
                    .is_none_or(|n| *n < self.on_each)
        };
        let at = self.waiting.iter().position(room)?;
        let job = self.waiting.remove(at)?;
        *self.running.entry(job.device.clone()).or_default() += 1;
        Some(job)
    }

    fn ended(&mut self, job: &Job) {
        if let Some(running) = self.running.get_mut(&job.device) {
            *running -= 1;
        }
    }
}

impl Queue {
    /// With room for so many on each device that is no CPU.
    pub fn new(waiting: VecDeque<Job>, on_each: usize) -> Self {
        let inner = Inner {
            waiting,
            running: BTreeMap::new(),
            on_each: on_each.max(1),
        };
        Self {
            inner: Mutex::new(inner),
            freed: Condvar::new(),
        }
    }

    /// The next job, once its device has room; `None` if there is none or the user wants to stop.
    pub fn next(&self, stop: &Stop) -> Option<Job> {
        let mut inner = self.locked();
        while !inner.waiting.is_empty() && stop.load(Ordering::SeqCst) == 0 {
            if let Some(job) = inner.next() {
                return Some(job);
            }
            // A wish to stop does not wake.
            let waited = self.freed.wait_timeout(inner, Duration::from_millis(50));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// A job has ended.
    pub fn ended(&self, job: &Job) {
        self.locked().ended(job);
        self.freed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn job(index: usize, device: &str) -> Job {
        Job {
            index,
            id: index.to_string(),
            dir: PathBuf::new(),
            shared: None,
            kernels: None,
            device: device.to_owned(),
            threads: 1,
        }
    }

    #[test]
    fn a_device_runs_as_many_trials_as_it_has_room_for_and_the_cpu_any() {
        let devices = ["vulkan:0", "vulkan:0", "cpu", "vulkan:1", "cpu"];
        let mut queue = Inner {
            waiting: devices.iter().enumerate().map(|(i, d)| job(i, d)).collect(),
            running: BTreeMap::new(),
            on_each: 1,
        };
        let mut next = || queue.next().map(|job| job.index);
        assert_eq!(
            [(); 5].map(|()| next()),
            [Some(0), Some(2), Some(3), Some(4), None]
        );
        queue.ended(&job(0, "vulkan:0"));
        assert_eq!(queue.next().map(|job| job.index), Some(1));
    }
}
