"""Log densities of single entries by scipy and mpmath, for the likelihoods of neural models.

    python densities.py > densities.json

Each density: a `likelihood` as lvm-deep writes it, the trained `parameters` it has beside the decoder's outputs, the outputs of a row, rows x,
what a row is told besides (`condition`), and log p of every entry. Everything is computed from the textbook form of the density, with mpmath at
400 digits (grey levels far from their mean are differences of numbers that agree in the first 170) where scipy has none; where scipy has one, both must agree.
"""

import json
import sys

import mpmath as mp
import numpy as np
import scipy
from scipy import stats

mp.mp.dps = 400
rng = np.random.default_rng(20260)


def f(v):
    return [float(x) for x in v]


def agree(mine, scipys, what):
    mine, scipys = np.array(f(mine)), np.array(scipys)
    worst = np.max(np.abs(mine - scipys) / (1 + np.abs(mine)))
    assert worst < 1e-9, (what, worst)


def normal(x, mean, log_variance):
    s2 = mp.e ** mp.mpf(log_variance)
    return -(mp.log(2 * mp.pi * s2) + (mp.mpf(x) - mp.mpf(mean)) ** 2 / s2) / 2


def negative_binomial(x, log_mean, log_dispersion):
    x, m, t = mp.mpf(x), mp.e ** mp.mpf(log_mean), mp.e ** mp.mpf(log_dispersion)
    return mp.loggamma(x + t) - mp.loggamma(t) - mp.loggamma(x + 1) + t * mp.log(t / (t + m)) + x * mp.log(m / (t + m))


def poisson(x, log_mean):
    x = mp.mpf(x)
    return x * mp.mpf(log_mean) - mp.e ** mp.mpf(log_mean) - mp.loggamma(x + 1)


def log_softmax(a):
    a = [mp.mpf(v) for v in a]
    total = mp.log(mp.fsum(mp.e**v for v in a))
    return [v - total for v in a]


def sigmoid(a):
    return 1 / (1 + mp.e ** (-mp.mpf(a)))


def logistic_level(x, mean, log_scale, levels):
    h, s, x, mean = mp.mpf(1) / (2 * (levels - 1)), mp.e ** mp.mpf(log_scale), mp.mpf(x), mp.mpf(mean)
    high = mp.mpf(1) if x >= 1 else sigmoid((x + h - mean) / s)
    low = mp.mpf(0) if x <= 0 else sigmoid((x - h - mean) / s)
    return mp.log(high - low)


out = []


def add(name, likelihood, outputs, x, log_p, parameters=None, condition=None):
    out.append(
        {
            "name": name,
            "likelihood": likelihood,
            "parameters": parameters or {},
            "outputs": f(outputs),
            "condition": condition,
            "x": [f(row) for row in x],
            "log_prob": [f(row) for row in log_p],
        }
    )


D, N = 4, 12

# normal
mean = rng.normal(size=D)
x = rng.normal(size=(N, D)) * 3
for name, spec, lv, outputs, parameters in [
    ("normal, known variance", {"gaussian": {"fixed": 2.5}}, [float(np.log(2.5))] * D, mean, {}),
    ("normal, one variance", {"gaussian": "shared"}, [-1.25] * D, mean, {"log_variance": -1.25}),
    ("normal, a variance a column", {"gaussian": "columns"}, [-3.0, -0.5, 0.25, 4.0], mean, {"log_variance": [-3.0, -0.5, 0.25, 4.0]}),
    ("normal, a variance an entry", {"gaussian": "entries"}, [1.5, -2.0, 0.0, 0.125], np.r_[mean, [1.5, -2.0, 0.0, 0.125]], {}),
]:
    log_p = [[normal(x[n, d], mean[d], lv[d]) for d in range(D)] for n in range(N)]
    for n in range(N):
        agree(log_p[n], stats.norm.logpdf(x[n], mean, np.exp(np.array(lv) / 2)), name)
    add(name, spec, outputs, x, log_p, parameters)

# zeros and ones, from certain to certain
a = np.array([-40.0, -1.5, 0.25, 30.0])
x = rng.integers(0, 2, size=(N, D)).astype(float)
log_p = [[mp.log(sigmoid(a[d])) if x[n, d] else mp.log(sigmoid(-a[d])) for d in range(D)] for n in range(N)]
add("Bernoulli", "bernoulli", a, x, log_p)

