"""Writes unsupervised.json: figures by scikit-learn (one loss by PyTorch, one map by umap-learn) on the digits and on what the tests make by the
same formulas.

    python trainers/tests/goldens/unsupervised.py
"""
import json
import pathlib

import numpy as np
import torch
import umap
from sklearn import datasets, decomposition, manifold, metrics

x, y = datasets.load_digits(return_X_y=True)
rows = np.arange(len(x))
other = (3 * y + rows % 4) % 8
plane = np.stack([x[:, :32].sum(1) + 0.01 * (rows % 7), x.reshape(-1, 8, 8)[:, :, :4].sum((1, 2)) + 0.01 * (rows % 5)], 1)
score, positive = x[:, 20] - x[:, 43], y == 4
golden = {
    "silhouette": metrics.silhouette_score(x, y),
    "silhouette_other": metrics.silhouette_score(x, other),
    "davies_bouldin": metrics.davies_bouldin_score(x, y),
    "davies_bouldin_other": metrics.davies_bouldin_score(x, other),
    "adjusted_rand": metrics.adjusted_rand_score(y, other),
    "normalized_mutual_information": metrics.normalized_mutual_info_score(y, other),
    "trustworthiness": manifold.trustworthiness(x[:600], plane[:600], n_neighbors=7),
    "roc_auc": metrics.roc_auc_score(positive, score),
    "average_precision": metrics.average_precision_score(positive, score),
}

# Multiplicative updates from a given start.
i, j = np.indices((200, 5))
weights = 1 + 0.5 * np.sin(1.1 * i + 2.3 * j)
i, j = np.indices((5, 64))
parts = 1 + 0.5 * np.cos(0.9 * i + 1.7 * j)
for name, tol in (("nmf_50", 0.0), ("nmf", 1e-4)):
    model = decomposition.NMF(5, init="custom", solver="mu", max_iter=50 if tol == 0 else 200, tol=tol)
    model.fit_transform(x[:200], W=weights.copy(), H=parts.copy())
    golden[name], golden[name + "_iterations"] = model.reconstruction_err_, model.n_iter_

# Three signals in three mixtures: the least correlation of a source with its signal.
t = np.arange(2000) / 100
signals = np.stack([np.sin(2 * t), np.sign(np.sin(3 * t)), np.mod(1.7 * t, 1)], 1)
mixed = signals @ np.array([[1, 1, 1], [0.5, 2, 1], [1.5, 1, 2]]).T
sources = decomposition.FastICA(3, whiten="unit-variance", random_state=0).fit_transform(mixed)
golden["ica"] = np.abs(np.corrcoef(sources.T, signals.T)[:3, 3:]).max(0).min()

# Six pairs of views: the loss by its definition, and its gradient.
i, j = np.indices((6, 5))
first, second = (torch.tensor(np.sin(0.7 * i * i + 1.3 * j + shift), requires_grad=True) for shift in (0.0, 0.4))
z = torch.nn.functional.normalize(torch.cat([first, second]))
likeness = (z @ z.T / 0.5).masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
loss = torch.nn.functional.cross_entropy(likeness, torch.arange(12).roll(6))
loss.backward()
golden["nt_xent"], golden["nt_xent_gradient"] = loss.item(), first.grad.flatten().tolist()

# A map of the first 500 digits.
map_ = manifold.TSNE(random_state=0)
points = map_.fit_transform(x[:500])
golden["tsne_500"], golden["tsne_500_trustworthiness"] = map_.kl_divergence_, manifold.trustworthiness(x[:500], points)
points = umap.UMAP(random_state=0).fit_transform(x[:500])
golden["umap_500_trustworthiness"] = manifold.trustworthiness(x[:500], points)
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1) + "\n")
