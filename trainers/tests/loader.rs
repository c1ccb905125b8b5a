//! The loader: what it reads is a function of seed, epoch and batch number, whatever the threads do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anygrad_core::testing::device;
use anygrad_core::{Device, Error, Result, Tensor};
use anygrad_trainers::data::split::{grouped_split, k_fold, split, stratified_k_fold, stratified_split};
use anygrad_trainers::data::{
    Array, Arrays, Concat, Dataset, LastBatch, Loader, LoaderConfig, Order, Pass, Resident, Sample, Subset,
};

/// Row `i` is the number `i`; reading takes longer for some rows, so that threads overtake each other.
#[derive(Debug, Default)]
struct Slow {
    reads: AtomicUsize,
    alive: Option<Arc<()>>,
}

const ROWS: usize = 103;

impl Dataset for Slow {
    fn len(&self) -> usize {
        ROWS
    }

    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(u64::from(row * 37 % 11) * 20));
        Ok(Sample { input: Array::scalar(row as f32), target: Array::scalar(row as i32) })
    }
}

fn numbers(batches: impl Iterator<Item = Result<(Tensor, Tensor)>>) -> Vec<Vec<i32>> {
    batches.map(|batch| batch.expect("a batch").1.to_vec().expect("read")).collect()
}

fn config(workers: usize) -> LoaderConfig {
    LoaderConfig { batch: 10, seed: 5, workers, prefetch: 3, ..LoaderConfig::default() }
}

fn loader(config: LoaderConfig, device: &Device) -> Loader<Slow> {
    Loader::new(Slow::default(), config, device).expect("valid")
}

#[test]
fn order_does_not_depend_on_threads_and_equals_the_plain_iterator() {
    let device = device();
    let expected = numbers(Slow::default().shuffled_batches(10, 5, 2, &device));
    assert_eq!(expected.len(), 10);
    for workers in [0, 1, 2, 5] {
        assert_eq!(numbers(loader(config(workers), &device).epoch(2)), expected, "{workers} workers");
    }
    assert_ne!(numbers(loader(config(2), &device).epoch(3)), expected);
}

#[test]
fn any_position_can_be_resumed_at() {
    let device = device();
    let loader = loader(LoaderConfig { last: LastBatch::Keep, ..config(2) }, &device);
    let whole = numbers(loader.epoch(1));
    assert_eq!((whole.len(), whole[10].len(), loader.batches_per_epoch()), (11, 3, 11));
    let mut all: Vec<i32> = whole.concat();
    all.sort_unstable();
    assert_eq!(all, (0..ROWS as i32).collect::<Vec<_>>());
    for batch in [0, 4, 10, 11] {
        let rest = loader.resume(1, batch);
        assert_eq!((rest.position(), rest.len()), (batch, 11 - batch));
        assert_eq!(numbers(rest), whole[batch..]);
    }
}

#[test]
fn prefetch_is_bounded_and_dropping_ends_the_threads() {
    let device = device();
    let alive = Arc::new(());
    let data = Arc::new(Slow { alive: Some(alive.clone()), ..Slow::default() });
    let loader = Loader::<Slow>::new(data.clone(), LoaderConfig { workers: 2, prefetch: 3, ..config(2) }, &device)
        .expect("valid");
    let mut batches = loader.epoch(0);
    let _ = batches.next().expect("one").expect("a batch");
    std::thread::sleep(Duration::from_millis(150));
    // One was given, three may be read ahead.
    assert!(data.reads.load(Ordering::SeqCst) <= 40, "{:?}", data.reads);
    drop(batches);
    drop(loader);
    // The threads held the set; that it is ours alone shows that they are gone.
    let data = Arc::try_unwrap(data).expect("no thread holds it");
    assert_eq!((Arc::strong_count(&alive), data.alive.is_some()), (2, true));
}

#[test]
fn errors_and_panics_come_at_their_batch_and_end_the_epoch() {
    struct Broken(bool);
    impl Dataset for Broken {
        fn len(&self) -> usize {
            100
        }

        fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
            if row == 35 {
                assert!(!self.0, "the disk is on fire");
                return Err(Error::data("row 35", "damaged"));
            }
            Ok(Sample { input: Array::scalar(0f32), target: Array::scalar(row as i32) })
        }
    }
    for (panics, words) in [(false, "damaged"), (true, "on fire")] {
        for workers in [0, 3] {
            // In a thread of its own: a hang would be seen as a failure, not as a test that never ends.
            let (send, receive) = mpsc::channel();
            std::thread::spawn(move || {
                let config = LoaderConfig { order: Order::Sequential, ..config(workers) };
                let loader = Loader::new(Broken(panics), config, &device()).expect("valid");
                let results: Vec<_> =
                    loader.epoch(0).map(|batch| batch.map(|_| ()).map_err(|e| e.to_string())).collect();
                send.send(results)
            });
            let results = receive.recv_timeout(Duration::from_secs(20)).expect("no hang");
            assert!(results.len() == 4 && results[..3].iter().all(|result| result.is_ok()), "{results:?}");
            assert!(results[3].as_ref().expect_err("the fourth").contains(words), "{results:?}");
        }
    }
}

