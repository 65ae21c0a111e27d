"""Stochastic variational inference by NumPyro, on request.

Reads lines `FOLDER MODEL TASK` from standard input.

MODEL is ppca (FOLDER holds x.npy, mean.npy, loadings.npy, noise.npy; one latent vector a row), logistic-diagonal or logistic-full (FOLDER
holds x.npy and y.npy; standard normal prior).

TASK is steps-S: the wall and processor time of S steps of Adam with one draw, compiled beforehand.
TASK is course-RATE-S-C: S steps with the learning rate falling from RATE to a thousandth of it, C times interrupted to look at the clock;
means and standard deviations (or Cholesky factors) at each of them are written to FOLDER/locations.npy and FOLDER/scales.npy, the times
answered.
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO, autoguide
from numpyro.optim import Adam

from session import cpu, serve


def logistic(x, y):
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=x @ z), obs=y)


def ppca(x, mean, loadings, noise):
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([x.shape[0], loadings.shape[1]]).to_event(2))
    numpyro.sample("x", dist.Normal(mean + z @ loadings.T, jnp.sqrt(noise)), obs=x)


def arguments(folder, x, kind):
    load = lambda name: jnp.asarray(np.load(os.path.join(folder, name + ".npy")))
    x = jnp.asarray(x)
    if kind == "ppca":
        return ppca, autoguide.AutoNormal(ppca), (x, load("mean"), load("loadings"), load("noise"))
    guide = autoguide.AutoMultivariateNormal if kind == "logistic-full" else autoguide.AutoDiagonalNormal
    return logistic, guide(logistic), (x, load("y"))


def scale(parameters):
    return next(v for k, v in parameters.items() if "scale" in k)


def location(parameters):
    return next(v for k, v in parameters.items() if "loc" in k)


def compiled(svi, steps, data):
    """The state at the start and a compiled function that goes on by some steps."""

    @jax.jit
    def go_on(state, *data):
        return jax.lax.scan(lambda s, _: (svi.update(s, *data)[0], None), state, None, length=steps)[0]

    state = svi.init(jax.random.PRNGKey(0), *data)
    jax.block_until_ready(go_on(state, *data))
    return state, go_on


def answer(folder, x, kind, task):
    model, guide, data = arguments(folder, x, kind)
    task, *numbers = task.split("-")
    if task == "steps":
        steps = int(numbers[0])
        state, go_on = compiled(SVI(model, guide, Adam(0.01), Trace_ELBO()), steps, data)
        wall, work = time.perf_counter(), cpu()
        jax.block_until_ready(go_on(state, *data))
        return {"wall": time.perf_counter() - wall, "cpu": cpu() - work}
    rate, steps, looks = float(numbers[0]), int(numbers[1]), int(numbers[2])
    svi = SVI(model, guide, Adam(lambda i: rate * 0.001 ** (i / steps)), Trace_ELBO())
    state, go_on = compiled(svi, steps // looks, data)
    times, locations, scales, elapsed = [], [], [], 0.0
    for _ in range(looks):
        wall = time.perf_counter()
        state = jax.block_until_ready(go_on(state, *data))
        elapsed += time.perf_counter() - wall
        parameters = svi.get_params(state)
        times.append(elapsed)
        locations.append(np.asarray(location(parameters), dtype=np.float64))
        scales.append(np.asarray(scale(parameters), dtype=np.float64))
    np.save(os.path.join(folder, "locations.npy"), np.ascontiguousarray(np.stack(locations)))
    np.save(os.path.join(folder, "scales.npy"), np.ascontiguousarray(np.stack(scales)))
    return {"times": times}


if __name__ == "__main__":
    serve(answer, numpyro.__version__)
