"""Steps of a variational autoencoder 784-400-20 by PyTorch, on request.

Started with the training file of binarised MNIST and the number of threads (0: PyTorch's own choice). Reads lines `MODE STEPS` from standard
input, with MODE one of default (Adam as torch.optim.Adam comes), fused (Adam with fused=True). Answers each with one JSON line: wall time,
user and system time of so many steps of 128 rows, and the mean bound over them. Parameters and optimizer state go on from answer to answer.

The model is that of examples/throughput.rs of lvm-deep: rows resident in memory and gathered by an index, rectified hidden layers, one draw,
closed-form KL, Bernoulli with logits; written as PyTorch's own example writes it (binary_cross_entropy_with_logits, reduction sum).
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


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.features = nn.Linear(400, 40)
        self.decoder = nn.Linear(20, 400)
        self.output = nn.Linear(400, 784)

    def forward(self, x):
        m, v = self.features(torch.relu(self.hidden(x))).chunk(2, 1)
        z = m + torch.exp(0.5 * v) * torch.randn_like(m)
        return self.output(torch.relu(self.decoder(z))), m, v


def cpu():
    t = os.times()
    return t.user + t.system


def main(path, threads):
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(1)
    raw = gzip.open(path).read()
    x = torch.from_numpy(np.frombuffer(raw[16:], np.uint8).reshape(-1, 784).astype(np.float32))
    runs = {}
    for mode in ("default", "fused"):
        model = Vae()
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
    main(sys.argv[1], int(sys.argv[2]))
