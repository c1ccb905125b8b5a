//! Data files, whole and damaged: what is right is read, what is wrong is an error that names the file and the remedy.

use std::io::Write;
use std::path::{Path, PathBuf};

use anygrad_core::Result;
use anygrad_core::testing::device;
use anygrad_trainers::data::{Blocks, Characters, Dataset, LabelledImages, Pass, idx, read};
use flate2::{Compression, write::GzEncoder};

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("anygrad-data-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

/// An idx file with these axes and bytes.
fn idx_file(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn fails<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = result.expect_err(words[0]).to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{message}\nlacks one of {words:?}");
}

#[test]
fn idx_files_are_read_plain_and_packed() {
    let scratch = Scratch::new("idx");
    let file = idx_file(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);
    for (name, bytes) in
        [("plain", file.clone()), ("packed.gz", gzip(&file)), ("packed under another name", gzip(&file))]
    {
        let array = idx::read(&scratch.write(name, &bytes)).expect(name);
        assert_eq!((array.shape, array.values.len(), array.values[11]), (vec![2, 2, 3], 12, 255));
    }
}

#[test]
fn damaged_idx_files_are_errors_that_say_what_and_where() {
    let scratch = Scratch::new("damage");
    let good = idx_file(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    let mut packed = gzip(&good);
    let long = [&good[..], &[0]].concat();
    let huge = idx_file(&[u32::MAX, u32::MAX, u32::MAX], &[]);
    let large = idx_file(&[u32::MAX], &[1, 2, 3]);
    let floats = [&[0, 0, 0x0d, 1, 0, 0, 0, 0][..]].concat();
    let cases: [(&str, &[u8], &[&str]); 11] = [
        ("empty", &[], &["ends inside of its first four bytes"]),
        ("short", &good[..3], &["ends inside of its first four bytes"]),
        ("header", &good[..9], &["ends inside of its axis sizes"]),
        ("cut", &good[..13], &["cut off", "[2, 3] = 6 bytes", "only 1 follow"]),
        ("long", &long, &["more bytes follow than the 6"]),
        ("png", b"\x89PNG\r\n\x1a\n", &["0x89504e47", "not idx", "0x00000803"]),
        ("floats", &floats, &["type 0x0d", "0x08"]),
        ("rank", &[0, 0, 8, 0], &["0 axes"]),
        ("huge", &huge, &["more than any machine holds"]),
        ("large", &large, &["only 3 follow"]),
        ("cut.gz", &packed[..packed.len() - 6], &["fetch it again"]),
    ];
    for (name, bytes, words) in cases {
        let path = scratch.write(name, bytes);
        fails(idx::read(&path), &[words, &[path.to_str().expect("a name")]].concat());
    }
    let middle = packed.len() / 2;
    packed[middle] ^= 0x55;
    fails(idx::read(&scratch.write("bits.gz", &packed)), &["bits.gz"]);
    fails(idx::read(&scratch.write("junk.gz", &[gzip(&good), b"junk".to_vec()].concat())), &["junk.gz", "again"]);
    fails(idx::read(Path::new("/no/such/file")), &["/no/such/file", "no such file", "--data"]);
    fails(idx::read(&scratch.0), &[scratch.0.to_str().expect("a name")]);
}

#[test]
fn directories_of_images_must_fit_together() {
    let scratch = Scratch::new("images");
    fails(LabelledImages::open(&scratch.0), &["train-images-idx3-ubyte", "put the files of MNIST"]);
    scratch.write("train-images-idx3-ubyte.gz", &gzip(&idx_file(&[2, 1, 2], &[0, 255, 51, 102])));
    fails(LabelledImages::open(&scratch.0), &["train-labels-idx1-ubyte"]);
    scratch.write("train-labels-idx1-ubyte", &idx_file(&[3], &[1, 0, 1]));
    fails(LabelledImages::open(&scratch.0), &["3 labels", "2 images", "belong together"]);
    scratch.write("train-labels-idx1-ubyte", &idx_file(&[2], &[1, 4]));
    scratch.write("test-images-idx3-ubyte", &idx_file(&[1, 2, 2], &[0; 4]));
    scratch.write("test-labels-idx1-ubyte", &idx_file(&[1, 1], &[0]));
    fails(LabelledImages::open(&scratch.0), &["labels have 1 axis"]);
    scratch.write("test-labels-idx1-ubyte", &idx_file(&[1], &[0]));
    fails(LabelledImages::open(&scratch.0), &["[1, 1, 2]", "[1, 2, 2]", "not of one data set"]);
    scratch.write("test-images-idx3-ubyte", &idx_file(&[1, 1, 2], &[5, 6]));
    let (train, test) = LabelledImages::open(&scratch.0).expect("images");
    assert_eq!((train.len(), test.len(), train.classes(), train.shape), (2, 1, 5, [1, 1, 2]));
    let (x, y) = train.batch(&[1, 0], &device()).expect("a batch");
    assert_eq!((x.shape(), y.to_vec::<i32>().expect("labels")), (&[2, 1, 1, 2][..], vec![4, 1]));
    let x = x.to_vec::<f32>().expect("pixels");
    assert!(x.iter().zip([0.2, 0.4, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?}");
    fails(train.batch(&[2], &device()), &["row 2", "2 rows"]);
    fails(train.split(1.5, 0), &["1.5", "0..=1"]);
}

#[test]
fn colours_come_before_places() {
    let scratch = Scratch::new("colour");
    let images = scratch.write("i", &idx_file(&[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]));
    let labels = scratch.write("l", &idx_file(&[1], &[0]));
    let images = LabelledImages::from_idx(&images, &labels).expect("images");
    assert_eq!((images.shape, images.pixels), ([3, 1, 2], vec![1, 4, 2, 5, 3, 6]));
}

#[test]
fn lines_of_numbers_are_checked() {
    let csv = |text: &str| LabelledImages::from_csv("d.csv", text.as_bytes(), [1, 1, 2], 16);
    assert_eq!(csv("0,16,3\n1,2,9\n").expect("two images").labels, [3, 9]);
    fails(csv("0,16,3\n1,2\n"), &["d.csv, line 2", "2 fields"]);
    fails(csv("0,17,3\n"), &["line 1", "17", "at most 16"]);
    fails(csv("0,x,3\n"), &["line 1", "'x'"]);
    fails(LabelledImages::from_csv("d.csv.gz", &gzip(b"0,1,2\n")[..12], [1, 1, 2], 16), &["d.csv.gz"]);
}

#[test]
fn an_epoch_shows_every_full_batch_once() {
    let images =
        LabelledImages { pixels: (0..10).collect(), shape: [1, 1, 1], brightest: 1, labels: (0..10).collect() };
    let device = device();
    let labels = |batches: anygrad_trainers::data::Batches<'_, LabelledImages>| -> Vec<Vec<i32>> {
        batches.map(|b| b.expect("a batch").1.to_vec().expect("labels")).collect()
    };
    let epoch = labels(images.shuffled_batches(3, 1, 0, &device));
    assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    let mut all = epoch.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
    assert_eq!(labels(images.shuffled_batches(3, 1, 0, &device)), epoch);
    assert_ne!(labels(images.shuffled_batches(3, 1, 1, &device)), epoch);
    assert_eq!(labels(images.batches(4, &device)), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_eq!(labels(images.shuffled_batches(100, 1, 0, &device))[0].len(), 10);
}

#[test]
fn text_is_numbered_and_cut_into_blocks() {
    let scratch = Scratch::new("text");
    let text = read::text(&scratch.write("t.gz", &gzip("so long, ä".as_bytes())), 100).expect("text");
    let characters = Characters::of(&text);
    let numbers = characters.encode(&text).expect("numbers");
    assert_eq!((characters.decode(&numbers), characters.len()), (text.clone(), 8));
    fails(characters.encode("so x"), &["character 3", "'x'"]);
    fails(read::text(&scratch.write("long", &[b'a'; 101]), 100), &["more than 100 bytes"]);
    fails(read::text(&scratch.write("binary", &[b'a', 0xff]), 100), &["not UTF-8", "byte 1"]);
    let device = device();
    let all = Blocks::new(numbers.as_slice(), 4, 1).expect("blocks");
    assert_eq!(all.len(), 6, "10 characters: the last block begins at the sixth, its last target is the tenth");
    let (x, y) = all.batch(&[5, 0], &device).expect("rows");
    assert_eq!(x.to_vec::<i32>().expect("x"), [&numbers[5..9], &numbers[..4]].concat());
    assert_eq!(y.to_vec::<i32>().expect("y"), [&numbers[6..], &numbers[1..5]].concat());
    let sample = all.sample(2, Pass::default()).expect("a row");
    assert_eq!(
        (sample.input.to_vec::<i32>(), sample.target.to_vec::<i32>()),
        (numbers[2..6].to_vec(), numbers[3..7].to_vec())
    );
    // Without overlap: blocks at 0 and 4; one at 8 would lack its last target.
    assert_eq!(Blocks::new(numbers.as_slice(), 4, 4).expect("blocks").len(), 2);
    fails(all.batch(&[6], &device), &["row 6", "6 rows"]);
    fails(Blocks::new(numbers.as_slice(), 10, 1), &["10 tokens", "at least 11"]);
    fails(Blocks::new(numbers, 4, 0), &["at least 1", "not 0"]);
}
