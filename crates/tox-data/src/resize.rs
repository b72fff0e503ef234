//! Resizing to a square, and grey to three channels.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};

use crate::dataset::Images;

/// Brings all images to `side` x `side` with a triangle filter, which is bilinear interpolation
/// when it enlarges and averages over the covered area (antialias) when it reduces; the aspect
/// ratio is not kept. Images that have this size already are returned as they are.
pub fn resize(images: Images, side: usize) -> Images {
    let [n, c, h, w] = images.shape;
    if (h, w) == (side, side) || n * c * h * w == 0 {
        return Images {
            shape: [n, c, side, side],
            ..images
        };
    }
    let mut pixels = Vec::with_capacity(n * c * side * side);
    for plane in images.pixels.chunks_exact(h * w) {
        // The lengths agree, so there is always a buffer; sides of a data set fit u32.
        let Some(plane) = ImageBuffer::<Luma<u8>, &[u8]>::from_raw(w as u32, h as u32, plane)
        else {
            continue;
        };
        let resized = imageops::resize(&plane, side as u32, side as u32, FilterType::Triangle);
        pixels.extend_from_slice(resized.as_raw());
    }
    Images {
        pixels,
        shape: [n, c, side, side],
    }
}

/// Repeats the channel of grey images three times; others are returned as they are.
pub fn to_rgb(images: Images) -> Images {
    let [n, c, h, w] = images.shape;
    if c != 1 || h * w == 0 {
        return images;
    }
    let pixels = images
        .pixels
        .chunks_exact(h * w)
        .flat_map(|plane| plane.repeat(3))
        .collect();
    Images {
        pixels,
        shape: [n, 3, h, w],
    }
}
