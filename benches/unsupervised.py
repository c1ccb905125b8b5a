"""scikit-learn on the very data of `unsupervised.rs`: one line per task, as the program prints.

    cargo run --release -p anygrad-benches --bin unsupervised -- --write DIR
    python benches/unsupervised.py DIR kmeans pca gmm_diagonal gmm_full dbscan tsne
"""
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")
import numpy as np
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture


def blobs(rows, features, centers):
    """The table that `cargo run --release -p anygrad-benches --bin unsupervised -- --write DIR` made."""
    return np.load(pathlib.Path(sys.argv[1]) / f"blobs_{rows}_{features}_{centers}.npy")


def timed(name, make, fit, say):
    if len(sys.argv) > 2 and name not in sys.argv[2:]:
        return
    data = make()
    begin = time.perf_counter()
    model = fit(data)
    print(f"{name} {time.perf_counter() - begin:.3f} s {say(model)}", flush=True)


timed("kmeans", lambda: blobs(1_000_000, 32, 64), lambda x: KMeans(64, n_init=1, random_state=0).fit(x),
      lambda m: f"inertia {m.inertia_:.6e} iterations {m.n_iter_}")
timed("pca", lambda: blobs(200_000, 256, 64), lambda x: PCA(32).fit(x),
      lambda m: f"ratio {m.explained_variance_ratio_.sum():.6f}")
for kind, name in (("diag", "gmm_diagonal"), ("full", "gmm_full")):
    timed(name, lambda: blobs(200_000, 16, 16),
          lambda x: GaussianMixture(16, covariance_type=kind, random_state=0, max_iter=20, tol=0).fit(x),
          lambda m: f"bound {m.lower_bound_:.4f} iterations {m.n_iter_}")
timed("dbscan", lambda: blobs(50_000, 8, 32), lambda x: DBSCAN(eps=2.0, min_samples=10).fit(x),
      lambda m: f"clusters {m.labels_.max() + 1} noise {(m.labels_ < 0).sum()}")
timed("tsne", lambda: load_digits().data, lambda x: TSNE(random_state=0).fit(x), lambda m: f"kl {m.kl_divergence_:.4f}")
