"""Writes unsupervised.json: scores by scikit-learn on the digits, for labels and embeddings that the test makes by the same
formulas.

    python trainers/tests/goldens/unsupervised.py
"""
import json
import pathlib

import numpy as np
from sklearn import datasets, manifold, metrics

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
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1) + "\n")