#[test]
fn maps_draw_by_seed_epoch_and_row_alone() {
    let device = device();
    let noisy = || {
        Slow::default().map(|sample, draws| {
            let value = sample.input.to_vec::<f32>()[0] + draws.uniform() as f32;
            Ok(Sample { input: Array::scalar(value), ..sample })
        })
    };
    let read = |workers, seed, epoch, batch| {
        let config = LoaderConfig { seed, order: Order::Sequential, ..config(workers) };
        let loader = Loader::new(noisy(), config, &device).expect("valid");
        let inputs = loader.resume(epoch, batch).map(|batch| batch.expect("batch").0.to_vec::<f32>().expect("read"));
        inputs.collect::<Vec<_>>().concat()
    };
    let once = read(3, 1, 0, 0);
    assert_eq!(once, read(0, 1, 0, 0));
    assert_eq!(once[50..], read(2, 1, 0, 5));
    let moved = |other: &[f32]| once.iter().zip(other).filter(|(a, b)| a != b).count();
    assert!(moved(&read(1, 1, 1, 0)) > 95 && moved(&read(1, 2, 0, 0)) > 95);
    // A second map draws other numbers than the first.
    let twice = Slow::default().map(noise).map(noise);
    let (x, _) = twice.batch(&[0, 1, 2], &device).expect("batch");
    for (row, x) in x.to_vec::<f32>().expect("read").into_iter().enumerate() {
        let (once, both) = (Pass::default().draws(row as u32).uniform() as f32, x - row as f32);
        assert!((both - 2.0 * once).abs() > 1e-4, "{both} is twice {once}");
    }
}

fn noise(sample: Sample, draws: &mut anygrad_trainers::data::Draws) -> Result<Sample> {
    let value = sample.input.to_vec::<f32>()[0] + draws.uniform() as f32;
    Ok(Sample { input: Array::scalar(value), ..sample })
}

#[test]
fn weighted_sampling_follows_the_weights() {
    let labels: Vec<u32> = (0..1000).map(|row| u32::from(row % 10 == 0)).collect();
    let balanced = Order::balanced(&labels);
    let rows = balanced.rows(1000, 3, 0);
    let rare = rows.iter().filter(|&&row| row % 10 == 0).count();
    // Binomial(1000, 1/2): standard deviation 16, five of them.
    assert!(rows.len() == 1000 && (420..580).contains(&rare), "{rare}");
    assert_eq!(rows, balanced.rows(1000, 3, 0));
    assert_ne!(rows, balanced.rows(1000, 3, 1));
    let order = Order::Weighted { weights: vec![0.0, 1.0, 0.0, 3.0, 0.0], count: Some(4000) };
    let rows = order.rows(5, 0, 0);
    let threes = rows.iter().filter(|&&row| row == 3).count();
    // Binomial(4000, 3/4): standard deviation 27.
    assert!(
        rows.len() == 4000 && rows.iter().all(|row| [1, 3].contains(row)) && (2860..3140).contains(&threes),
        "{threes}"
    );
}

#[test]
fn stratified_batches_hold_the_classes_in_proportion() {
    let labels: Vec<u32> = (0..1000)
        .map(|row| match row {
            0..700 => 0,
            700..900 => 1,
            _ => 2,
        })
        .collect();
    let order = Order::Stratified { labels: labels.clone() };
    let rows = order.rows(1000, 1, 0);
    let mut sorted = rows.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    for batch in rows.chunks(50) {
        for (class, share) in [(0, 35), (1, 10), (2, 5)] {
            let count = batch.iter().filter(|&&row| labels[row as usize] == class).count() as i32;
            // To within one row by place; the batch's two ends are to within three rows (one per class) of their places.
            assert!((count - share).abs() <= 3, "{count} of class {class}");
        }
    }
    assert_ne!(rows, order.rows(1000, 1, 1));
}

