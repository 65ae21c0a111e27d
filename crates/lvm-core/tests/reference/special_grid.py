"""Makes special_grid.json: special functions, densities and divergences at extreme arguments, in 60-digit arithmetic (400 in far tails).

Run: python special_grid.py   (needs mpmath). Float arguments are taken at their exact binary value.
"""
import json
import math
import os
import random

from mpmath import mp

mp.dps = 60
random.seed(20)
M, lg, psi, l2 = mp.mpf, mp.loggamma, mp.digamma, mp.log(2 * mp.pi)
functions, densities, divergences = [], [], []


def fn(name, args, value):
    functions.append(dict(f=name, args=[float(a) for a in args], value=float(value)))


def wide(low, high):
    return 10 ** random.uniform(low, high)


# ---- gamma and relatives
for x in [1e-300, 1e-12, 0.3, 1 + 1e-9, 1.4616321449683622, 1.47, 2 - 1e-9, 9.999, 171.6, 1e10, 1e100] + [wide(-6, 6) for _ in range(8)]:
    X = M(x)
    fn("lgamma", [x], lg(X)); fn("digamma", [x], psi(X))
    if 1e-150 < x < 1e50: fn("trigamma", [x], mp.polygamma(1, X))
for x in [-0.5, -10.7, -100.25, -1e-5]:
    fn("digamma", [x], psi(M(x))); fn("trigamma", [x], mp.polygamma(1, M(x)))
for d, a in [(1, 1e-3), (3, 1.001), (10, 4.6), (40, 30.3), (5, 1e9)]:
    fn("multivariate_lgamma(d,a)", [d, a], M(d) * (d - 1) / 4 * mp.log(mp.pi) + mp.fsum([lg(M(a) - M(j) / 2) for j in range(d)]))
for _ in range(12):
    a, h, x = wide(-8, 9), wide(-12, 9), None
    A, H = M(a), M(h)
    fn("lgamma_delta", [a, h], lg(A + H) - lg(A)); fn("lbeta", [a, h], lg(A) + lg(H) - lg(A + H))
    x = a * math.exp(random.gauss(0, 1) * wide(-6, 0)); X = M(x)
    fn("lgamma_bregman", [x, a], lg(X) - lg(A) - psi(A) * (X - A))
    b, t = wide(-3, 8), random.random(); B, T = M(b), M(t)
    fn("log_beta_kernel", [a, b, t], A * mp.log(T) + B * mp.log1p(-T) + lg(A + B) - lg(A) - lg(B))
# ---- logistic and normal
for x in [-1e5, -745.0, -37.6, -36.9, -20.0, -8.3, -1.0000001, -0.9999, -1e-20, 1e-300, 0.4, 2.2, 5.9, 12.0, 26.0, 33.3, 709.0]:
    X = M(x)
    with mp.workdps(700):
        fn("softplus", [x], mp.log1p(mp.exp(X))); fn("log_sigmoid", [x], -mp.log1p(mp.exp(-X))); fn("sigmoid", [x], 1 / (1 + mp.exp(-X)))
        if abs(x) < 50:
            tail = mp.erfc(abs(X) / mp.sqrt(2)) / 2
            fn("norm_cdf", [x], tail if x < 0 else 1 - tail); fn("log_norm_cdf", [x], mp.log(tail) if x < 0 else mp.log1p(-tail))
            fn("erf", [x], mp.erf(X)); fn("erfc", [x], mp.erfc(X))
    if x < 709.5: fn("expm1", [x], mp.expm1(X))
with mp.workdps(700):
    for x in [-300.0, -1e4]:    # asymptotic series, 1/x^14 below 1e-32
        X = M(x); s = mp.fsum([(-1) ** k * mp.fac2(2 * k - 1) / X ** (2 * k) for k in range(8)])
        fn("log_norm_cdf", [x], -X * X / 2 - mp.log(-X) - l2 / 2 + mp.log(s))
for p in [5e-324, 1e-200, 1e-16, 0.02425, 0.499999, 0.5 + 1e-9, 0.51, 0.975, 1 - 1e-12, 1 - 2 ** -53]:
    P = M(p)
    fn("logit", [p], mp.log(P) - mp.log1p(-P))
    with mp.workdps(800):
        q, x = min(P, 1 - P), M(0)
        x = -mp.sqrt(-2 * mp.log(2 * q)) if q < M("0.4999") else -(M("0.5") - q) * mp.sqrt(2 * mp.pi)
        for _ in range(40):     # Newton on log Phi, which is concave
            c = mp.erfc(-x / mp.sqrt(2)) / 2; x -= (mp.log(c) - mp.log(q)) * c / (mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi))
    fn("norm_quantile", [p], x if p < 0.5 else -x)
