//! Readers of tables, arrays, words and series: values from the definition or from NumPy (goldens/numpy_files.py), and errors
//! that name file, line and column.

use std::collections::BTreeMap;
use std::path::Path;

use anygrad_core::testing::device;
use anygrad_core::{DType, Result};
use anygrad_trainers::data::numpy::{npy, parse_npy, read_npz, write_npy, write_npz};
use anygrad_trainers::data::sequence::{Side, Take, Windows, pad};
use anygrad_trainers::data::table::{BadRows, Kind, Table, TableOptions, Values};
use anygrad_trainers::data::words::words;
use anygrad_trainers::data::{Array, Dataset, Encoder, HashedNgrams, Target, Vocabulary};

fn fails<T: std::fmt::Debug>(result: Result<T>, needed: &[&str]) {
    let message = result.expect_err(needed[0]).to_string();
    assert!(needed.iter().all(|word| message.contains(word)), "{message}\nlacks one of {needed:?}");
}

fn table(text: &str, options: &TableOptions) -> Result<Table> {
    Table::parse("people.csv", text.as_bytes(), options)
}

const PEOPLE: &str = "age,height,city,member,note
31,1.75,Ulm,true,\"tall, quiet\"
NA,1.6,Bonn,FALSE,\"two
lines\"
45,2,Ulm,,x
";

#[test]
fn columns_get_the_narrowest_type_that_fits() {
    let table = table(PEOPLE, &TableOptions::default()).expect("read");
    let kinds: Vec<Kind> = table.columns().iter().map(|column| column.values.kind()).collect();
    assert_eq!(kinds, [Kind::Integer, Kind::Float, Kind::Category, Kind::Bool, Kind::Category]);
    assert_eq!(table.rows(), 3);
    assert_eq!(table.column("age").expect("age").values, Values::Integer(vec![Some(31), None, Some(45)]));
    assert_eq!(table.column("member").expect("m").values, Values::Bool(vec![Some(true), Some(false), None]));
    assert_eq!(table.numbers("height").expect("numbers"), [1.75, 1.6, 2.0]);
    assert_eq!(table.texts("note").expect("texts"), ["tall, quiet", "two\nlines", "x"]);
    fails(table.column("size"), &["people.csv", "no column 'size'", "age, height, city"]);
    fails(table.numbers("city"), &["'city' holds words"]);
}

#[test]
fn rows_that_do_not_fit_are_errors_with_lines_or_are_reported() {
    // The quoted line end makes the fourth row begin on line 6; types come from the first rows.
    let text =
        format!("{PEOPLE}50,1.8,Ulm\n1O3,1.7,Ulm,true,z\n12.5,1.7,Ulm,maybe,z\n13.5,x,Ulm,true,z\n7,1.1,Kiel,true,z\n");
    let options = TableOptions { inferred_from: 3, ..TableOptions::default() };
    fails(table(&text, &options), &["people.csv, line 6", "3 fields", "has 5", "skip bad rows"]);
    let skipping = TableOptions { bad_rows: BadRows::Skip, ..options.clone() };
    let read = table(&text, &skipping).expect("read");
    let lines: Vec<u64> = read.skipped.iter().map(|bad| bad.line).collect();
    assert_eq!((read.rows(), lines), (4, vec![6, 7, 8, 9]));
    for (bad, words) in read.skipped.iter().zip(["3 fields", "'age': '1O3'", "'member': 'maybe'", "'height': 'x'"]) {
        assert!(bad.reason.contains(words), "{bad:?}");
    }
    // Whole numbers were widened by the fraction of a row that was then left out; all columns stayed equally long.
    assert_eq!(read.numbers("age").expect("age")[2..], [45.0, 7.0]);
    assert_eq!(read.texts("city").expect("city"), ["Ulm", "Bonn", "Ulm", "Kiel"]);
    let bytes = b"a,b\n1,2\n3,\xff\n";
    let result = Table::parse("bytes.csv", &bytes[..], &TableOptions::default());
    fails(result, &["bytes.csv, line 3", "field 2", "UTF-8"]);
    fails(table("a,b\n", &options), &["no rows"]);
    fails(table("a,a\n1,2\n", &options), &["two columns", "'a'"]);
    let typed = TableOptions { types: vec![("agee".into(), Kind::Float)], ..options.clone() };
    fails(table(PEOPLE, &typed), &["'agee'", "age, height"]);
    fails(Table::open(Path::new("/nowhere/x.csv"), &options), &["/nowhere/x.csv", "no such file"]);
}

