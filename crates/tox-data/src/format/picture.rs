//! One image file, decoded whole or not at all.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, ColorType, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader,
    Limits, RgbImage,
};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::error::DataError;

/// Largest side of an image, in pixels; a header that says more is not believed.
const MAX_SIDE: u32 = 16_384;
/// Most memory that decoding one image may take, and longest file: 1 GiB.
const MAX_DECODED: u64 = 1 << 30;

/// Ends of the names of files that are read.
pub(crate) const EXTENSIONS: [&str; 11] = [
    "png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "gif", "ppm", "pgm", "pnm",
];

/// What of an image does not come along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Some pixel is not opaque.
    pub transparency: bool,
    /// It has more than 8 bits a channel.
    pub depth: bool,
    /// It has more frames than the first.
    pub frames: bool,
    /// It says that it is to be turned.
    pub turn: bool,
    /// It has more than 8 bits a channel, and this is its largest value.
    pub largest: Option<u16>,
}

/// The image at `path`, its type told by its first bytes and not by its name.
pub(crate) fn decode(path: &Path) -> Result<(DynamicImage, Lost), DataError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(DataError::read(path))?;
    file.take(MAX_DECODED)
        .read_to_end(&mut bytes)
        .map_err(DataError::read(path))?;
    decode_bytes(path, &bytes)
}

/// The same for a file in memory; `path` is what messages say.
pub(crate) fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<(DynamicImage, Lost), DataError> {
    let failed = |reason: String| DataError::Image {
        path: path.to_path_buf(),
        reason,
    };
    let format = image::guess_format(bytes).map_err(|error| failed(error.to_string()))?;
    let mut lost = Lost::default();
    let image = if format == ImageFormat::Jpeg {
        jpeg(bytes, &mut lost).map_err(failed)?
    } else {
        lost.turn = turned(format, bytes);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits());
        reader.decode().map_err(|error| failed(error.to_string()))?
    };
    let colour = image.color();
    lost.depth = colour.bits_per_pixel() / u16::from(colour.channel_count()) > 8;
    if lost.depth {
        lost.largest = Some(largest(&image).map_err(failed)?);
    }
    lost.transparency = colour.has_alpha() && image.to_rgba8().pixels().any(|pixel| pixel[3] < 255);
    lost.frames = moves(format, bytes);
    Ok((image, lost))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    limits
}

/// Whether an image, of any format but JPEG, says that it is to be turned.
fn turned(format: ImageFormat, bytes: &[u8]) -> bool {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let said = reader
        .into_decoder()
        .and_then(|mut decoder| decoder.orientation());
    said.is_ok_and(|said| said != Orientation::NoTransforms)
}

/// The largest value of an image of 16 bits a channel.
fn largest(image: &DynamicImage) -> Result<u16, String> {
    let of = |values: &[u16], channels: usize| {
        // Of the colours, and not of the transparency.
        let colours = channels - usize::from(image.color().has_alpha());
        let pixels = values.chunks_exact(channels);
        let values = pixels.flat_map(|pixel| &pixel[..colours]);
        values.max().copied().unwrap_or_default()
    };
    let channels = usize::from(image.color().channel_count());
    let floats = image.as_rgb32f().map(|image| image.as_raw());
    let floats = floats.or_else(|| image.as_rgba32f().map(|image| image.as_raw()));
    if let Some(value) = floats.and_then(|all| all.iter().find(|x| !(0.0..=1.0).contains(*x))) {
        return Err(format!(
            "a pixel of {value}, where floats from 0 to 1 are read: save it with 8 bits a channel"
        ));
    }
    let sixteen = [
        image.as_luma16().map(|image| image.as_raw()),
        image.as_luma_alpha16().map(|image| image.as_raw()),
        image.as_rgb16().map(|image| image.as_raw()),
        image.as_rgba16().map(|image| image.as_raw()),
    ];
    let values = sixteen.into_iter().flatten().next();
    Ok(values.map_or(u16::MAX, |values| of(values, channels)))
}

/// Whether an image of that colour is grey.
pub(crate) fn is_grey(colour: ColorType) -> bool {
    !colour.has_color()
}

/// As the crate `image` decodes it, but refusing what is damaged: it is lenient, and what is missing of a file
/// that was cut off would be grey.
fn jpeg(bytes: &[u8], lost: &mut Lost) -> Result<DynamicImage, String> {
    whole_jpeg(bytes)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize);
    let failed = |error: zune_jpeg::errors::DecodeErrors| error.to_string();
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failed)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colours = if grey {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colours));
    let turned = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));
    lost.turn = turned.is_some_and(|turned| turned != Orientation::NoTransforms);
    let pixels = decoder.decode().map_err(failed)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32);
    let image = match grey {
        true => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        false => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    };
    image.ok_or_else(|| "its pixels are not as many as its sides say".to_owned())
}

