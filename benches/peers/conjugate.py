"""Variational Bayes by scikit-learn, on request: Gaussian mixtures and latent Dirichlet allocation.

Reads lines `FOLDER MODEL ITERATIONS` from standard input.

MODEL is mixture: FOLDER holds x.npy and responsibilities.npy, from which the ascent starts. Answers with the wall time of each iteration
and user and system time of one; the means are written to FOLDER/means.npy.
MODEL is lda-K-JOBS: FOLDER holds offsets.npy, words.npy, counts.npy (documents in compressed rows) and shape.npy (documents, words).
Answers with the wall time of a pass and its processor time; the topics' parameters are written to FOLDER/lambda.npy.
"""

import os
import time

import numpy as np
import scipy.sparse
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.mixture import BayesianGaussianMixture

from session import cpu, serve


class Timed(BayesianGaussianMixture):
    """Starts from given responsibilities and notes the time at the end of every iteration."""

    responsibilities = None

    def _initialize_parameters(self, X, *_, **__):
        self._initialize(X, self.responsibilities)

    def _print_verbose_msg_init_beg(self, n_init):
        self.times = [(time.perf_counter(), cpu())]

    def _print_verbose_msg_iter_end(self, n_iter, diff_ll):
        self.times.append((time.perf_counter(), cpu()))


def mixture(folder, x, iterations):
    start = np.load(os.path.join(folder, "responsibilities.npy"))
    model = Timed(
        n_components=start.shape[1],
        covariance_prior=np.cov(x.T, bias=True),
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        mean_precision_prior=1.0,
        degrees_of_freedom_prior=x.shape[1],
        tol=0.0,
        reg_covar=0.0,
        max_iter=iterations,
    )
    model.responsibilities = start
    model.fit(x)
    np.save(os.path.join(folder, "means.npy"), np.ascontiguousarray(model.means_))
    wall = [b[0] - a[0] for a, b in zip(model.times, model.times[1:])]
    # the first interval holds the preparation too
    cpu_each = (model.times[-1][1] - model.times[1][1]) / max(len(wall) - 1, 1)
    return {"wall": wall[1:], "cpu": cpu_each}


def lda(folder, topics, jobs, passes):
    load = lambda name: np.load(os.path.join(folder, name + ".npy"))
    shape = tuple(load("shape").astype(int))
    counts = scipy.sparse.csr_matrix((load("counts"), load("words").astype(np.int32), load("offsets").astype(np.int32)), shape=shape)
    model = LatentDirichletAllocation(
        n_components=topics, learning_method="online", batch_size=128, learning_offset=10.0, learning_decay=0.7, max_iter=passes,
        mean_change_tol=1e-3, max_doc_update_iter=100, evaluate_every=0, n_jobs=jobs, random_state=0,
    )
    wall, work = time.perf_counter(), cpu()
    model.fit(counts)
    wall, work = time.perf_counter() - wall, cpu() - work
    np.save(os.path.join(folder, "lambda.npy"), np.ascontiguousarray(model.components_.T.astype(np.float64)))
    return {"wall": wall / passes, "cpu": work / passes}


def answer(folder, x, kind, iterations):
    kind, *numbers = kind.split("-")
    if kind == "mixture":
        return mixture(folder, x, int(iterations))
    return lda(folder, int(numbers[0]), int(numbers[1]), int(iterations))


if __name__ == "__main__":
    serve(answer)
