//! Fits that are stopped, saved, loaded and resumed end where the others end: to the last bit, on every device.

use std::fmt::Debug;
use std::path::PathBuf;

use anygrad::events::{Event, Flow};
use anygrad::prelude::*;
use anygrad::unsupervised::*;

use crate::{devices, digits};

/// Hears a fit, and stops it at the event of this number.
struct Ear {
    left: usize,
    /// Steps that an earlier life of the fit had done.
    begun: u64,
    reason: String,
}

impl Ear {
    fn new(left: usize) -> Ear {
        Ear { left, begun: 0, reason: String::new() }
    }
}

impl Listener for Ear {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Begin { step, .. } => self.begun = *step,
            Event::Epoch(_) => self.left = self.left.saturating_sub(1),
            Event::End { reason, .. } => self.reason = (*reason).to_string(),
            _ => {}
        }
        Ok(if self.left == 0 { Flow::Stop } else { Flow::Continue })
    }
}

/// A file of this thread's own.
fn place(name: &str) -> PathBuf {
    let own = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    std::env::temp_dir().join(format!("anygrad-resume-{own}-{name}.safetensors"))
}

/// Saved and loaded again.
fn kept<M: Model>(model: &M, device: &Device) -> M {
    let path = place(M::KIND);
    model.save(&path).expect("saved");
    let back = M::load(device, &path).expect("loaded");
    std::fs::remove_file(path).expect("removed");
    back
}

/// Everything that a model consists of.
fn bytes<M: Model>(model: &M) -> Vec<u8> {
    let path = place(M::KIND);
    model.save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("read");
    std::fs::remove_file(path).expect("removed");
    bytes
}

/// A fit, from a model if there is one.
type Fit<'a, M> = &'a dyn Fn(Option<&M>, &mut dyn Listener) -> Result<M>;

/// The same model with these stops as without; each counts events since the last.
fn goes_on<M: Model + Debug>(name: &str, device: &Device, stops: &[usize], fit: Fit<'_, M>) {
    let mut ear = Ear::new(usize::MAX);
    let whole = fit(None, &mut ear).expect("fits");
    let heard = usize::MAX - ear.left;
    assert!(
        stops.iter().sum::<usize>() < heard,
        "{name}: it ended by itself ({}) after {heard} events: {whole:?}",
        ear.reason
    );
    let (mut model, mut reached) = (None, 0);
    for &stop in stops {
        let mut ear = Ear::new(stop);
        let part = fit(model.as_ref(), &mut ear).expect("fits");
        assert!(part.is_unfinished() && ear.reason == "stopped", "{name} {}: {part:?}", ear.reason);
        assert!(ear.begun >= reached && (model.is_none() || ear.begun > 0), "{name}: {} steps before", ear.begun);
        (model, reached) = (Some(kept(&part, device)), ear.begun);
    }
    let resumed = fit(model.as_ref(), &mut Ear::new(usize::MAX)).expect("fits");
    assert_eq!(resumed.is_unfinished(), whole.is_unfinished(), "{name}");
    assert!(bytes(&resumed) == bytes(&whole), "{name} on {device} after {stops:?}: {resumed:?} is not {whole:?}");
}

#[test]
fn every_method_goes_on_to_the_last_bit() {
    for device in devices() {
        // Less on a GPU, which is a slow one in tests.
        let cpu = device == Device::cpu();
        let (many, few, lists) = if cpu { (1797, 300, usize::MAX) } else { (500, 100, 1) };
        let all = digits(&device).0.narrow(0, 0, many).realize().expect("numbers").clone();
        let x = all.narrow(0, 0, few).realize().expect("numbers").clone();
        let narrow = x.narrow(1, 18, 9).realize().expect("numbers").clone();
        macro_rules! check {
            ($name:expr, $x:expr, $config:expr, $($stops:expr),+) => {{
                let config = $config;
                let stops: &[&[usize]] = &[$(&$stops),+];
                for stops in stops.iter().take(lists) {
                    goes_on($name, &device, stops, &|from, ear| match from {
                        None => config.fit_with(&device, $x, ear),
                        Some(model) => config.resume($x, model, ear),
                    });
                }
            }};
        }
        let clusters = KMeans { clusters: 10, n_init: 3, tolerance: 0.0, ..Default::default() };
        check!("k-means", &all, clusters.clone(), [1], [2, 1], [4]);
        check!("k-means||", &all, KMeans { seeding: Seeding::Parallel, n_init: 2, ..clusters.clone() }, [1]);
        check!("spherical", &all, KMeans { metric: Distance::Spherical, ..clusters }, [3]);
        check!(
            "mini-batch",
            &x,
            MiniBatchKMeans { clusters: 5, batch: 64, epochs: 4, ..Default::default() },
            [1],
            [2, 1]
        );
        for covariance in [Covariance::Full, Covariance::Diagonal] {
            let mixture = GaussianMixture { components: 3, covariance, n_init: 2, floor: 1.0, ..Default::default() };
            let most = GaussianMixture { max_iterations: 4, tolerance: 0.0, ..mixture };
            check!("mixture", &narrow, most, [1], [2, 1, 2], [4], [5]);
        }
        check!("nmf", &x, Nmf { components: 4, max_iterations: 60, ..Default::default() }, [1], [2, 1]);
        check!("ica", &narrow, FastIca { components: Some(4), ..Default::default() }, [1], [1, 2]);
        let map = Tsne { max_iterations: 400, perplexity: 10.0, ..Default::default() };
        check!("t-sne", &narrow, map.clone(), [1, 3]);
        check!("t-sne by a tree", &narrow, Tsne { repulsion: Repulsion::Tree { angle: 0.5 }, ..map }, [6]);
        check!("umap", &narrow, Umap { steps: Some(150), ..Default::default() }, [1, 1]);
    }
}

