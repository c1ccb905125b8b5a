//! Wrong input is an error that says what and where, or has a documented result.

use anygrad::prelude::*;
use anygrad::unsupervised::*;

fn table(values: &[f32], columns: usize) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len() / columns, columns], &Device::cpu())
}

fn says<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = result.expect_err("must be an error").to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn numbers_that_are_none_are_named_by_row_and_column() {
    let device = Device::cpu();
    let x = table(&[0.0, 1.0, 2.0, f32::NAN, 4.0, 5.0], 2);
    says(KMeans { clusters: 2, ..Default::default() }.fit(&device, &x), &["row 1", "column 1", "NaN"]);
    let x = table(&[0.0, 1.0, 2.0, 3.0, f32::INFINITY, 5.0], 3);
    says(Pca::default().fit(&device, &x), &["row 1", "column 1", "inf"]);
    let mut incremental = IncrementalPca::default();
    says(incremental.fit(&device, &table(&[0.0, 1.0, 2.0, f32::NAN], 1), 2), &["row 3", "column 0"]);
}

#[test]
fn tables_that_are_too_small_are_refused() {
    let device = Device::cpu();
    says(KMeans { clusters: 3, ..Default::default() }.fit(&device, &table(&[1.0, 2.0], 1)), &["2 rows", "3 clusters"]);
    says(Pca::default().fit(&device, &table(&[1.0, 2.0], 2)), &["one row"]);
    let none = Tensor::zeros(&[0, 4], &device);
    says(KMeans::default().fit(&device, &none), &["0 rows"]);
    says(Pca::default().fit(&device, &none), &["0 rows"]);
    says(KMeans::default().fit(&device, &Tensor::zeros(&[4], &device)), &["two-dimensional"]);
}

#[test]
fn configurations_out_of_range_are_refused() {
    let (device, x) = (Device::cpu(), table(&[1.0, 2.0, 3.0, 5.0], 1));
    says(KMeans { clusters: 0, ..Default::default() }.fit(&device, &x), &["at least 1"]);
    says(KMeans { clusters: 1, tolerance: f64::NAN, ..Default::default() }.fit(&device, &x), &["tolerance"]);
    let given = Seeding::Given(Tensor::zeros(&[2, 3], &device));
    says(KMeans { clusters: 2, seeding: given, ..Default::default() }.fit(&device, &x), &["[2, 3]", "[2, 1]"]);
    says(Pca { components: Components::Count(2), ..Default::default() }.fit(&device, &x), &["2 components"]);
    says(Pca { components: Components::Variance(1.5), ..Default::default() }.fit(&device, &x), &["1.5"]);
}

/// Every function of every fitted model, asked about rows of four features after it was fitted on three (two components).
fn misfits(device: &Device, x: &Tensor, four: &Tensor) -> Result<Vec<(&'static str, String)>> {
    fn of<T>(name: &'static str, result: Result<T>) -> (&'static str, String) {
        (name, result.err().map_or(String::new(), |error| error.to_string()))
    }
    let clusters = KMeans { clusters: 2, ..Default::default() }.fit(device, x)?;
    let batches = MiniBatchKMeans { clusters: 2, ..Default::default() }.fit(device, x)?;
    let mixture = GaussianMixture { components: 2, ..Default::default() }.fit(device, x)?;
    let pca = Pca { components: Components::Count(2), ..Default::default() }.fit(device, x)?;
    let svd = Pca::truncated_svd(2).fit(device, x)?;
    let mut incremental = IncrementalPca::new(Components::Count(2), false);
    let streamed = incremental.fit(device, x, 4)?;
    let parts = Nmf { components: 2, ..Default::default() }.fit(device, x)?;
    let sources = FastIca { components: Some(2), ..Default::default() }.fit(device, x)?;
    let forest = IsolationForest::default().fit(device, x)?;
    let near = NearestNeighbors::default().fit(device, x)?;
    let robust = EllipticEnvelope::default().fit(device, x)?;
    let mut stream = StreamingScore::new(3, 10.0, 2)?;
    Ok(vec![
        of("k-means predict", clusters.predict(four)),
        of("k-means transform", clusters.transform(four)),
        of("k-means inertia", clusters.inertia_of(four)),
        of("mini-batch predict", batches.predict(four)),
        of("mixture predict", mixture.predict(four)),
        of("mixture probability", mixture.predict_probability(four)),
        of("mixture rows", mixture.score_rows(four)),
        of("mixture score", mixture.score(four)),
        of("mixture bic", mixture.bic(four)),
        of("mixture aic", mixture.aic(four)),
        of("pca transform", pca.transform(four)),
        of("svd transform", svd.transform(four)),
        of("incremental pca transform", streamed.transform(four)),
        of("incremental pca partial_fit", incremental.partial_fit(device, four)),
        of("nmf transform", parts.transform(four)),
        of("ica transform", sources.transform(four)),
        of("forest", forest.score_rows(four)),
        of("neighbours", near.score_rows(four)),
        of("envelope", robust.score_rows(four)),
        of("stream", stream.score(&[1.0; 4])),
        of("pca inverse", pca.inverse_transform(four)),
        of("svd inverse", svd.inverse_transform(four)),
        of("nmf inverse", parts.inverse_transform(four)),
        of("ica inverse", sources.inverse_transform(four)),
    ])
}

