"""EM for Gaussian mixtures by scikit-learn, on request.

Reads lines `FOLDER COVARIANCE ITERATIONS` from standard input. FOLDER holds x.npy, weights.npy, means.npy, precisions.npy. Answers each
with one JSON line: the wall time of each iteration, user and system time of all of them, and the lower bound of each.
"""

import os
import time

import numpy as np
from sklearn.mixture import GaussianMixture

from session import cpu, serve


class Timed(GaussianMixture):
    """Notes the time at the end of every iteration."""

    def _print_verbose_msg_init_beg(self, n_init):
        self.times = [(time.perf_counter(), cpu())]

    def _print_verbose_msg_iter_end(self, n_iter, diff_ll):
        self.times.append((time.perf_counter(), cpu()))


def answer(folder, x, covariance, iterations):
    start = {name: np.load(os.path.join(folder, name + ".npy")) for name in ("weights", "means", "precisions")}
    model = Timed(
        n_components=len(start["weights"]),
        covariance_type=covariance,
        tol=0.0,
        reg_covar=0.0,
        max_iter=int(iterations),
        init_params="random_from_data",
        random_state=0,
        weights_init=start["weights"],
        means_init=start["means"],
        precisions_init=start["precisions"],
    )
    model.fit(x)
    wall = [b[0] - a[0] for a, b in zip(model.times, model.times[1:])]
    # the first interval holds the preparation too
    cpu_each = (model.times[-1][1] - model.times[1][1]) / max(len(wall) - 1, 1)
    # lower_bounds_[t] belongs to the parameters before M-step t + 1
    return {"wall": wall[1:], "cpu": cpu_each, "bounds": list(map(float, model.lower_bounds_))}


if __name__ == "__main__":
    serve(answer)
