//! Labelled images kept on the host as bytes; a batch is scaled to 0..1 and copied to the device when it is asked for.
//!
//! MNIST takes 47 MB so instead of 188 MB as f32, and no device limit is met; a batch of 128 is 0.4 MB.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use anygrad_core::{Device, Error, Result, Tensor};

use super::{Array, Dataset, Pass, Sample, check_rows, idx, read, shuffled};

/// Images of one size and the class of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    /// Bytes, `[image, channel, row, column]`.
    pub pixels: Vec<u8>,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    /// The byte that means full brightness (255; 16 for the 8x8 digits): becomes 1.0.
    pub brightest: u8,
    /// The class of each image.
    pub labels: Vec<u8>,
}

impl LabelledImages {
    /// Training and test images of a directory in the form of MNIST: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
    /// `t10k-images-idx3-ubyte` (or `test-..`), `t10k-labels-idx1-ubyte`, each plain or `.gz`; `idx4` for colour images.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another form, or counts or image sizes differ.
    pub fn open(directory: &Path) -> Result<(LabelledImages, LabelledImages)> {
        let train = LabelledImages::open_part(directory, &["train"])?;
        let test = LabelledImages::open_part(directory, &["t10k", "test"])?;
        if train.shape != test.shape {
            let sizes = format!("training images are {:?}, test images {:?}", train.shape, test.shape);
            return Err(Error::data(directory.display().to_string(), format!("{sizes}; they are not of one data set")));
        }
        Ok((train, test))
    }

    fn open_part(directory: &Path, prefixes: &[&str]) -> Result<LabelledImages> {
        let images = find(directory, prefixes, &["images-idx3-ubyte", "images-idx4-ubyte"])?;
        let labels = find(directory, prefixes, &["labels-idx1-ubyte"])?;
        LabelledImages::from_idx(&images, &labels)
    }

    /// Images `[count, rows, columns]` or `[count, rows, columns, channels]` and labels `[count]` from two idx files.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another form, or the counts differ.
    pub fn from_idx(images: &Path, labels: &Path) -> Result<LabelledImages> {
        let (pixels, classes) = (idx::read(images)?, idx::read(labels)?);
        let (images, labels) = (images.display().to_string(), labels.display().to_string());
        let (rows, columns, channels) = match pixels.shape[1..] {
            [rows, columns] => (rows, columns, 1),
            [rows, columns, channels] => (rows, columns, channels),
            _ => {
                let message = format!("idx of shape {:?}; images have 3 axes (4 with colours)", pixels.shape);
                return Err(Error::data(images, message));
            }
        };
        if classes.shape.len() != 1 {
            return Err(Error::data(labels, format!("idx of shape {:?}; labels have 1 axis", classes.shape)));
        }
        if pixels.shape[0] != classes.shape[0] {
            let message = format!("{} labels, but {images} holds {} images", classes.shape[0], pixels.shape[0]);
            return Err(Error::data(labels, format!("{message}; the two files do not belong together")));
        }
        let values =
            if channels == 1 { pixels.values } else { channels_first(&pixels.values, channels, rows * columns) };
        Ok(LabelledImages { pixels: values, shape: [channels, rows, columns], brightest: 255, labels: classes.values })
    }