# codes
K = 5
a = rng.normal(size=(D, K)) * 4
x = rng.integers(0, K, size=(N, D)).astype(float)
tables = [log_softmax(a[d]) for d in range(D)]
add("categorical", {"categorical": {"codes": K}}, a.ravel(), x, [[tables[d][int(x[n, d])] for d in range(D)] for n in range(N)])

# counts
counts = rng.poisson([0.5, 3, 40, 2000], size=(N, D)).astype(float)
a = np.array([-0.5, 1.0, 3.5, 7.5])
log_p = [[poisson(counts[n, d], a[d]) for d in range(D)] for n in range(N)]
for n in range(N):
    agree(log_p[n], stats.poisson.logpmf(counts[n], np.exp(a)), "poisson")
add("Poisson", {"poisson": {}}, a, counts, log_p)
exposure = rng.normal(size=(N, 1))
log_p = [[poisson(counts[n, d], a[d] + exposure[n, 0]) for d in range(D)] for n in range(N)]
add("Poisson with exposure", {"poisson": {"library": {"exposure": 0}}}, a, counts, log_p, condition=exposure.tolist())

shares = log_softmax(a)
size = [mp.log(mp.fsum(counts[n])) for n in range(N)]
theta = [-1.0, 0.5, 2.0, 6.0]
for name, spec, lt, outputs, parameters in [
    ("one dispersion", "shared", [0.75] * D, a, {"log_dispersion": 0.75}),
    ("a dispersion a column", "columns", theta, a, {"log_dispersion": theta}),
    ("a dispersion an entry", "entries", theta, np.r_[a, theta], {}),
]:
    log_p = [[negative_binomial(counts[n, d], a[d], lt[d]) for d in range(D)] for n in range(N)]
    for n in range(N):
        t, m = np.exp(lt), np.exp(a)
        agree(log_p[n], stats.nbinom.logpmf(counts[n], t, t / (t + m)), name)
    add(f"negative binomial, {name}", {"negative_binomial": {"dispersion": spec}}, outputs, counts, log_p, parameters)
log_p = [[negative_binomial(counts[n, d], size[n] + shares[d], theta[d]) for d in range(D)] for n in range(N)]
add(
    "negative binomial, observed size",
    {"negative_binomial": {"dispersion": "columns", "library": "observed"}},
    a,
    counts,
    log_p,
    {"log_dispersion": theta},
)
told = rng.normal(6, 1, size=(N, 1))
log_p = [[negative_binomial(counts[n, d], told[n, 0] + shares[d], theta[d]) for d in range(D)] for n in range(N)]
add(
    "negative binomial, size told",
    {"negative_binomial": {"dispersion": "columns", "library": {"condition": 0}}},
    a,
    counts,
    log_p,
    {"log_dispersion": theta},
    told.tolist(),
)
l = np.array([-4.0, -0.5, 1.0, 3.0])
lost = counts * rng.integers(0, 2, size=counts.shape)
log_p = []
for n in range(N):
    row = []
    for d in range(D):
        p = sigmoid(l[d])
        q = (1 - p) * mp.e ** negative_binomial(lost[n, d], a[d], theta[d])
        row.append(mp.log(p + q) if lost[n, d] == 0 else mp.log(q))
    log_p.append(row)
add(
    "zero-inflated negative binomial",
    {"zero_inflated_negative_binomial": {"dispersion": "columns"}},
    np.r_[a, l],
    lost,
    log_p,
    {"log_dispersion": theta},
)

# grey levels, both ends among them
levels = 256
mean, ls = np.array([0.1, 0.5, 0.97, 0.0]), [-2.0, -4.5, -3.0, -6.0]
x = rng.integers(0, levels, size=(N, D)) / (levels - 1)
x[0], x[1] = 0.0, 1.0
log_p = [[logistic_level(x[n, d], mean[d], ls[d], levels) for d in range(D)] for n in range(N)]
add("grey levels", {"discretized_logistic": {"levels": levels, "scale": "entries"}}, np.r_[mean, ls], x, log_p)

json.dump({"origin": f"scipy {scipy.__version__}, mpmath {mp.__version__}; densities.py", "densities": out}, sys.stdout, indent=1, allow_nan=False)