/// Whether a JPEG goes on to the marker of its end, segment by segment.
fn whole_jpeg(bytes: &[u8]) -> Result<(), String> {
    let cut = || "it is cut off: it ends before the marker of its end".to_owned();
    let mut at = 2;
    loop {
        // To the next marker: any byte but 0 after 0xff, of which there may be several. Between segments this is at
        // once; in coded pixels 0xff 0x00 is a byte and 0xff 0xd0..=0xd7 a restart.
        let rest = bytes.get(at..).ok_or_else(cut)?;
        let found = rest
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff | 0xd0..=0xd7));
        at += found.ok_or_else(cut)?;
        match bytes[at + 1] {
            0xd9 => return Ok(()),
            0x01 | 0xd8 => at += 2,
            _ => {
                let length = bytes.get(at + 2..at + 4).ok_or_else(cut)?;
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
}

/// Whether there are more frames (or pages) than the first.
fn moves(format: ImageFormat, bytes: &[u8]) -> bool {
    let reader = Cursor::new(bytes);
    match format {
        ImageFormat::Gif => {
            GifDecoder::new(reader).is_ok_and(|decoder| decoder.into_frames().take(2).count() > 1)
        }
        ImageFormat::Png => {
            PngDecoder::new(reader).is_ok_and(|decoder| decoder.is_apng().unwrap_or_default())
        }
        ImageFormat::WebP => WebPDecoder::new(reader).is_ok_and(|decoder| decoder.has_animation()),
        ImageFormat::Tiff => pages(bytes).unwrap_or_default(),
        _ => false,
    }
}

/// Whether the first directory of a TIFF names a second one.
fn pages(bytes: &[u8]) -> Option<bool> {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(width)?)?;
        let add = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(match little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    };
    let first = number(4, 4)?;
    let entries = number(first, 2)?;
    Some(number(first + 2 + 12 * entries, 4)? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey levels that no format compresses away.
    fn picture() -> RgbImage {
        RgbImage::from_fn(24, 20, |x, y| {
            image::Rgb([
                (x * 9) as u8,
                (y * 11) as u8,
                ((x * 37 + y * 91) % 251) as u8,
            ])
        })
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Of every format a file that is cut off anywhere is refused by name, or decoded whole.
    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Gif,
            ImageFormat::Tiff,
            ImageFormat::WebP,
            ImageFormat::Pnm,
        ] {
            let path = dir.path().join(format!("{format:?}.any"));
            let bytes = encoded(format);
            std::fs::write(&path, &bytes).unwrap();
            let (whole, lost) = decode(&path).unwrap();
            assert_eq!(lost, Lost::default(), "{format:?}");
            let mut complete = 0;
            for cut in (0..bytes.len())
                .step_by(7)
                .chain(bytes.len() - 40..bytes.len())
            {
                std::fs::write(&path, &bytes[..cut]).unwrap();
                match decode(&path) {
                    Err(error) => {
                        let name = format!("{format:?}.any");
                        assert!(error.to_string().contains(&name), "{error}");
                    }
                    Ok((found, _)) => {
                        complete += 1;
                        assert!(found == whole, "{format:?} cut to {cut} of {}", bytes.len());
                    }
                }
            }
            assert!(complete < 40, "{format:?}: {complete} accepted");
        }
    }

    /// The marker of the end of an embedded thumbnail is not that of the image; bytes behind the end are no damage.
    #[test]
    fn the_end_of_a_jpeg_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jpg");
        let whole = encoded(ImageFormat::Jpeg);
        let mut thumbed = whole[..2].to_vec();
        thumbed.extend([0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0]);
        thumbed.extend(&whole[2..]);
        std::fs::write(&path, &thumbed).unwrap();
        decode(&path).unwrap();
        std::fs::write(&path, &thumbed[..thumbed.len() * 7 / 10]).unwrap();
        assert!(decode(&path).unwrap_err().to_string().contains("cut off"));
        let mut longer = whole.clone();
        longer.extend([0; 100]);
        std::fs::write(&path, &longer).unwrap();
        decode(&path).unwrap();
    }

    /// Pixels of 16 bits in which little of the range is used, and floats beyond it.
    #[test]
    fn deep_images_say_how_bright_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(4, 4, |x, y| {
            image::Luma([(x * 1000 + y) as u16])
        });
        DynamicImage::ImageLuma16(deep).save(&path).unwrap();
        let (_, lost) = decode(&path).unwrap();
        assert_eq!((lost.depth, lost.largest), (true, Some(3003)));
        let path = dir.path().join("a.tiff");
        let floats = image::Rgb32FImage::from_pixel(4, 4, image::Rgb([0.0, 200.0, 1.0]));
        DynamicImage::ImageRgb32F(floats).save(&path).unwrap();
        let error = decode(&path).unwrap_err().to_string();
        assert!(error.contains("a pixel of 200"), "{error}");
    }

    /// Not JPEG alone has a tag for it.
    #[test]
    fn formats_with_a_tag_say_that_they_are_to_be_turned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let bytes = encoded(ImageFormat::Png);
        // A chunk eXIf behind the header: one entry, orientation 6.
        let mut exif =
            b"eXIfII*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let length = (exif.len() - 4) as u32;
        let crc = crc(&exif).to_be_bytes();
        exif.extend(crc);
        let mut tagged = bytes[..33].to_vec();
        tagged.extend(length.to_be_bytes());
        tagged.extend(exif);
        tagged.extend(&bytes[33..]);
        std::fs::write(&path, tagged).unwrap();
        assert!(decode(&path).unwrap().1.turn);
        std::fs::write(&path, bytes).unwrap();
        assert!(!decode(&path).unwrap().1.turn);
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            let bit = |crc: u32, _| match crc & 1 {
                0 => crc >> 1,
                _ => crc >> 1 ^ 0xedb8_8320,
            };
            (0..8).fold(crc ^ u32::from(*byte), bit)
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    /// What the crate `image` makes of a whole JPEG is what is made here.
    #[test]
    fn whole_jpegs_are_decoded_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jpg");
        let grey = DynamicImage::ImageRgb8(picture()).to_luma8();
        for image in [
            DynamicImage::ImageRgb8(picture()),
            DynamicImage::ImageLuma8(grey),
        ] {
            image.save(&path).unwrap();
            assert!(decode(&path).unwrap().0 == image::open(&path).unwrap());
        }
    }
}
