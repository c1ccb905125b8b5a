//! Files of other libraries: safetensors, and behind features folders of images, Parquet and byte pairs.
//! The files and what they hold are from `goldens/formats.py`.

use std::path::{Path, PathBuf};

use anygrad_core::Result;
use anygrad_trainers::data::{Arrays, read_safetensors};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = match result {
        Ok(value) => panic!("an error with {words:?} was expected, not {value:?}"),
        Err(error) => error.to_string(),
    };
    assert!(words.iter().all(|word| message.contains(word)), "{message}\nlacks one of {words:?}");
}

/// A directory of a test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("anygrad-formats-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn tensors_of_pytorch_are_a_data_set() {
    let path = golden("tensors.safetensors");
    let data = Arrays::from_safetensors(&path, "x", "y").expect("rows");
    assert_eq!(data.inputs().to_vec::<f32>(), [0.5, -1.0, 2.0, 3.5, -4.0, 0.25]);
    assert_eq!((data.inputs().shape(), data.targets().to_vec::<i32>()), (&[3, 2][..], vec![2, 0, 1]));
    let all = read_safetensors(&path).expect("tensors");
    assert_eq!(all["brain"].to_vec::<f32>(), [1.5, -2.0, 3.0]);
    assert_eq!(all["bytes"].to_vec::<i32>(), [0, 255, 7]);
    assert_eq!(all["flags"].to_vec::<bool>(), [true, false, true]);
    fails(Arrays::from_safetensors(&path, "x", "z"), &["tensors.safetensors", "no tensor 'z'", "x, y"]);
    let far = read_safetensors(&golden("tensors_far.safetensors"));
    fails(far, &["tensor 'far'", "1099511627776", "32 bits", "float"]);
    fails(read_safetensors(Path::new("none.safetensors")), &["none.safetensors"]);
    let scratch = Scratch::new("cut");
    let bytes = std::fs::read(&path).expect("bytes");
    let cut = scratch.0.join("cut.safetensors");
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).expect("written");
    fails(read_safetensors(&cut), &["cut.safetensors", "cut off"]);
}

