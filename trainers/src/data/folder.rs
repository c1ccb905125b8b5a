//! [`ImageFolder`]: a directory of images with a directory per class, read when they are needed (feature `image`).

use std::path::{Path, PathBuf};

use anygrad_core::{Error, Result};
use image::imageops::FilterType;

use super::{Array, Dataset, Pass, Sample, check_rows};

/// Endings of files that are taken for images.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];

/// Images in the form of `directory/class/anything.png` (JPEG and BMP, too), each scaled to one size when it is read. The
/// classes are the directories' names, sorted; files are in the order of their names, at any depth below.
///
/// Decoding takes longer than most steps: train with [`crate::supervised::Supervised::workers`], or keep a small set on
/// the device with [`super::Resident::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFolder {
    files: Vec<PathBuf>,
    labels: Vec<i32>,
    classes: Vec<String>,
    shape: [usize; 3],
}

impl ImageFolder {
    /// The images below a directory, as `shape`: channels (1: grey, 3: red, green, blue), rows, columns.
    ///
    /// # Errors
    /// If the directory cannot be read, holds no directories or one of them no images, or the shape makes no sense.
    pub fn open(directory: &Path, shape: [usize; 3]) -> Result<ImageFolder> {
        let place = directory.display().to_string();
        if !matches!(shape[0], 1 | 3) || shape.contains(&0) {
            let message = format!("images of shape {shape:?} were asked for; give [1 or 3 channels, rows, columns]");
            return Err(Error::data(place, message));
        }
        let (mut files, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries(directory)?.into_iter().filter(|entry| entry.is_dir()) {
            let before = files.len();
            find(&entry, &mut files)?;
            if files.len() == before {
                let message = format!("no images ({}) are in it; remove it or put some there", ENDINGS.join(", "));
                return Err(Error::data(entry.display().to_string(), message));
            }
            labels.resize(files.len(), classes.len() as i32);
            classes.push(entry.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        if classes.is_empty() {
            return Err(Error::data(place, "there are no directories in it; give each class one of its own"));
        }
        Ok(ImageFolder { files, labels, classes, shape })
    }

    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class of each image.
    #[must_use]
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// The image files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// What a directory holds, sorted by name.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::io(directory, &error);
    let all = std::fs::read_dir(directory).map_err(failed)?;
    let mut all = all.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    all.sort();
    Ok(all)
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries(directory)? {
        if entry.is_dir() {
            find(&entry, files)?;
        } else if let Some(ending) = entry.extension()
            && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
        {
            files.push(entry);
        }
    }
    Ok(())
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    /// The image `[channels, rows, columns]`, f32 in 0..=1, and its class, i32.
    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        check_rows(&[row], self.len())?;
        let path = &self.files[row as usize];
        let failed = |error: image::ImageError| {
            let message = format!("it cannot be read as an image ({error}); replace or remove it");
            Error::data(path.display().to_string(), message)
        };
        // By content, not by name: many a .jpg is a PNG.
        let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
        let image = reader.map_err(|error| Error::io(path, &error))?.decode().map_err(failed)?;
        let [channels, rows, columns] = self.shape;
        let image = match (image.height() as usize, image.width() as usize) == (rows, columns) {
            true => image,
            false => image.resize_exact(columns as u32, rows as u32, FilterType::Triangle),
        };
        let bytes = if channels == 1 { image.to_luma8().into_raw() } else { image.to_rgb8().into_raw() };
        let channel = |c: usize| bytes.iter().skip(c).step_by(channels).map(|&byte| f32::from(byte) / 255.0);
        let pixels: Vec<f32> = (0..channels).flat_map(channel).collect();
        Ok(Sample { input: Array::new(&pixels, &self.shape)?, target: Array::scalar(self.labels[row as usize]) })
    }
}
