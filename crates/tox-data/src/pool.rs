//! The rows of a data set that a search learns from.

use crate::dataset::{Dataset, Images, Split};
use crate::error::DataError;
use crate::features::sets::Features;
use crate::format::array::Values;
use crate::order::{self, Cut, counts};
use crate::published;

impl Dataset {
    /// What is to be said of the first `count` images of `split`, one of the three, where these alone are used.
    ///
    /// # Errors
    /// A user's own split in the order of its classes, of which these images lack some.
    pub fn first(&self, split: &Split, count: usize) -> Result<Vec<String>, DataError> {
        let count = count.min(split.len());
        let cut = Cut {
            what: format!("the first {count} of {} images", split.len()),
            labels: &split.labels[..count],
            file: &counts(&split.labels, self.classes),
        };
        let own = !published::is_known(&self.name);
        order::check(&self.name, &self.class_names, &[cut], own)
    }

    /// What a search learns from, its training images followed by its validation images: the rows
    /// that a [poison patch](crate::patch) of a search is made for. A copy.
    pub fn pool(&self) -> Features {
        Features::of(self.pooled(), self.class_names.clone())
    }

    /// [`Dataset::pool`] as images.
    pub fn pooled(&self) -> Split {
        let [a, b] = [&self.train, &self.valid];
        let [_, c, h, w] = a.images.shape;
        Split {
            images: Images {
                pixels: [&a.images.pixels[..], &b.images.pixels].concat(),
                shape: [a.len() + b.len(), c, h, w],
            },
            labels: [&a.labels[..], &b.labels].concat(),
        }
    }

    /// Puts changed images and labels back where [`Dataset::pool`] took them from.
    pub(crate) fn set_pool(&mut self, pool: Features) {
        let Values::Bytes(mut pixels) = pool.values else {
            unreachable!("a pool is 8-bit");
        };
        let (mut labels, train) = (pool.labels, self.train.len());
        self.valid.images.pixels = pixels.split_off(train * self.train.images.stride());
        self.valid.labels = labels.split_off(train);
        (self.train.images.pixels, self.train.labels) = (pixels, labels);
    }
}
