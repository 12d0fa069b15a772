"""Trains a small MobileNetV2 with squeeze-and-excitation in PyTorch and exports it: a network of another program, to be pruned.

    /usr/bin/python3 scripts/evidence/pytorch-mobilenet-se.py IMAGES EPOCHS model.onnx

IMAGES has train/CLASS/*.jpg and test/CLASS/*.jpg, 32x32. Debian's python3-torch, python3-numpy and python3-pil.
"""
import glob
import os
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

images, epochs, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(2)
torch.manual_seed(0)
np.random.seed(0)
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]


def load(split):
    xs, ys = [], []
    for label, name in enumerate(sorted(os.listdir(f"{images}/{split}"))):
        for file in sorted(glob.glob(f"{images}/{split}/{name}/*")):
            xs.append(np.asarray(Image.open(file).convert("RGB")))
            ys.append(label)
    return torch.from_numpy(np.stack(xs)).permute(0, 3, 1, 2).contiguous(), torch.tensor(ys)


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.down, self.up = nn.Linear(c, max(8, c // 4)), nn.Linear(max(8, c // 4), c)

    def forward(self, x):
        n, c = x.size(0), x.size(1)
        s = F.adaptive_avg_pool2d(x, 1).view(n, c)
        return x * torch.sigmoid(self.up(F.relu(self.down(s)))).view(n, c, 1, 1)


class Block(nn.Module):
    def __init__(self, i, o, stride, expand):
        super().__init__()
        h = i * expand
        self.f = nn.Sequential(
            nn.Conv2d(i, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU6(),
            nn.Conv2d(h, h, 3, stride, 1, groups=h, bias=False), nn.BatchNorm2d(h), nn.ReLU6(), SqueezeExcite(h),
            nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o))
        self.residual = stride == 1 and i == o

    def forward(self, x):
        return x + self.f(x) if self.residual else self.f(x)


layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
width = 16
for o, count, stride in ((16, 2, 1), (24, 2, 2), (48, 3, 2)):
    for k in range(count):
        layers.append(Block(width, o, stride if k == 0 else 1, 4))
        width = o
layers += [nn.Conv2d(width, 192, 1, bias=False), nn.BatchNorm2d(192), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 10)]
model = nn.Sequential(*layers).to(memory_format=torch.channels_last)

(xt, yt), (xv, yv) = load("train"), load("test")
mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
normal = lambda x: ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
batch = 128
steps = len(xt) // batch
optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, nesterov=True, weight_decay=5e-4)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=epochs * steps, pct_start=0.25)
for epoch in range(epochs):
    start = time.time()
    model.train()
    order = torch.randperm(len(xt))
    for i in range(steps):
        index = order[i * batch:(i + 1) * batch]
        x = F.pad(xt[index], (4, 4, 4, 4))
        dy, dx = np.random.randint(0, 9, 2)
        x = x[:, :, dy:dy + 32, dx:dx + 32]
        flip = torch.rand(batch) < 0.5
        loss = F.cross_entropy(model(normal(torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x))), yt[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(normal(xv[i:i + 500])).argmax(1) == yv[i:i + 500]).sum().item() for i in range(0, len(xv), 500))
    print(f"epoch {epoch + 1}: test {100 * right / len(xv):.2f}%, {time.time() - start:.0f} s", flush=True)
model = model.to(memory_format=torch.contiguous_format)
torch.onnx.export(model, torch.randn(1, 3, 32, 32), path, opset_version=13, input_names=["image"], output_names=["scores"],
                  dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
