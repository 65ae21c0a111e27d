"""Training steps of a variational autoencoder by PyTorch, on request.

Started with the training file of binarised MNIST, the number of threads (0: PyTorch's own choice) and a model (mlp, conv, gru). Reads lines
`MODE STEPS` from standard input, with MODE one of default (Adam as torch.optim.Adam comes), fused (Adam with fused=True). Answers each with
one JSON line: wall time, user and system time of so many steps of 128 rows, and the mean bound over them. Parameters and optimizer state go
on from answer to answer.

The models are those of examples/throughput.rs of lvm-deep: rows resident in memory and gathered by an index, one draw, closed-form KL,
Bernoulli with logits; written as PyTorch's own example writes it (binary_cross_entropy_with_logits, reduction sum).
"""

import gzip
import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

LATENTS = 20


class Vae(nn.Module):
    """What all three share; `features` of x, and `outputs` of z and, for a decoder that sees the steps before, x."""

    def forward(self, x):
        m, v = self.features(x).chunk(2, 1)
        z = m + torch.exp(0.5 * v) * torch.randn_like(m)
        return self.outputs(z, x), m, v


class Mlp(Vae):
    """784-400-20."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * LATENTS))
        self.decoder = nn.Sequential(nn.Linear(LATENTS, 400), nn.ReLU(), nn.Linear(400, 784))

    def features(self, x):
        return self.encoder(x)

    def outputs(self, z, x):
        return self.decoder(z)


class Conv(Vae):
    """Kernels of 4 by 4 that halve: 1-32-64 channels, then 256, and back; a bias for every pixel."""

    def __init__(self):
        super().__init__()
        halve = dict(kernel_size=4, stride=2, padding=1)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, **halve), nn.ReLU(), nn.Conv2d(32, 64, **halve), nn.ReLU(), nn.Flatten(),
            nn.Linear(3136, 256), nn.ReLU(), nn.Linear(256, 2 * LATENTS),
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENTS, 256), nn.ReLU(), nn.Linear(256, 3136), nn.Unflatten(1, (64, 7, 7)), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, **halve), nn.ReLU(), nn.ConvTranspose2d(32, 1, bias=False, **halve), nn.Flatten(),
        )
        self.bias = nn.Parameter(torch.zeros(784))

    def features(self, x):
        return self.encoder(x.view(-1, 1, 28, 28))

    def outputs(self, z, x):
        return self.decoder(z) + self.bias


class Gru(Vae):
    """28 steps of 28 pixels: both ways through them, and a decoder that sees z and the line before."""

    def __init__(self, hidden=128):
        super().__init__()
        self.encoder = nn.GRU(28, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 2 * LATENTS)
        self.first = nn.Parameter(torch.zeros(28))
        self.initial = nn.Linear(LATENTS, hidden)
        self.decoder = nn.GRU(28 + LATENTS, hidden, batch_first=True)
        self.output = nn.Linear(hidden, 28)

    def features(self, x):
        _, last = self.encoder(x.view(-1, 28, 28))
        return self.head(torch.cat([last[0], last[1]], 1))

    def outputs(self, z, x):
        lines = x.view(-1, 28, 28)
        first = self.first.expand(len(x), 1, 28)
        seen = torch.cat([torch.cat([first, lines[:, :-1]], 1), z.unsqueeze(1).expand(-1, 28, -1)], 2)
        h, _ = self.decoder(seen, torch.tanh(self.initial(z)).unsqueeze(0))
        return self.output(h).flatten(1)


def cpu():
    t = os.times()
    return t.user + t.system


def main(path, threads, kind):
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(1)
    raw = gzip.open(path).read()
    x = torch.from_numpy(np.frombuffer(raw[16:], np.uint8).reshape(-1, 784).astype(np.float32))
    runs = {}
    for mode in ("default", "fused"):
        model = {"mlp": Mlp, "conv": Conv, "gru": Gru}[kind]()
        runs[mode] = model, torch.optim.Adam(model.parameters(), lr=1e-3, fused=mode == "fused" or None)
    print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        mode, steps = line.split()
        model, optimizer = runs[mode]
        steps, total = int(steps), 0.0
        wall, user = time.perf_counter(), cpu()
        order = torch.randperm(128 * steps)
        for step in range(steps):
            batch = x[order[128 * step : 128 * (step + 1)]]
            optimizer.zero_grad()
            logits, m, v = model(batch)
            nats = functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            kl = 0.5 * torch.sum(v.exp() + m.square() - 1 - v)
            loss = (nats + kl) / 128
            loss.backward()
            optimizer.step()
            # what any training loop reports
            total += loss.item()
        answer = {"wall": time.perf_counter() - wall, "cpu": cpu() - user, "bound": -total / steps}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "mlp")