# ---- incomplete gamma and beta: positive series
def lower_gamma(A, X):
    t = s = M(1); n = 1
    while t > s * M(10) ** (-mp.dps): t *= X / (A + n); s += t; n += 1
    return mp.exp(A * mp.log(X) - X - lg(A + 1)) * s
for a, x in [(1e-6, 1e-4), (2.3e-6, 0.14), (1e-3, 30.0), (0.7, 1e-12), (0.99, 0.99), (3.0, 200.0), (12.1, 8e-4), (37.5, 2.2e-5), (150.0, 120.0), (486.0, 713.3), (697.0, 170.0), (2074.0, 3160.0), (5654.5, 8659.9), (30973.2, 30894.1), (1e5, 1.02e5)]:
    with mp.workdps(400):
        p = lower_gamma(M(a), M(x)); q = 1 - p
    fn("gammainc_lower_regularised", [a, x], p); fn("gammainc_upper_regularised", [a, x], q)
def lower_beta(A, B, X):
    t = s = M(1); n = 0
    while t > s * M(10) ** (-mp.dps) or (A + B + n) * X > A + 1 + n: t *= X * (A + B + n) / (A + 1 + n); s += t; n += 1
    return mp.exp(A * mp.log(X) + B * mp.log1p(-X) + lg(A + B) - lg(A + 1) - lg(B)) * s
for a, b, x in [(1e-4, 1e-4, 0.3), (3891.6, 1.3e-4, 0.99999), (1e-3, 50.0, 1e-9), (0.5, 1e4, 1e-6), (547.0, 10.64, 0.4523), (510.96, 3843.4, 0.0913), (1e4, 2e4, 0.34), (20.0, 0.02, 0.999), (2.0, 1e6, 1e-7), (300.0, 300.0, 0.9)]:
    A, B, X = M(a), M(b), M(x)
    v = lower_beta(A, B, X) if X * (A + B + 2) < A + 1 else 1 - lower_beta(B, A, 1 - X)
    fn("betainc_regularised", [a, b, x], v)


# ---- densities
def den(name, x, value, **parameters):
    densities.append(dict(density=name, x=x, parameters=parameters, log_density=float(value)))


for x, m, s in [(1e4, 0.0, 0.5), (-1e200, 3.0, 1e-100), (1e-300, 0.0, 1e-5), (1e8, 1e8 - 1, 1e3), (-0.7, 0.2, 30.0)]:
    z = (M(x) - M(m)) / M(s); S = M(s)
    v = -l2 / 2 - mp.log(S) - z * z / 2
    if abs(v) < 1e308: den("normal", x, v, mean=m, sd=s)
    den("cauchy", x, -mp.log(mp.pi * S) - mp.log1p(z * z), loc=m, scale=s)
    den("laplace", x, -mp.log(2 * S) - abs(z), loc=m, scale=s)
    den("logistic", x, -abs(z) - mp.log(S) - 2 * mp.log1p(mp.exp(-abs(z))), loc=m, scale=s)
    for nu in [1e-3, 2.5, 19.9, 1e6, 1e12]:
        n = M(nu); den("student_t", x, lg((n + 1) / 2) - lg(n / 2) - mp.log(n * mp.pi) / 2 - mp.log(S) - (n + 1) / 2 * mp.log1p(z * z / n), df=nu, loc=m, scale=s)
for x, a, b in [(1e-9, 1e-4, 2.0), (1e3, 1e6, 1e3), (1.001, 1e8, 1e8), (3.0, 9.9, 3.1), (700.0, 2.0, 1.5), (1e-100, 30.0, 1.0), (0.9, 1e4, 1.0)]:
    X, A, B = M(x), M(a), M(b)
    den("gamma_shape_rate", x, A * mp.log(B) - lg(A) + (A - 1) * mp.log(X) - B * X, shape=a, rate=b)
    den("inverse_gamma_shape_scale", x, A * mp.log(B) - lg(A) - (A + 1) * mp.log(X) - B / X, shape=a, scale=b)
    den("lognormal", x, -mp.log(X) - l2 / 2 - mp.log(B) - ((mp.log(X) - A) / B) ** 2 / 2, mu=a, sigma=b)
    if a * math.log(x / b) < 600: den("weibull", x, mp.log(A / B) + (A - 1) * mp.log(X / B) - (X / B) ** A, shape=a, scale=b)
    den("half_cauchy", x, mp.log(2 / (mp.pi * B)) - mp.log1p((X / B) ** 2), scale=b)
    den("half_normal", x, mp.log(2) - l2 / 2 - mp.log(B) - (X / B) ** 2 / 2, scale=b)