#[test]
fn another_number_of_features_is_refused_with_both_numbers() {
    let device = Device::cpu();
    let values = |count: usize| (0..count).map(|i| (i as f32 * 1.7).sin() + 2.0).collect::<Vec<f32>>();
    let found = misfits(&device, &table(&values(30), 3), &table(&values(12), 4)).expect("all fit");
    for (name, message) in found {
        let expected = if name.contains("inverse") { "the model has 2 components" } else { "3" };
        assert!(message.contains('4') && message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn layers_of_ones_own_name_both_numbers_where_they_do_not_fit() {
    let device = Device::cpu();
    let model = Autoencoder::new(Linear::new(3, 2, &device), Linear::new(2, 3, &device));
    let ask = || model.score_rows(&Tensor::ones(&[5, 4], &device));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask)).expect_err("a mistake of shapes");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains('4') && message.contains('3'), "{message}");
}

#[test]
fn duplicates_and_constants_are_no_failure() {
    let device = Device::cpu();
    // Two distinct rows cannot fill three clusters: it is said, and the inertia is 0.
    let x = table(&[1.0, 1.0, 1.0, 4.0, 4.0, 4.0], 1);
    let model = KMeans { clusters: 3, ..Default::default() }.fit(&device, &x).expect("fits");
    assert!(model.inertia == 0.0 && model.warnings.iter().any(|w| w.contains("distinct")), "{model}");
    let one = KMeans { clusters: 1, ..Default::default() }.fit(&device, &table(&[3.0, 4.0], 2)).expect("one row");
    assert_eq!(one.inertia, 0.0);
    let model = Pca::default().fit(&device, &table(&[2.0; 12], 3)).expect("constant features");
    assert_eq!(model.explained_variance_ratio, [0.0; 3]);
    assert!(model.transform(&table(&[2.0; 3], 3)).expect("transforms").abs().max(()).item().expect("reads") < 1e-6);
}

#[test]
fn mixtures_and_detectors_refuse_what_they_cannot_do() {
    let device = Device::cpu();
    let x = table(&[1.0, 2.0, 3.0, 5.0, 7.0, 1.0], 2);
    says(GaussianMixture { components: 4, ..Default::default() }.fit(&device, &x), &["3 rows", "4 components"]);
    says(GaussianMixture { floor: -1.0, ..Default::default() }.fit(&device, &x), &["floor"]);
    // Two equal columns and no floor: the covariance is singular.
    let copies = table(&[1.0, 1.0, 2.0, 2.0, 4.0, 4.0], 2);
    says(GaussianMixture { floor: 0.0, ..Default::default() }.fit(&device, &copies), &["singular", "floor"]);
    says(EllipticEnvelope::default().fit(&device, &table(&[1.0; 12], 2)), &["singular"]);
    says(EllipticEnvelope::default().fit(&device, &x), &["3 rows"]);
    let model = GaussianMixture { max_iterations: 1, ..Default::default() }.fit(&device, &x).expect("fits");
    assert!(!model.converged && model.warnings[0].contains("not converged"), "{model}");
    says(model.predict(&table(&[1.0], 1)), &["1 features", "fitted on 2"]);
    says(Dbscan { eps: 0.0, ..Default::default() }.fit(&device, &x), &["eps 0"]);
    says(Tsne::default().fit(&device, &x), &["perplexity 30", "3 rows"]);
    says(NearestNeighbors::default().fit(&device, &x), &["5 neighbours of 3 rows"]);
    says(IsolationForest { trees: 0, ..Default::default() }.fit(&device, &x), &["at least 1"]);
    says(MiniBatchKMeans::default().fit(&device, &x), &["3 rows", "8 clusters"]);
}