#[test]
fn splits_and_folds_are_partitions_in_proportion() {
    let sorted = |parts: &[&[u32]]| {
        let mut all = parts.concat();
        all.sort_unstable();
        all
    };
    let parts = split(101, &[0.8, 0.1, 0.1], 3).expect("valid");
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [81, 10, 10]);
    assert_eq!(sorted(&[&parts[0], &parts[1], &parts[2]]), (0..101).collect::<Vec<_>>());
    let labels: Vec<u32> = (0..200).map(|row| u32::from(row % 10 < 3)).collect();
    let count = |rows: &[u32]| rows.iter().filter(|&&row| labels[row as usize] == 1).count();
    let parts = stratified_split(&labels, &[0.75, 0.25], 3).expect("valid");
    assert_eq!((parts[0].len(), count(&parts[0]), parts[1].len(), count(&parts[1])), (150, 45, 50, 15));
    for fold in k_fold(11, 3, 0).expect("valid") {
        assert!([3, 4].contains(&fold.valid.len()));
        assert_eq!(sorted(&[&fold.train, &fold.valid]), (0..11).collect::<Vec<_>>());
    }
    for fold in stratified_k_fold(&labels, 5, 0).expect("valid") {
        assert_eq!((fold.valid.len(), count(&fold.valid)), (40, 12));
        assert_eq!(sorted(&[&fold.train, &fold.valid]), (0..200).collect::<Vec<_>>());
    }
    let engines: Vec<usize> = (0..90).map(|row| row / 9).collect();
    let parts = grouped_split(&engines, &[0.7, 0.3], 1).expect("valid");
    assert_eq!((parts[0].len(), parts[1].len()), (63, 27));
    assert!(parts[0].iter().all(|a| parts[1].iter().all(|b| engines[*a as usize] != engines[*b as usize])));
    assert!(split(10, &[0.5, 0.6], 0).is_err() && k_fold(3, 4, 0).is_err() && k_fold(3, 1, 0).is_err());
}

#[test]
fn sets_made_of_sets_read_the_right_rows() {
    let device = device();
    let arrays = |start: i32, len: i32| {
        let x = Array::new(&(start..start + len).map(|x| x as f32).collect::<Vec<_>>(), &[len as usize, 1]).expect("x");
        Arrays::new(x, Array::new(&(start..start + len).collect::<Vec<_>>(), &[len as usize]).expect("y")).expect("set")
    };
    let targets =
        |data: &dyn Dataset, rows: &[u32]| data.batch(rows, &device).expect("batch").1.to_vec::<i32>().expect("y");
    let subset = Subset::new(arrays(0, 10), vec![7, 7, 2]).expect("valid");
    assert_eq!(targets(&subset, &[2, 0, 1]), [2, 7, 7]);
    let joined = Concat::new(vec![arrays(0, 3), arrays(10, 0), arrays(20, 2)]).expect("valid");
    assert_eq!((joined.len(), targets(&joined, &[4, 0, 3])), (5, vec![21, 0, 20]));
    let mixed: Vec<Box<dyn Dataset + Send + Sync>> = vec![Box::new(subset.clone()), Box::new(arrays(50, 2))];
    assert_eq!(targets(&Concat::new(mixed).expect("valid"), &[3, 0]), [50, 7]);
    let resident = Resident::of(&joined, &device).expect("copied");
    assert_eq!(targets(&resident, &[4, 0, 3]), [21, 0, 20]);
    assert!(Subset::new(arrays(0, 3), vec![3]).is_err());
    let message = joined.batch(&[5], &device).expect_err("no such row").to_string();
    assert!(message.contains("row 5") && message.contains("5 rows"), "{message}");
    let message = resident.map(|sample, _| Ok(sample)).batch(&[0], &device).expect_err("no samples").to_string();
    assert!(message.contains("whole batches only"), "{message}");
}

#[test]
fn wrong_configurations_are_refused_in_words() {
    let device = device();
    let fails = |config: LoaderConfig, words: &str| {
        let message = Loader::new(Slow::default(), config, &device).expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    };
    fails(LoaderConfig { batch: 0, ..config(0) }, "batches of 0 rows");
    fails(LoaderConfig { batch: 104, ..config(0) }, "give 1 to 103");
    fails(LoaderConfig { order: Order::Stratified { labels: vec![0; 5] }, ..config(0) }, "5 labels");
    fails(
        LoaderConfig { order: Order::Weighted { weights: vec![0.0; ROWS], count: None }, ..config(0) },
        "all weights are 0",
    );
    fails(
        LoaderConfig { order: Order::Weighted { weights: vec![f64::NAN; ROWS], count: None }, ..config(0) },
        "row 0 is NaN",
    );
    let empty = Arrays::new(Array::new(&[0f32; 0], &[0, 2]).expect("x"), Array::new(&[0i32; 0], &[0]).expect("y"));
    let message = Loader::new(empty.expect("set"), config(0), &device).expect_err("empty").to_string();
    assert!(message.contains("no rows"), "{message}");
    let shapes = Slow::default().map(|sample, _| {
        let n = sample.input.to_vec::<f32>()[0] as usize % 2 + 1;
        Ok(Sample { input: Array::new(&vec![0f32; n], &[n])?, ..sample })
    });
    let message = shapes.batch(&[0, 1], &device).expect_err("shapes differ").to_string();
    assert!(message.contains("one shape and type"), "{message}");
}