for x, a, b in [(0.3, 1e-3, 1e-3), (0.5001, 1e7, 1e7), (1e-12, 0.5, 1e6), (1 - 1e-10, 40.0, 3.0), (0.2, 25.0, 90.0), (1e-200, 15.0, 12.0)]:
    A, B = M(a), M(b); den("beta", x, (A - 1) * mp.log(x) + (B - 1) * mp.log1p(-M(x)) - (lg(A) + lg(B) - lg(A + B)), a=a, b=b)
for k, n, e in [(0, 10**9, -25.0), (10**9, 10**9, 30.0), (500000, 10**6, 0.001), (37, 2000, -4.0), (1990, 2000, 700.0), (3, 10**12, -26.0), (20, 40, -600.0)]:
    E = M(e); den("binomial_logit", k, lg(n + 1) - lg(k + 1) - lg(n - k + 1) + k * E - n * mp.log1p(mp.exp(E)), n=n, logit=e)
for k, e in [(0, -50.0), (10**6, math.log(1e6)), (10**9, 20.7), (5, 300.0), (25, -800.0), (25, 5.0), (11, 2.4), (10**4, 2.0)]:
    E = M(e); den("poisson_log", k, k * E - mp.exp(E) - lg(k + 1), log_rate=e)
for k, m, ph in [(0, 1e-9, 3.0), (0, 50.0, 1e12), (250, 244.0, 1e12), (250, 244.0, 40.0), (3, 1e-5, 1e10), (10**6, 1e6, 1e5), (10**6, 10.0, 1e-3), (12, 1e9, 15.0), (40, 1e-6, 1e3)]:
    m, P = M(m), M(ph); den("negative_binomial_2", k, lg(k + P) - lg(P) - lg(k + 1) + k * (mp.log(m) - mp.log(m + P)) + P * (mp.log(P) - mp.log(m + P)), mean=float(m), dispersion=ph)
for x, a in [([0.5, 0.25, 0.25], [1e-3, 2e-3, 5.0]), ([0.2, 0.3, 0.5], [2.1e6, 3e6, 5e6]), ([1e-30, 0.25, 0.75], [15.0, 1e3, 3e3]), ([0.125] * 8, [0.5] * 8), ([0.25, 0.75], [1e4, 0.01])]:
    A = [M(v) for v in a]; den("dirichlet", x, lg(mp.fsum(A)) - mp.fsum([lg(v) for v in A]) + mp.fsum([(v - 1) * mp.log(M(t)) for v, t in zip(A, x)]), alpha=a)


# ---- divergences
def kl(name, value, **parameters):
    divergences.append(dict(divergence=name, parameters=parameters, value="inf" if value == mp.inf else float(value)))


for (m1, s1), (m2, s2) in [((0.0, 1.0), (1e-6, 1.0 + 1e-6)), ((5.0, 1e-8), (0.0, 1.0)), ((1e8, 3.0), (1e8 + 1, 2.9)), ((0.0, 1.5), (0.0, 1.0)), ((0.0, 1.0), (0.0, 0.75)), ((2.0, 1e5), (1.0, 1e-3))]:
    M1, S1, M2, S2 = map(M, (m1, s1, m2, s2)); v = 2 * S2**2 - S1**2
    kl("KL(normal||normal)", mp.log(S2 / S1) + (S1**2 + (M1 - M2) ** 2) / (2 * S2**2) - M(1) / 2, q=[m1, s1], p=[m2, s2])
    kl("Renyi alpha=2 D(normal||normal)", mp.inf if v <= 0 else mp.log(S2 / S1) + mp.log(S2**2 / v) / 2 + (M1 - M2) ** 2 / v, q=[m1, s1], p=[m2, s2])
    kl("Wasserstein-2(normal,normal)", mp.sqrt((M1 - M2) ** 2 + (S1 - S2) ** 2), q=[m1, s1], p=[m2, s2])
for (a1, b1), (a2, b2) in [((1e6, 1e3), (1.0001e6, 1.0001e3)), ((0.01, 5.0), (30.0, 1e-3)), ((7.0, 2.0), (7.0001, 2.0001)), ((1e-5, 1e-5), (2e-5, 1e-5)), ((50.0, 3e4), (55.0, 2.9e4))]:
    A1, B1, A2, B2 = map(M, (a1, b1, a2, b2)); lb = lambda a, b: lg(a) + lg(b) - lg(a + b)
    kl("KL(gamma||gamma) shape,rate", (A1 - A2) * psi(A1) - lg(A1) + lg(A2) + A2 * (mp.log(B1) - mp.log(B2)) + A1 * (B2 - B1) / B1, q=[a1, b1], p=[a2, b2])
    kl("KL(beta||beta)", lb(A2, B2) - lb(A1, B1) + (A1 - A2) * psi(A1) + (B1 - B2) * psi(B1) + (A2 - A1 + B2 - B1) * psi(A1 + B1), q=[a1, b1], p=[a2, b2])
