//! What listeners write, read back: lines, tables, event files by an own reader (and by TensorBoard's, see check_tensorboard.py),
//! and the HTML report.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anygrad_core::{DType, Tensor, Var};
use anygrad_trainers::events::{Event, Listener, Record};
use anygrad_trainers::metrics::Confusion;
use anygrad_trainers::report::{Bar, Csv, Html, JsonLines, TensorBoard};

/// An empty directory of its own; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("anygrad-report-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A life of a run: epochs `from..=to` of ten steps each.
fn live(listener: &mut dyn Listener, from: u64, to: u64, end: bool) {
    let mut tell = |event: Event<'_>| {
        let _ = listener.on(&event).expect("an event");
    };
    tell(Event::Begin { label: "train <1>", step: (from - 1) * 10, steps: Some(50) });
    for epoch in from..=to {
        for step in [epoch * 10 - 5, epoch * 10] {
            let loss = 2.0 / step as f64;
            tell(Event::Step(Record { epoch, step, values: &[("loss", loss), ("learning_rate", 0.001)] }));
        }
        let step = epoch * 10;
        let (loss, accuracy) = (2.0 / step as f64, 1.0 - 1.0 / epoch as f64);
        let valid = [("loss", loss), ("valid.loss", loss * 1.1), ("valid.accuracy", accuracy)];
        // Validation begins in the second epoch.
        tell(Event::Epoch(Record { epoch, step, values: if epoch == 1 { &valid[..1] } else { &valid } }));
    }
    if end {
        tell(Event::Warning("a word"));
        tell(Event::End { step: to * 10, reason: "done" });
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn without_a_terminal_there_is_one_line_per_epoch() {
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Shared::default();
    live(&mut Bar::to(lines.clone()), 1, 3, true);
    let text = String::from_utf8(lines.0.take()).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("epoch 1  step 10  loss 0.2  "), "{text}");
    assert!(lines[1].starts_with("epoch 2  step 20  loss 0.1  valid.loss 0.11  valid.accuracy 0.5  "), "{text}");
    assert!(lines[2].contains("steps/s") && lines[3].starts_with("done: step 30 after "), "{text}");
}

#[test]
fn tables_go_on_where_a_killed_run_was_resumed() {
    let place = Place::new("tables");
    let (csv, steps, json) = (place.0.join("epochs.csv"), place.0.join("steps.csv"), place.0.join("log.jsonl"));
    let listeners = || -> [Box<dyn Listener>; 3] {
        [Box::new(Csv::epochs(&csv)), Box::new(Csv::steps(&steps)), Box::new(JsonLines::new(&json))]
    };
    // Killed in the fourth epoch, with half a line in the log; the checkpoint was of the second.
    listeners().iter_mut().for_each(|listener| live(&mut **listener, 1, 4, false));
    let mut log = std::fs::OpenOptions::new().append(true).open(&json).expect("the log");
    log.write_all(br#"{"event":"st"#).expect("half a line");
    listeners().iter_mut().for_each(|listener| live(&mut **listener, 3, 4, true));

    let rows: Vec<Vec<String>> = read(&csv).lines().map(|l| l.split(',').map(str::to_string).collect()).collect();
    assert_eq!(rows[0], ["epoch", "step", "seconds", "loss", "valid.loss", "valid.accuracy"]);
    assert_eq!(rows.iter().skip(1).map(|row| row[1].as_str()).collect::<Vec<_>>(), ["10", "20", "30", "40"]);
    assert!(rows.iter().all(|row| row.len() == 6), "{rows:?}");
    assert_eq!((rows[1][4].as_str(), rows[2][3].as_str()), ("", "0.1"));
    assert_eq!(read(&steps).lines().count(), 1 + 8);

    let events: Vec<serde_json::Value> =
        read(&json).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let steps: Vec<u64> =
        events.iter().filter(|e| e["event"] == "epoch").map(|e| e["step"].as_u64().expect("a step")).collect();
    assert_eq!(steps, [10, 20, 30, 40]);
    assert_eq!(events.last().map(|event| event["reason"].clone()), Some("done".into()));
    assert!(events.iter().any(|event| event["event"] == "warning" && event["message"] == "a word"));
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_the_file() {
    let begin = Event::Begin { label: "train", step: 0, steps: None };
    let path = Path::new("/dev/null/none");
    for mut listener in
        [Box::new(Csv::epochs(path)) as Box<dyn Listener>, Box::new(JsonLines::new(path)), Box::new(Html::new(path))]
    {
        let message = listener.on(&begin).expect_err("no such directory").to_string();
        assert!(message.contains("/dev/null"), "{message}");
    }
    assert!(TensorBoard::create(path).expect_err("no such directory").to_string().contains("/dev/null"));
}

/// The checksum bit by bit, by its definition.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Fields of a protocol buffer message: number and bytes (of a varint: its value as 8 bytes).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let len = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        found.push((key >> 3, bytes[..len].to_vec()));
        bytes = &bytes[len..];
    }
    found
}