#[test]
#[cfg(feature = "image")]
fn folders_of_images_are_read_by_class_scaled_and_checked() {
    use anygrad_core::testing::device;
    use anygrad_trainers::data::{Dataset, ImageFolder, Pass};
    use image::{GrayImage, Luma, Rgb, RgbImage};

    let scratch = Scratch::new("folder");
    fails(ImageFolder::open(&scratch.0, [3, 2, 2]), &["no directories", "each class"]);
    fails(ImageFolder::open(&scratch.0.join("none"), [3, 2, 2]), &["none"]);
    fails(ImageFolder::open(&scratch.0, [2, 2, 2]), &["[2, 2, 2]", "1 or 3 channels"]);
    let place = |name: &str| {
        let path = scratch.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a class")).expect("made");
        path
    };
    // Red, green / blue, white.
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]];
    RgbImage::from_fn(2, 2, |x, y| Rgb(colours[(2 * y + x) as usize])).save(place("zebra/b.png")).expect("saved");
    GrayImage::from_pixel(5, 7, Luma([51])).save(place("ant/deep/a.bmp")).expect("saved");
    std::fs::write(place("ant/notes.txt"), "no image").expect("written");
    std::fs::write(scratch.0.join("read.me"), "no class").expect("written");
    let folder = ImageFolder::open(&scratch.0, [3, 2, 2]).expect("images");
    assert_eq!((folder.classes(), folder.labels()), (&["ant".to_string(), "zebra".into()][..], &[0, 1][..]));
    let (x, y) = folder.batch(&[1, 0], &device()).expect("a batch");
    // Planes of red, green and blue; an even image stays even when it is scaled.
    let planes = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]].concat();
    let even = vec![51.0 / 255.0; 12];
    assert_eq!((x.shape(), y.to_vec::<i32>().expect("labels")), (&[2, 3, 2, 2][..], vec![1, 0]));
    assert_eq!(x.to_vec::<f32>().expect("pixels"), [planes, even].concat());
    // Grey of a colour: BT.709's weights, as the library documents.
    let grey = ImageFolder::open(&scratch.0, [1, 2, 2]).expect("images").sample(1, Pass::default()).expect("one");
    for (found, weight) in grey.input.to_vec::<f32>().iter().zip([0.2126, 0.7152, 0.0722, 1.0]) {
        assert!((found - weight).abs() <= 1.0 / 255.0, "{found} {weight}");
    }
    fails(folder.sample(2, Pass::default()), &["row 2", "2 rows"]);
    // By content, not by name; and what is none is named.
    std::fs::copy(scratch.0.join("zebra/b.png"), place("zebra/c.jpg")).expect("copied");
    std::fs::write(place("zebra/d.png"), b"\x89PNG\r\n\x1a\n and then nothing").expect("written");
    let folder = ImageFolder::open(&scratch.0, [3, 2, 2]).expect("images");
    assert!(folder.sample(2, Pass::default()).is_ok());
    fails(folder.batch(&[0, 3], &device()), &["d.png", "cannot be read as an image", "replace or remove"]);
    std::fs::create_dir(scratch.0.join("empty")).expect("made");
    fails(ImageFolder::open(&scratch.0, [3, 2, 2]), &["empty", "no images", "png"]);
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_files_of_pandas_are_tables() {
    use anygrad_trainers::data::Table;
    use anygrad_trainers::data::table::{Kind, Values};

    let table = Table::open_parquet(&golden("table.parquet")).expect("a table");
    let column = |name: &str| table.column(name).expect("there").values.clone();
    assert_eq!((table.rows(), table.columns().len()), (4, 7));
    assert_eq!(column("flag"), Values::Bool(vec![Some(true), Some(false), None, Some(true)]));
    assert_eq!(column("small"), Values::Integer(vec![Some(1), Some(-2), None, Some(127)]));
    assert_eq!(column("large"), Values::Integer(vec![Some(1 << 40), Some(-1), Some(0), Some(5)]));
    let real = table.numbers("real").expect("numbers");
    assert!(real[1].is_nan() && [real[0], real[2], real[3]] == [0.5, -1.25, 1e300], "{real:?}");
    assert_eq!(table.numbers("half").expect("numbers")[..3], [1.5, 2.5, 3.5]);
    assert_eq!(table.texts("word").expect("words"), ["red", "green", "", "blå"]);
    assert_eq!(column("day").kind(), Kind::Category);
    assert_eq!(table.texts("day").expect("days")[..2], ["2020-02-29", "1969-12-31"]);
    assert_eq!(Table::open_parquet(&golden("table_gzip.parquet")).expect("a table").rows(), 2);
    fails(Table::open_parquet(&golden("table_nested.parquet")), &["table_nested.parquet, row 1, column 'list'"]);
    fails(Table::open_parquet(Path::new("none.parquet")), &["none.parquet"]);
    fails(Table::open_parquet(&golden("tensors.safetensors")), &["tensors.safetensors", "no Parquet file"]);
}

#[test]
#[cfg(feature = "tokenizers")]
fn byte_pairs_are_hugging_faces_and_lose_nothing() {
    use anygrad_trainers::data::BytePairs;

    let pairs = BytePairs::open(&golden("tokenizer.json")).expect("a vocabulary");
    let text = std::fs::read_to_string(golden("formats.json")).expect("goldens");
    let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| expected[name].as_array().expect("a list").clone();
    for (text, ids) in list("texts").iter().zip(list("ids")) {
        let text = text.as_str().expect("text");
        let ids: Vec<i32> = ids.as_array().expect("ids").iter().map(|id| id.as_i64().expect("one") as i32).collect();
        assert_eq!(pairs.encode(text).expect("tokens"), ids, "{text}");
        assert_eq!(pairs.decode(&ids).expect("text"), text);
    }
    // The most frequent pair is the first to be joined: "ab" comes six times, all others less.
    let learned = BytePairs::learn("abab ab\nabc ab ab", 257).expect("learned");
    assert_eq!((learned.len(), learned.encode("ab").expect("tokens").len()), (257, 1));
    assert_eq!(learned.encode("ba").expect("tokens").len(), 2);
    let any = "tabs\tand \u{1f980}\r\nß";
    assert_eq!(learned.decode(&learned.encode(any).expect("tokens")).expect("text"), any);
    let scratch = Scratch::new("pairs");
    let path = scratch.0.join("tokenizer.json");
    learned.save(&path).expect("saved");
    let again = BytePairs::open(&path).expect("read");
    assert_eq!(again.encode(any).expect("tokens"), learned.encode(any).expect("tokens"));
    fails(BytePairs::learn("", 300), &["0 bytes"]);
    fails(BytePairs::learn("text", 255), &["255 tokens", "256 or more"]);
    fails(BytePairs::open(&golden("formats.json")), &["formats.json", "tokenizer.json"]);
    fails(BytePairs::open(Path::new("none.json")), &["none.json"]);
}
