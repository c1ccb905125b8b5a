"""scikit-learn on a table that `unsupervised.rs` wrote: one line, as the program prints.

    python benches/unsupervised.py table.npy kmeans
"""
import os
import resource
import sys
import time
import warnings

for library in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "2")
import numpy as np
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture


def mixture(kind):
    return lambda x: GaussianMixture(16, covariance_type=kind, random_state=0, max_iter=20, tol=0).fit(x)


def embed(x):
    return TSNE(random_state=0, n_jobs=2).fit(x)


def given(x):
    with warnings.catch_warnings():
        # It warns that ten iterations do not converge: so it is meant.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(64, init=x[:64], n_init=1, max_iter=10, tol=0).fit(x)


def inertia(m):
    return f"inertia {m.inertia_:.6e} iterations {m.n_iter_}"


def bound(m):
    return f"bound {m.lower_bound_:.4f} iterations {m.n_iter_}"


def divergence(m):
    return f"kl {m.kl_divergence_:.4f}"


TASKS = {
    "kmeans": (lambda x: KMeans(64, n_init=1, random_state=0).fit(x), inertia),
    "kmeans_given": (given, inertia),
    "pca": (lambda x: PCA(32).fit(x), lambda m: f"ratio {m.explained_variance_ratio_.sum():.6f}"),
    "gmm_diagonal": (mixture("diag"), bound),
    "gmm_full": (mixture("full"), bound),
    "dbscan": (lambda x: DBSCAN(eps=2.0, min_samples=10, n_jobs=2).fit(x),
               lambda m: f"clusters {m.labels_.max() + 1} noise {(m.labels_ < 0).sum()}"),
    "tsne": (embed, divergence),
    "tsne_mnist": (embed, divergence),
}
path, name = sys.argv[1:]
fit, say = TASKS[name]
data = np.load(path)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


begin, processor = time.perf_counter(), processor_seconds()
model = fit(data)
wall = time.perf_counter() - begin
processor = processor_seconds() - processor
print(f"{name} {wall:.3f} s {processor:.3f} s {say(model)}", flush=True)
if hasattr(model, "embedding_"):
    np.save(os.path.join(os.path.dirname(path), "embedding.npy"), model.embedding_)
