"""Principal components and factor analysis by scikit-learn, on request.

Reads lines `FOLDER MODEL COMPONENTS` from standard input; MODEL is pca or fa, FOLDER holds x.npy. Answers each with one JSON line: the
wall time of the fit, its user and system time, the iterations, and the mean log-likelihood per row of the rows fitted.
"""

import time

from sklearn.decomposition import PCA, FactorAnalysis

from session import cpu, serve


def answer(folder, x, kind, components):
    q = int(components)
    model = PCA(n_components=q, svd_solver="covariance_eigh") if kind == "pca" else FactorAnalysis(n_components=q, random_state=0)
    wall, work = time.perf_counter(), cpu()
    model.fit(x)
    wall, work = time.perf_counter() - wall, cpu() - work
    # scikit-learn divides the covariance of its principal components by N - 1, so its likelihood is not quite the maximum
    iterations = int(getattr(model, "n_iter_", 1))
    return {"wall": wall, "cpu": work, "iterations": iterations, "log_likelihood": float(model.score(x))}


if __name__ == "__main__":
    serve(answer)