for a, b in [([1e5, 2e5, 3e5], [1.01e5, 2e5, 3e5]), ([0.01, 0.02], [5.0, 80.0]), ([3.0] * 6, [3.001] * 6)]:
    A, B = [M(v) for v in a], [M(v) for v in b]; SA, SB = mp.fsum(A), mp.fsum(B)
    kl("KL(dirichlet||dirichlet)", lg(SA) - mp.fsum([lg(v) for v in A]) - lg(SB) + mp.fsum([lg(v) for v in B]) + mp.fsum([(x - y) * (psi(x) - psi(SA)) for x, y in zip(A, B)]), q=a, p=b)
S1, m1 = [[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 0.7]], [0.5, -1.0, 2.0]
for scale, nu1, nu2 in [(1.0009765625, 5.0, 5.01), (64.0, 1e4, 30.0), (0.25, 2.5, 2.1)]:
    S2, m2, d = [[v * scale + (0.125 if i == j == 1 else 0.0) for j, v in enumerate(r)] for i, r in enumerate(S1)], [0.25, -1.0, 2.0], 3
    A, B = mp.matrix(S1), mp.matrix(S2); Bi = B**-1; w = mp.matrix(m2) - mp.matrix(m1); ldA, ldB = mp.log(mp.det(A)), mp.log(mp.det(B)); tr = mp.fsum([(Bi * A)[i, i] for i in range(d)])
    kl("KL(mvn||mvn)", (tr - d + (w.T * Bi * w)[0] + ldB - ldA) / 2, q=dict(mean=m1, cov=S1), p=dict(mean=m2, cov=S2))
    e, Q = mp.eigsy(A); Ah = Q * mp.diag([mp.sqrt(t) for t in e]) * Q.T; e2 = mp.eigsy(Ah * B * Ah, eigvals_only=True)
    kl("Wasserstein-2(mvn,mvn)", mp.sqrt((w.T * w)[0] + mp.fsum([A[i, i] + B[i, i] for i in range(d)]) - 2 * mp.fsum([mp.sqrt(t) for t in e2])), q=dict(mean=m1, cov=S1), p=dict(mean=m2, cov=S2))
    n1, n2 = M(nu1), M(nu2); mlg = lambda a: M(d) * (d - 1) / 4 * mp.log(mp.pi) + mp.fsum([lg(a - M(j) / 2) for j in range(d)]); mdg = lambda a: mp.fsum([psi(a - M(j) / 2) for j in range(d)])
    kl("KL(wishart||wishart) df,scale", n2 / 2 * (ldB - ldA) + mlg(n2 / 2) - mlg(n1 / 2) + (n1 - n2) / 2 * mdg(n1 / 2) + n1 / 2 * (tr - d), q=dict(df=nu1, scale=S1), p=dict(df=nu2, scale=S2))
    den("multivariate_t", m2, lg((n1 + d) / 2) - lg(n1 / 2) - d * mp.log(n1 * mp.pi) / 2 - ldA / 2 - (n1 + d) / 2 * mp.log1p((w.T * A**-1 * w)[0] / n1), df=nu1, loc=m1, scale_matrix=S1)
    trA = mp.fsum([(A**-1 * B)[i, i] for i in range(d)])
    den("wishart", S2, (n1 - d - 1) / 2 * ldB - trA / 2 - n1 * d / 2 * mp.log(2) - n1 / 2 * ldA - mlg(n1 / 2), df=nu1, scale=S1)
    den("inverse_wishart", S2, n1 / 2 * ldA - n1 * d / 2 * mp.log(2) - mlg(n1 / 2) - (n1 + d + 1) / 2 * ldB - tr / 2, df=nu1, scale=S1)

out = dict(
    schema="lvm-reference/1", id="special_grid", kind="special", title="Special functions, log densities, divergences at extreme arguments",
    origin=dict(source="definitions, special_grid.py", reference="mpmath, 60 digits or more; float arguments are taken at their exact binary value"),
    functions=functions, densities=densities, divergences=divergences,
    tolerance=dict(relative=1e-12, note="relative to max(1e-300, |value|); at zeros of lgamma/digamma absolutely at 1e-13"),
)
text = json.dumps(out).replace('{"f"', '\n{"f"').replace('{"density"', '\n{"density"').replace('{"divergence"', '\n{"divergence"')
open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "special_grid.json"), "w").write(text + "\n")
print(len(functions), len(densities), len(divergences))
