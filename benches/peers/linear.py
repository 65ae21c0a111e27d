"""Principal components and factor analysis by scikit-learn, on request.

Reads lines `FOLDER MODEL COMPONENTS` from standard input; MODEL is pca or fa, FOLDER holds x.npy. Answers each with one JSON line: the
wall time of the fit, its user and system time, the iterations, and the mean log-likelihood per row of the rows fitted.
"""

import json
import os
import sys
import time
import warnings

import numpy as np
import sklearn
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning


def cpu():
    t = os.times()
    return t.user + t.system


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(json.dumps({"version": sklearn.__version__}), flush=True)
    loaded = None
    for line in sys.stdin:
        folder, kind, components = line.split()
        if loaded is None or loaded[0] != folder:
            loaded = (folder, np.load(os.path.join(folder, "x.npy")))
        x = loaded[1]
        q = int(components)
        model = PCA(n_components=q, svd_solver="covariance_eigh") if kind == "pca" else FactorAnalysis(n_components=q, random_state=0)
        wall, work = time.perf_counter(), cpu()
        model.fit(x)
        wall, work = time.perf_counter() - wall, cpu() - work
        # scikit-learn divides the covariance of its principal components by N - 1, so its likelihood is not quite the maximum
        iterations = int(getattr(model, "n_iter_", 1))
        answer = {"wall": wall, "cpu": work, "iterations": iterations, "log_likelihood": float(model.score(x))}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