fn field(message: &[u8], number: u64) -> Option<Vec<u8>> {
    fields(message).into_iter().find(|field| field.0 == number).map(|field| field.1)
}

/// Step, tag and the value's fields of each event; checks all checksums.
fn events(path: &Path) -> Vec<(u64, String, Vec<u8>)> {
    let all = std::fs::read(path).expect("a file");
    let (mut rest, mut found) = (&all[..], Vec::new());
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
        let len = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
        assert_eq!(word(8), masked_crc32c(&rest[..8]));
        let data = &rest[12..12 + len];
        assert_eq!(word(12 + len), masked_crc32c(data));
        rest = &rest[16 + len..];
        let Some(summary) = field(data, 5) else {
            assert_eq!(field(data, 3).expect("a version"), b"brain.Event:2");
            continue;
        };
        let step = field(data, 2).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("a step")));
        let value = field(&summary, 1).expect("a value");
        found.push((step, String::from_utf8(field(&value, 1).expect("a tag")).expect("text"), value));
    }
    found
}

/// All kinds of values; `directory` stays if TENSORBOARD_CHECK names it, for goldens/check_tensorboard.py.
#[test]
fn event_files_hold_what_was_written() {
    let device = anygrad_core::testing::device();
    let place = Place::new("board");
    let directory = std::env::var("TENSORBOARD_CHECK").map_or(place.0.clone(), PathBuf::from);
    let weight = Var::new("layer.weight", &Tensor::arange(0.0, 100.0, 1.0, &device));
    let mut board = TensorBoard::create(&directory).expect("a board").with_histograms(vec![weight], 2);
    board.hyperparameters(&[("lr", "0.001".into()), ("batch", "64".into())]).expect("a table");
    let red =
        Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], &[3, 2, 2], &device);
    board.image("picture", 7, &red).expect("an image");
    board.image("grey", 7, &Tensor::full(&[5, 3], 128.0, DType::I32, &device)).expect("an image");
    board.histogram("flat", 1, &Tensor::full(&[9], 2.0, DType::F32, &device)).expect("a histogram");
    board.scalar("nan", 3, f64::NAN).expect("a scalar");
    live(&mut board, 1, 3, true);
    assert!(board.image("wrong", 0, &Tensor::zeros(&[2, 4, 4], &device)).is_err());

    let events = events(board.path());
    let scalars = |tag: &str| -> Vec<(u64, f32)> {
        let of = events.iter().filter(|event| event.1 == tag);
        of.map(|e| (e.0, f32::from_le_bytes(field(&e.2, 2).expect("a scalar").try_into().expect("f32")))).collect()
    };
    assert_eq!(scalars("step/loss"), [5, 10, 15, 20, 25, 30].map(|step| (step, (2.0 / step as f64) as f32)));
    assert_eq!(scalars("epoch/valid.accuracy"), [(20, 0.5), (30, (1.0 - 1.0 / 3.0) as f32)]);
    assert!(scalars("nan")[0].1.is_nan());
    let histogram: Vec<_> = events.iter().filter(|event| event.1 == "layer/weight").collect();
    assert_eq!(histogram.iter().map(|event| event.0).collect::<Vec<_>>(), [20]);
    let inside = field(&histogram[0].2, 5).expect("a histogram");
    let double = |n| f64::from_le_bytes(field(&inside, n).expect("a field").try_into().expect("f64"));
    assert_eq!([1, 2, 3, 4, 5].map(double), [0.0, 99.0, 100.0, 4950.0, 328_350.0]);
    let counts = field(&inside, 7).expect("buckets");
    let counts: Vec<f64> = counts.chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("f64"))).collect();
    assert_eq!((counts.len(), counts.iter().sum::<f64>()), (65, 100.0));
    assert!(counts[1..].iter().all(|&count| (1.0..=2.0).contains(&count)), "{counts:?}");
    let picture = field(&events.iter().find(|event| event.1 == "picture").expect("an image").2, 4).expect("an image");
    assert!(field(&picture, 4).expect("a file").starts_with(b"\x89PNG"));
}