/// The first error of a method on a table, in words; `None` if it fits.
type Fit = Box<dyn Fn(&Device, &Tensor) -> Option<String>>;

/// Every method, with a configuration that suits ten rows of three features.
fn methods() -> Vec<(&'static str, Fit)> {
    fn of<M>(fit: impl Fn(&Device, &Tensor) -> Result<M> + 'static) -> Fit {
        Box::new(move |device, x| fit(device, x).err().map(|error| error.to_string()))
    }
    vec![
        ("k-means", of(|d, x| KMeans { clusters: 2, ..Default::default() }.fit(d, x))),
        ("mini-batch", of(|d, x| MiniBatchKMeans { clusters: 2, ..Default::default() }.fit(d, x))),
        ("dbscan", of(|d, x| Dbscan::default().fit(d, x))),
        ("mixture", of(|d, x| GaussianMixture { components: 2, ..Default::default() }.fit(d, x))),
        ("pca", of(|d, x| Pca::default().fit(d, x))),
        ("svd", of(|d, x| Pca::truncated_svd(2).fit(d, x))),
        ("incremental pca", of(|d, x| IncrementalPca::default().fit(d, x, 4))),
        ("nmf", of(|d, x| Nmf { components: 2, ..Default::default() }.fit(d, x))),
        ("ica", of(|d, x| FastIca { components: Some(2), ..Default::default() }.fit(d, x))),
        ("t-sne", of(|d, x| Tsne { perplexity: 2.0, ..Default::default() }.fit(d, x))),
        ("umap", of(|d, x| Umap { neighbors: 3, ..Default::default() }.fit(d, x))),
        ("neighbours", of(|d, x| NearestNeighbors::default().fit(d, x))),
        ("envelope", of(|d, x| EllipticEnvelope::default().fit(d, x))),
        ("forest", of(|d, x| IsolationForest::default().fit(d, x))),
    ]
}

#[test]
fn every_method_fits_a_small_table_and_refuses_what_is_none() {
    let device = Device::cpu();
    let values: Vec<f32> = (0..30).map(|i| (i as f32 * 1.7).sin() + 2.0).collect();
    let mut spoilt = values.clone();
    spoilt[10] = f32::NAN;
    for (name, fit) in methods() {
        assert_eq!(fit(&device, &table(&values, 3)), None, "{name}");
        let message = fit(&device, &table(&spoilt, 3)).unwrap_or_default();
        assert!(message.contains("row 3, column 1 is NaN"), "{name}: {message}");
        let message = fit(&device, &Tensor::zeros(&[0, 3], &device)).unwrap_or_default();
        assert!(message.contains("0 rows") || message.contains("fewer than two rows"), "{name}: {message}");
        let message = fit(&device, &Tensor::zeros(&[3], &device)).unwrap_or_default();
        assert!(message.contains("two-dimensional"), "{name}: {message}");
        // One row, and rows that are all the same: no panic, and if it is an error, it says which method.
        for x in [table(&values[..3], 3), table(&[1.5; 30], 3)] {
            assert!(fit(&device, &x).is_none_or(|message| message.contains(':')), "{name}");
        }
    }
}

#[test]
fn an_end_before_convergence_is_said() {
    let device = Device::cpu();
    let x = table(&(0..60).map(|i| (i as f32 * 1.7).sin()).collect::<Vec<f32>>(), 2);
    let model =
        KMeans { clusters: 5, n_init: 1, max_iterations: 1, ..Default::default() }.fit(&device, &x).expect("fits");
    assert!(!model.converged && model.warnings.iter().any(|w| w.contains("not converged")), "{model}");
    let huge = table(&[1e30, 2e30, -1e30, 3e30, 0.0, 1e30], 2);
    says(Pca::default().fit(&device, &huge), &["scale the data down"]);
    says(KMeans { clusters: 2, ..Default::default() }.fit(&device, &huge), &["scale the data down"]);
}

#[test]
fn an_ndarray_is_a_table() {
    let device = Device::cpu();
    let x = ndarray::array![[0.0f64, 0.1], [0.2, 0.0], [9.0, 9.1], [9.2, 9.0]];
    let model = KMeans { clusters: 2, ..Default::default() }.fit(&device, &x).expect("fits");
    assert!((model.inertia - 0.05).abs() < 1e-4, "{model}");
    let model = KMeans { clusters: 2, ..Default::default() }.fit(&device, &x.t().t()).expect("views, too");
    assert!((model.inertia - 0.05).abs() < 1e-4, "{model}");
}