#[test]
fn other_separators_headers_and_given_types() {
    let spaced = TableOptions { header: false, delimiter: b' ', ..TableOptions::default() };
    let read = table("1  0.5 7  \n2 0.25 8\n", &spaced).expect("read");
    assert_eq!(read.numbers("column 2").expect("numbers"), [0.5, 0.25]);
    let typed = TableOptions { types: vec![("zip".into(), Kind::Category)], ..TableOptions::default() };
    assert_eq!(table("zip\n01234\n99999\n", &typed).expect("read").texts("zip").expect("texts"), ["01234", "99999"]);
}

#[test]
fn encoders_say_tables_by_what_training_rows_told() {
    let train = table("x,kind,y\n1,a,10\n3,b,20\n,a,30\n", &TableOptions::default()).expect("read");
    let test = table("x,kind,y\n5,c,40\n2,b,20\n", &TableOptions::default()).expect("read");
    let encoder = Encoder::fit(&train, "y", false).expect("fitted");
    // x: mean 2, deviation 1, and a mark where missing; then one column each for a and b.
    let inputs = encoder.inputs(&train).expect("inputs");
    assert_eq!((inputs.shape(), encoder.width()), (&[3, 4][..], 4));
    assert_eq!(inputs.to_vec::<f32>(), [-1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(encoder.inputs(&test).expect("inputs").to_vec::<f32>(), [3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(encoder.codes(&test).expect("codes").to_vec::<i32>(), [0, 2]);
    // y: mean 20, deviation sqrt(200 / 3).
    let deviation = (200.0f64 / 3.0).sqrt();
    assert_eq!(encoder.targets(&test).expect("targets").to_vec::<f32>(), [(20.0 / deviation) as f32, 0.0]);
    let classes = Encoder::fit(&train, "kind", false).expect("fitted");
    assert_eq!(classes.target(), &Target::Class(vec!["a".into(), "b".into()]));
    assert_eq!(classes.targets(&train).expect("targets").to_vec::<i32>(), [0, 1, 0]);
    fails(classes.targets(&test), &["row 1", "'kind'", "not known"]);
    fails(Encoder::fit(&train, "z", false), &["no column 'z'"]);
    let holes = table("x,y\n1,2\n1,\n", &TableOptions::default()).expect("read");
    fails(Encoder::fit(&holes, "y", false).expect("fitted").targets(&holes), &["row 2", "'y'", "NaN"]);
    assert_eq!(
        Encoder::fit(&holes, "y", false).expect("fitted").inputs(&holes).expect("x").to_vec::<f32>(),
        [0.0, 0.0]
    );
}

#[test]
fn arrays_of_numpy_are_read() {
    let arrays = read_npz(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/numpy.npz")).expect("read");
    let x = [1.5f32, -2.0, 0.25, 65504.0, -0.5, 3.0];
    for (name, dtype) in
        [("f8", DType::F64), ("f4", DType::F32), ("f2", DType::F16), ("big", DType::F32), ("fortran", DType::F32)]
    {
        let array = &arrays[name];
        assert_eq!((array.dtype(), array.shape(), array.to_vec::<f32>()), (dtype, &[2, 3][..], x.to_vec()), "{name}");
    }
    for (name, dtype, expected) in [
        ("i8", DType::I32, [1, -2, 3, 100, -128, 127]),
        ("i1", DType::I32, [1, -2, 3, 100, -128, 127]),
        ("i2", DType::I32, [1, -2, 3, 100, -128, 127]),
        ("u1", DType::I32, [1, 2, 3, 100, 128, 127]),
        ("u4", DType::U32, [1, 2, 3, 100, 128, 127]),
        ("b", DType::Bool, [1, 0, 1, 1, 0, 1]),
    ] {
        assert_eq!((arrays[name].dtype(), arrays[name].to_vec::<i32>()), (dtype, expected.to_vec()), "{name}");
    }
    assert_eq!((arrays["scalar"].shape(), arrays["scalar"].to_vec::<f32>()), (&[][..], vec![7.0]));
    assert_eq!((arrays["empty"].shape(), arrays["empty"].rows()), (&[0, 3][..], 0));
    assert_eq!(arrays["cube"].to_vec::<i32>(), (0..24).collect::<Vec<_>>());
}

#[test]
fn arrays_are_written_and_damage_is_told() {
    let directory = std::env::temp_dir().join(format!("anygrad-numpy-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let array = Array::new(&[1.0f32, f32::NAN, -0.0, 4.0, 5.0, 6.0], &[3, 2]).expect("array");
    let flags = Array::new(&[true, false], &[2]).expect("array");
    write_npy(&directory.join("x.npy"), &array).expect("written");
    let bytes = std::fs::read(directory.join("x.npy")).expect("read");
    // By the format's definition: the header is the length that it says, and ends at a multiple of 64.
    assert_eq!((usize::from(bytes[8]) + 10, &bytes[..8], bytes[127]), (128, &b"\x93NUMPY\x01\x00"[..], b'\n'));
    assert_eq!(parse_npy("x", &bytes).expect("read").bytes(), array.bytes());
    let arrays = BTreeMap::from([("a".to_string(), array.clone()), ("flags".to_string(), flags)]);
    let path = directory.join("x.npz");
    write_npz(&path, &arrays).expect("written");
    let read = read_npz(&path).expect("read");
    assert_eq!((read["a"].bytes(), &read["flags"]), (array.bytes(), &arrays["flags"]));
    let whole = std::fs::read(&path).expect("read");
    for at in [140, 150] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).expect("written");
        fails(read_npz(&path), &["x.npz", "'a.npy'", "checksum"]);
    }
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("written");
        fails(read_npz(&path), &["x.npz"]);
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    let bytes = npy(&array);
    fails(parse_npy("x.npy", &bytes[..bytes.len() - 1]), &["x.npy", "23 bytes", "cut off"]);
    fails(parse_npy("x.npy", &bytes[..100]), &["inside of its header"]);
    fails(parse_npy("x.npy", b"not numpy at all"), &["check that it is the right file"]);
    let far = String::from_utf8_lossy(&bytes[10..128]).replace("'<f4'", "'<i8'").replace("(3,2,)", "(1,)  ");
    let far = [&bytes[..10], far.as_bytes(), &(1i64 << 40).to_le_bytes()].concat();
    fails(parse_npy("x.npy", &far), &["1099511627776", "32 bits"]);
}

#[test]
fn windows_stay_inside_of_units() {
    let series = Array::new(&(0..18).map(|x| x as f32).collect::<Vec<_>>(), &[9, 2]).expect("series");
    let targets: Vec<f32> = (0..9).map(|row| row as f32 * 10.0).collect();
    let units = [4, 4, 4, 4, 7, 7, 9, 9, 9];
    let make = |take| Windows::new(&series, &targets, &units, 3, take).expect("valid");
    let all = make(Take::Every(1));
    assert_eq!((all.units(), all.targets()), (&[4, 4, 9][..], vec![20.0, 30.0, 80.0]));
    let (x, y) = all.batch(&[1, 2], &device()).expect("batch");
    assert_eq!((x.shape(), y.shape()), (&[2, 3, 2][..], &[2, 1][..]));
    assert_eq!(x.to_vec::<f32>().expect("x"), [2., 3., 4., 5., 6., 7., 12., 13., 14., 15., 16., 17.]);
    assert_eq!(all.sample(1, Default::default()).expect("sample").input.to_vec::<f32>(), [2., 3., 4., 5., 6., 7.]);
    // Two windows apart fit into unit 4 no more; the one that ends at its last row is kept.
    assert_eq!((make(Take::Every(2)).targets(), make(Take::Last).targets()), (vec![30.0, 80.0], vec![30.0, 80.0]));
    fails(Windows::new(&series, &targets, &units, 5, Take::Last), &["no unit has 5 rows"]);
    fails(Windows::new(&series, &targets[1..], &units, 3, Take::Last), &["9 rows", "8 targets"]);
    fails(Windows::new(&series, &targets, &[1, 1, 2, 2, 1, 1, 1, 1, 1], 2, Take::Last), &["unit 1", "sort"]);
    let holes = Array::new(&[1.0, f32::NAN], &[2, 1]).expect("series");
    fails(Windows::new(&holes, &[0.0; 2], &[0; 2], 1, Take::Last), &["row 1, column 0", "NaN"]);
}

#[test]
fn lists_are_cut_and_filled() {
    let lists = [vec![1, 2, 3], vec![4], vec![]];
    let (array, lengths) = pad(&lists, None, 9, Side::Right).expect("padded");
    assert_eq!((array.to_vec::<i32>(), lengths), (vec![1, 2, 3, 4, 9, 9, 9, 9, 9], vec![3, 1, 0]));
    let (array, lengths) = pad(&lists, Some(2), 0, Side::Left).expect("padded");
    assert_eq!((array.to_vec::<i32>(), lengths), (vec![2, 3, 0, 4, 0, 0], vec![2, 1, 0]));
    fails(pad(&[vec![]], None, 0, Side::Right), &["no tokens"]);
}

#[test]
fn words_get_numbers_by_frequency() {
    assert_eq!(words("It's a 'Test', isn't it? Ärger 3x"), ["it's", "a", "test", "isn't", "it", "ärger", "3x"]);
    let texts = ["b a b", "c b a", "d"];
    let all = Vocabulary::of(&texts, 1, 100);
    assert_eq!((all.len(), all.encode("a b c d e")), (6, vec![3, 2, 4, 5, 1]));
    assert_eq!(Vocabulary::of(&texts, 2, 100).encode("a b c d"), [3, 2, 1, 1]);
    assert_eq!(Vocabulary::of(&texts, 1, 1).encode("a b"), [1, 2]);
    assert_eq!(all.decode(&[2, 0, 5, 1, 77]), "b d <unknown> <unknown>");
    assert!(Vocabulary::of(&texts, 9, 9).is_empty());
}

#[test]
fn ngrams_are_weighted_by_count_and_rarity() {
    // "ab" gives: the word; " a", "ab", "b "; " ab", "ab "; " ab ". Seven grams, in so many buckets without collision.
    let texts = ["ab ab", "ab", "c"];
    let grams = HashedNgrams::fit(&texts, 1 << 16).expect("fitted");
    let rows = grams.encode(&texts).expect("encoded").to_vec::<f32>();
    let weights = |row: usize| -> Vec<f32> {
        let mut found: Vec<f32> = rows[row << 16..(row + 1) << 16].iter().copied().filter(|x| *x != 0.0).collect();
        found.sort_by(f32::total_cmp);
        found
    };
    // Each of the seven twice, and the pair once: (1 + ln 2)(1 + ln(4/3)) against 1 + ln(4/2), then norm 1.
    let (twice, pair) = ((1.0 + 2f32.ln()) * (1.0 + (4f32 / 3.0).ln()), 1.0 + 2f32.ln());
    let norm = (7.0 * twice * twice + pair * pair).sqrt();
    let expected = [vec![pair / norm], vec![twice / norm; 7]].concat();
    assert_eq!(weights(0).len(), 8);
    assert!(weights(0).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?} {expected:?}", weights(0));
    assert!(weights(1).len() == 7 && weights(1).iter().all(|w| (w - 1.0 / 7f32.sqrt()).abs() < 1e-6));
    assert_eq!(grams.encode(&["?!"]).expect("encoded").to_vec::<f32>(), vec![0.0; 1 << 16]);
    fails(HashedNgrams::fit(&[""; 0], 8), &["0 texts"]);
}