#[test]
fn the_report_is_one_file_that_a_resumed_run_continues() {
    let place = Place::new("html");
    let path = place.0.join("report.html");
    live(&mut Html::new(&path), 1, 4, false);
    let html = Html::new(&path).titled("Fashion & more");
    html.hyperparameters(&[("optimizer", "AdamW </script>".into())]);
    live(&mut html.clone(), 3, 4, true);
    html.confusion(&["cat".into(), "dog".into()], Confusion { counts: vec![vec![8, 2], vec![1, 9]] }).expect("a file");
    let page = read(&path);
    assert!(page.contains("<h1>Fashion &amp; more</h1>") && page.contains("AdamW &lt;/script&gt;"));
    assert!(page.contains("cat taken for dog: 2 (20.0 %)"));
    assert!(!page.contains("http") && !page.contains("src="), "it needs nothing else");
    // Charts of accuracy, learning rate and loss, and the matrix.
    assert_eq!(page.matches("<svg").count(), 4);
    let data = page.split("id='data'>").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: serde_json::Value = serde_json::from_str(data).expect("json");
    let loss: Vec<f64> = data["epochs"]["loss"]
        .as_array()
        .expect("points")
        .iter()
        .map(|point| point[0].as_f64().expect("a step"))
        .collect();
    assert_eq!(loss, [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(data["steps"]["loss"].as_array().expect("points").len(), 8);
}

#[test]
fn long_runs_keep_few_points() {
    let place = Place::new("long");
    let path = place.0.join("report.html");
    let mut html = Html::new(&path);
    let _ = html.on(&Event::Begin { label: "long", step: 0, steps: None }).expect("an event");
    for step in 1..=10_000 {
        let value = if step == 5000 { f64::NAN } else { 1e-3 + 1.0 / step as f64 };
        let _ = html.on(&Event::Step(Record { epoch: 1, step, values: &[("loss", value)] })).expect("an event");
    }
    let _ = html.on(&Event::End { step: 10_000, reason: "done" }).expect("an event");
    assert!(read(&path).len() < 200_000);
}

#[test]
fn edges_become_a_band_around_their_curve() {
    let path = std::env::temp_dir().join(format!("anygrad-band-{}.html", std::process::id()));
    let mut html = Html::new(&path);
    html.on(&Event::Begin { label: "agents", step: 0, steps: Some(2) }).expect("written");
    for step in 1..=2u64 {
        let x = step as f64;
        let values = [("return", x), ("return.low", x - 1.0), ("return.high", x + 1.0), ("other.low", x)];
        html.on(&Event::Epoch(Record { epoch: step, step, values: &values })).expect("written");
    }
    let page = std::fs::read_to_string(&path).expect("a page");
    // One band of four corners, within the axis; no chart or tile of its edges. An edge without a curve is a curve.
    let corners = page.split("<polygon class='band'").nth(1).and_then(|rest| rest.split("points='").nth(1));
    let corners = corners.and_then(|rest| rest.split('\'').next()).expect("a band");
    assert_eq!(page.matches("<polygon").count(), 1);
    let heights: Vec<f64> = corners.split(' ').map(|c| c.split_once(',').expect("x,y").1.parse().expect("y")).collect();
    assert_eq!(heights.len(), 4);
    // 0 and 1 are below, 3 and 2 above; the scale is straight.
    assert!(heights.iter().all(|y| (0.0..270.0).contains(y)));
    assert!((heights[0] - heights[1] - (heights[3] - heights[2])).abs() < 0.2 && heights[0] > heights[3]);
    assert!(!page.contains("<h2>high</h2>") && page.contains("<h2>low</h2>") && page.contains("<h2>return</h2>"));
    std::fs::remove_file(&path).expect("removed");
}
