//! Small pictures inside drawings, as PNG; and the colour scale of maps.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// A PNG file in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Png(pub String);

impl Png {
    /// Of 8-bit pixels in C, H, W order, one channel or three; `None` if their number or that of the
    /// channels is another.
    pub fn planar(shape: [usize; 3], pixels: &[u8]) -> Option<Self> {
        let [channels, height, width] = shape;
        let plane = height.checked_mul(width)?;
        if pixels.len() != plane.checked_mul(channels)? || !matches!(channels, 1 | 3) {
            return None;
        }
        let mut interleaved = Vec::with_capacity(pixels.len());
        for at in 0..plane {
            interleaved.extend((0..channels).map(|c| pixels[c * plane + at]));
        }
        let colour = match channels {
            1 => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        };
        encode(&interleaved, (width, height), colour)
    }

    /// A map: row-major numbers, the first row at the bottom, coloured from `low` to `high`.
    pub fn map(columns: usize, values: &[f64], (low, high): (f64, f64)) -> Option<Self> {
        if columns == 0 || values.is_empty() || !values.len().is_multiple_of(columns) {
            return None;
        }
        let span = if high > low { high - low } else { 1.0 };
        let rows = values.chunks(columns).rev();
        let pixels: Vec<u8> = rows
            .flatten()
            .flat_map(|v| colour((v - low) / span))
            .collect();
        let size = (columns, values.len() / columns);
        encode(&pixels, size, ExtendedColorType::Rgb8)
    }
}

fn encode(
    pixels: &[u8],
    (width, height): (usize, usize),
    colour: ExtendedColorType,
) -> Option<Png> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    if width == 0 || height == 0 {
        return None;
    }
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    encoder.write_image(pixels, width, height, colour).ok()?;
    Some(Png(STANDARD.encode(file)))
}

/// Bytes from hexadecimal digits; `None` if they are not.
pub fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |d: u8| char::from(d).to_digit(16);
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs
        .map(|p| u8::try_from(16 * digit(p[0])? + digit(p[1])?).ok())
        .collect()
}

/// Ten colours of viridis (van der Walt and Smith), whose lightness rises evenly.
const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// The colour of a place on the scale, 0 (dark) to 1 (light).
fn colour(place: f64) -> [u8; 3] {
    let last = VIRIDIS.len() - 1;
    let at = place.clamp(0.0, 1.0) * last as f64;
    let below = (at.floor() as usize).min(last - 1);
    let part = at - below as f64;
    std::array::from_fn(|c| {
        let (a, b) = (VIRIDIS[below][c] as f64, VIRIDIS[below + 1][c] as f64);
        (a + part * (b - a)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &Png) -> image::RgbImage {
        let file = STANDARD.decode(&png.0).unwrap();
        image::load_from_memory(&file).unwrap().to_rgb8()
    }

    #[test]
    fn planes_become_pixels() {
        let png = Png::planar([3, 1, 2], &[1, 2, 3, 4, 5, 6]).unwrap();
        let image = decoded(&png);
        assert_eq!(image.dimensions(), (2, 1));
        assert_eq!(image.into_raw(), [1, 3, 5, 2, 4, 6]);
        let grey = Png::planar([1, 2, 1], &[0, 200]).unwrap();
        assert_eq!(decoded(&grey).into_raw(), [0, 0, 0, 200, 200, 200]);
        assert_eq!(Png::planar([2, 1, 1], &[0, 0]), None);
        assert_eq!(Png::planar([1, 2, 2], &[0; 3]), None);
    }

    #[test]
    fn a_map_has_its_first_row_at_the_bottom_and_rises_in_lightness() {
        let image = decoded(&Png::map(2, &[0.0, 0.0, 5.0, 10.0], (0.0, 10.0)).unwrap());
        assert_eq!(image.get_pixel(0, 1).0, VIRIDIS[0]);
        assert_eq!(image.get_pixel(1, 0).0, VIRIDIS[9]);
        let light = |c: [u8; 3]| 0.2126 * c[0] as f64 + 0.7152 * c[1] as f64 + 0.0722 * c[2] as f64;
        let scale: Vec<f64> = (0..=20).map(|i| light(colour(i as f64 / 20.0))).collect();
        assert!(scale.windows(2).all(|w| w[0] < w[1]), "{scale:?}");
    }

    #[test]
    fn hexadecimal_is_read_or_refused() {
        assert_eq!(bytes("00ff7F"), Some(vec![0, 255, 127]));
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("zz"), None);
        assert_eq!(bytes("é"), None);
    }
}
