"""The networks of the training benchmark in PyTorch, stepped on demand: reads a count, prints the milliseconds of each step."""
import json
import sys
import time

import torch
import torch.nn as nn

network, batch, layout, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
torch.set_num_threads(threads)


def conv_bn(i, o, k, stride=1, groups=1, act=None):
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act] if act else []))


class Inverted(nn.Module):
    def __init__(self, i, o, expand, k, stride):
        super().__init__()
        h = i * expand
        relu6 = nn.ReLU6(inplace=True)
        self.body = nn.Sequential(conv_bn(i, h, 1, act=relu6), conv_bn(h, h, k, stride, h, relu6), conv_bn(h, o, 1))
        self.residual = stride == 1 and i == o

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


class Basic(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.a = conv_bn(i, o, 3, stride, act=nn.ReLU(inplace=True))
        self.b = conv_bn(o, o, 3)
        self.shortcut = conv_bn(i, o, 1, stride) if stride != 1 or i != o else nn.Identity()

    def forward(self, x):
        return torch.relu(self.b(self.a(x)) + self.shortcut(x))


def head(width):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]


def mbconv_bench():
    blocks = [(32, 16, 1, 3, 1), (16, 24, 6, 3, 1), (24, 24, 6, 3, 1), (24, 40, 6, 3, 2), (40, 40, 6, 5, 1), (40, 80, 6, 3, 2),
              (80, 80, 6, 5, 1), (80, 96, 6, 3, 1), (96, 192, 6, 5, 2), (192, 320, 6, 3, 1)]
    relu6 = nn.ReLU6(inplace=True)
    return nn.Sequential(conv_bn(3, 32, 3, act=relu6), *[Inverted(*b) for b in blocks], conv_bn(320, 1280, 1, act=relu6), *head(1280))


def resnet20():
    layers, i = [conv_bn(3, 16, 3, act=nn.ReLU(inplace=True))], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for n in range(3):
            layers.append(Basic(i, width, stride if n == 0 else 1))
            i = width
    return nn.Sequential(*layers, *head(64))


model = {"mbconv-bench": mbconv_bench, "resnet-20-b": resnet20}[network]()
x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
if layout == "channels_last":
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=1e-4)
loss = nn.CrossEntropyLoss()


def step():
    optimizer.zero_grad(set_to_none=True)
    loss(model(x), y).backward()
    optimizer.step()


for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps(times), flush=True)