    /// Images as lines of comma-separated pixels with the class at the end (plain or gzip), such as the UCI digits.
    ///
    /// # Errors
    /// If the bytes are damaged, a line has another number of fields, or a field is no number or too bright.
    pub fn from_csv(name: &str, bytes: &[u8], shape: [usize; 3], brightest: u8) -> Result<LabelledImages> {
        let mut text = String::new();
        read::unpacked(Cursor::new(bytes))
            .and_then(|mut source| source.read_to_string(&mut text))
            .map_err(|error| read::broken(name, &error))?;
        let size = shape.iter().product::<usize>();
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            let place = || format!("{name}, line {}", number + 1);
            let fields = line
                .split(',')
                .map(|field| field.trim().parse::<u8>().map_err(|e| Error::data(place(), format!("'{field}': {e}"))))
                .collect::<Result<Vec<u8>>>()?;
            if fields.len() != size + 1 {
                let message = format!("{} fields, but {size} pixels and a class are expected", fields.len());
                return Err(Error::data(place(), message));
            }
            if let Some(pixel) = fields[..size].iter().find(|&&pixel| pixel > brightest) {
                return Err(Error::data(place(), format!("a pixel is {pixel}; at most {brightest} is expected")));
            }
            pixels.extend_from_slice(&fields[..size]);
            labels.push(fields[size]);
        }
        Ok(LabelledImages { pixels, shape, brightest, labels })
    }

    /// Number of classes: the largest label and one.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
    }

    /// The images with these numbers.
    ///
    /// # Errors
    /// If a number is too large.
    pub fn select(&self, rows: &[u32]) -> Result<LabelledImages> {
        check_rows(rows, self.len())?;
        let size = self.shape.iter().product::<usize>();
        let (mut pixels, mut labels) = (Vec::with_capacity(rows.len() * size), Vec::with_capacity(rows.len()));
        for row in rows.iter().map(|&row| row as usize) {
            pixels.extend_from_slice(&self.pixels[row * size..(row + 1) * size]);
            labels.push(self.labels[row]);
        }
        Ok(LabelledImages { pixels, labels, ..*self })
    }

    /// Splits by chance, as `seed` decides: the given fraction of the images, and the others.
    ///
    /// # Errors
    /// If the fraction is not in 0..=1.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(LabelledImages, LabelledImages)> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::data("split", format!("a fraction of {fraction}; it must lie in 0..=1")));
        }
        let order = shuffled(self.len(), seed, 0);
        let (first, second) = order.split_at((self.len() as f64 * fraction).round() as usize);
        Ok((self.select(first)?, self.select(second)?))
    }
}

impl Dataset for LabelledImages {
    fn len(&self) -> usize {
        self.labels.len()
    }

    /// The image `[channels, rows, columns]`, f32 in 0..=1, and its class, i32.
    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        check_rows(&[row], self.len())?;
        let (size, row) = (self.shape.iter().product::<usize>(), row as usize);
        let scale = 1.0 / f32::from(self.brightest.max(1));
        let pixels: Vec<f32> =
            self.pixels[row * size..(row + 1) * size].iter().map(|&pixel| f32::from(pixel) * scale).collect();
        Ok(Sample { input: Array::new(&pixels, &self.shape)?, target: Array::scalar(i32::from(self.labels[row])) })
    }

    /// Images `[n, channels, rows, columns]`, f32 in 0..=1, and classes `[n]`, i32.
    fn read(&self, rows: &[u32], _: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        check_rows(rows, self.len())?;
        let size = self.shape.iter().product::<usize>();
        let scale = 1.0 / f32::from(self.brightest.max(1));
        let mut pixels = Vec::with_capacity(rows.len() * size);
        for row in rows.iter().map(|&row| row as usize) {
            pixels.extend(self.pixels[row * size..(row + 1) * size].iter().map(|&pixel| f32::from(pixel) * scale));
        }
        let labels: Vec<i32> = rows.iter().map(|&row| i32::from(self.labels[row as usize])).collect();
        let [channels, height, width] = self.shape;
        let x = Tensor::try_from_slice(&pixels, &[rows.len(), channels, height, width], device)?;
        Ok((x, Tensor::try_from_slice(&labels, &[rows.len()], device)?))
    }
}

/// `[n, place, channel]` as `[n, channel, place]`.
fn channels_first(values: &[u8], channels: usize, places: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact((channels * places).max(1)) {
        for channel in 0..channels {
            out.extend(image.iter().skip(channel).step_by(channels));
        }
    }
    out
}

/// The first file there is, of `prefix-name` and `prefix-name.gz` for all prefixes and names.
fn find(directory: &Path, prefixes: &[&str], names: &[&str]) -> Result<PathBuf> {
    let candidates = || prefixes.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}-{name}")));
    for name in candidates() {
        for file in [format!("{name}.gz"), name] {
            let path = directory.join(file);
            if path.exists() {
                return Ok(path);
            }
        }
    }
    let list = candidates().collect::<Vec<_>>().join(" or ");
    let message = format!("neither {list} is there, plain or .gz; put the files of MNIST or Fashion-MNIST there");
    Err(Error::Io { path: directory.display().to_string(), message })
}
