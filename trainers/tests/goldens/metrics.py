"""Writes metrics.json: random data and what scikit-learn says of them.

    python3 metrics.py > metrics.json
"""
import json
import warnings
import numpy as np
import sklearn
import sklearn.metrics as M
from sklearn.calibration import calibration_curve

warnings.filterwarnings("ignore")  # A class that is never predicted has precision 0.
random = np.random.default_rng(7)
ROWS, CLASSES, BINS = 150, 5, 10

labels = random.integers(0, CLASSES, ROWS)
logits = random.normal(size=(ROWS, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
logits[:, 4] -= 9  # Class 4 occurs and is never predicted.
logits = np.round(logits, 3)
p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
predicted = logits.argmax(1)
values = {"accuracy": M.accuracy_score(labels, predicted), "top_2": M.top_k_accuracy_score(labels, logits, k=2),
          "perplexity": np.exp(M.log_loss(labels, p))}
for average in ["micro", "macro", "weighted"]:
    three = M.precision_recall_fscore_support(labels, predicted, average=average)[:3]
    values |= {f"{average}.{name}": x for name, x in zip(["precision", "recall", "f1"], three)}
per_class = np.array(M.precision_recall_fscore_support(labels, predicted)[:3]).T

confidence, right = p.max(1), (predicted == labels).astype(float)
share, mean = calibration_curve(right, confidence, n_bins=BINS)
counts = np.histogram(confidence, np.linspace(0, 1, BINS + 1))[0]
values["calibration_error"] = (np.abs(share - mean) * counts[counts > 0]).sum() / ROWS

# Two digits: many scores are equal.
binary = random.integers(0, 2, ROWS)
scores = np.round(random.normal(size=ROWS) + binary, 1)
values |= {"roc_auc": M.roc_auc_score(binary, scores), "pr_auc": M.average_precision_score(binary, scores)}

truth = np.round(random.normal(size=(ROWS, 2)) * [1, 3] + [100, -2], 3)
guess = np.round(truth + random.normal(size=(ROWS, 2)) * 0.5, 3)
values |= {"mae": M.mean_absolute_error(truth, guess), "rmse": M.root_mean_squared_error(truth, guess),
           "r2": M.r2_score(truth, guess)}

print(json.dumps({
    "sklearn": sklearn.__version__,
    "labels": labels.tolist(), "logits": logits.flatten().tolist(),
    "binary": binary.tolist(), "scores": scores.tolist(),
    "truth": truth.flatten().tolist(), "guess": guess.flatten().tolist(),
    "confusion": M.confusion_matrix(labels, predicted).tolist(),
    "per_class": per_class.tolist(),
    "values": values,
}))