#[test]
fn a_stop_at_any_moment_of_many_starts_changes_nothing() {
    let device = Device::cpu();
    let (x, _) = digits(&device);
    let config = KMeans { clusters: 10, n_init: 3, ..Default::default() };
    let mut ear = Ear::new(usize::MAX);
    let whole = bytes(&config.fit_with(&device, &x, &mut ear).expect("fits"));
    let events = usize::MAX - ear.left;
    for stop in 1..=events {
        let part = config.fit_with(&device, &x, &mut Ear::new(stop)).expect("fits");
        assert_eq!(part.is_unfinished(), stop < events, "{stop} of {events}");
        let resumed = config.resume(&x, &kept(&part, &device), &mut Ear::new(usize::MAX)).expect("fits");
        assert!(bytes(&resumed) == whole, "{stop} of {events}");
    }
}

#[test]
fn a_stopped_model_is_usable_and_more_iterations_go_on() {
    let device = Device::cpu();
    let (x, _) = digits(&device);
    let config = KMeans { clusters: 10, n_init: 1, tolerance: 0.0, ..Default::default() };
    let whole = config.fit(&device, &x).expect("fits");
    let few = KMeans { max_iterations: 3, ..config.clone() }.fit(&device, &x).expect("fits");
    assert!(few.is_unfinished() && !few.converged && few.iterations == 3);
    assert_eq!(few.predict(&x).expect("predicts").shape(), [1797]);
    let more = config.resume(&x, &few, &mut Ear::new(usize::MAX)).expect("fits");
    assert!(more.converged && (more.iterations, more.inertia) == (whole.iterations, whole.inertia), "{more} {whole}");
    // A finished model comes back as it is.
    let same = config.resume(&x, &more, &mut Ear::new(1)).expect("fits");
    assert!(!same.is_unfinished() && bytes(&same) == bytes(&more));
}

#[test]
fn a_stop_needs_the_same_data_and_configuration_to_go_on() {
    let device = Device::cpu();
    let x = digits(&device).0.narrow(0, 0, 100).realize().expect("numbers").clone();
    let says = |result: Result<KMeansModel>, words: &[&str]| {
        let message = result.expect_err("must be an error").to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let config = KMeans { clusters: 5, tolerance: 0.0, ..Default::default() };
    let part = config.fit_with(&device, &x, &mut Ear::new(1)).expect("fits");
    let ear = &mut Ear::new(usize::MAX);
    says(config.resume(&x.narrow(0, 0, 90), &part, ear), &["100 rows", "90 now"]);
    says(config.resume(&x.narrow(1, 0, 60), &part, ear), &["64 features", "60 now"]);
    says(KMeans { clusters: 6, ..config }.resume(&x, &part, ear), &["5 clusters", "6 now"]);
    says(MiniBatchKMeans { clusters: 5, ..Default::default() }.resume(&x, &part, ear), &["made by k-means"]);
}

#[test]
fn one_pass_over_a_table_goes_on_with_the_rows_that_are_left() {
    for device in devices() {
        let x = digits(&device).0.narrow(0, 0, 500).realize().expect("numbers").clone();
        let mut whole = IncrementalPca::new(Components::Count(5), true);
        let expected = bytes(&whole.fit(&device, &x, 70).expect("fits"));
        let mut pca = IncrementalPca::new(Components::Count(5), true);
        let early = pca.fit_with(&device, &x, 70, &mut Ear::new(3)).expect("fits");
        assert_eq!((pca.rows(), early.components.shape()), (210, &[5, 64][..]));
        let mut pca = kept(&pca, &device);
        let model = pca.resume(&device, &x, 70, &mut Ear::new(usize::MAX)).expect("fits");
        assert!(pca.rows() == 500 && bytes(&model) == expected, "{model} on {device}");
    }
}
