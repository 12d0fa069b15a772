"""Small classifiers as PyTorch exports them, for the tests of the import. Writes test/golden/onnx/*.onnx.

    /usr/bin/python3 scripts/golden/onnx-models.py        (Debian's python3-torch; made with 1.13.0)
"""
import os
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
out = os.path.join(os.path.dirname(__file__), "..", "..", "test", "golden", "onnx")


class SqueezeExcite(nn.Module):
    def __init__(self, c, view):
        super().__init__()
        self.view = view
        self.a, self.b = (nn.Linear(c, 4), nn.Linear(4, c)) if view else (nn.Conv2d(c, 4, 1), nn.Conv2d(4, c, 1))

    def forward(self, x):
        if self.view:
            n, c, _, _ = x.size()
            s = F.adaptive_avg_pool2d(x, 1).view(n, c)
            return x * torch.sigmoid(self.b(F.relu(self.a(s)))).view(n, c, 1, 1)
        return x * F.hardsigmoid(self.b(F.relu(self.a(x.mean([2, 3], keepdim=True)))))


class Inverted(nn.Module):
    def __init__(self, i, o, stride, act, view):
        super().__init__()
        h = 2 * i
        self.f = nn.Sequential(nn.Conv2d(i, h, 1, bias=False), nn.BatchNorm2d(h), act, nn.Conv2d(h, h, 3, stride, 1, groups=h, bias=False),
                               nn.BatchNorm2d(h), act, SqueezeExcite(h, view), nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o))
        self.same = stride == 1 and i == o

    def forward(self, x):
        return x + self.f(x) if self.same else self.f(x)


def mobile(act, view):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), act, Inverted(8, 8, 1, act, view), Inverted(8, 12, 2, act, view),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(12, 5))


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.a, self.b = nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        left, right = self.stem(x).chunk(2, 1)
        y = torch.cat([left, self.b(F.relu(self.a(right)))], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return self.head(y.mean([2, 3]))


class Classic(nn.Module):
    """Ceiling pools, padding of its own, flatten into linear layers."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
                               nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, 2, dilation=1), nn.LeakyReLU(0.1), nn.AvgPool2d(2, 1, padding=1))
        self.g = nn.Sequential(nn.Linear(8 * 4 * 4, 10), nn.ReLU6(), nn.Dropout(), nn.Linear(10, 5))

    def forward(self, x):
        x = self.f(x)
        return F.softmax(self.g(x.view(x.size(0), -1)), 1)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.s = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.n = nn.BatchNorm2d(8)
        self.a, self.b = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 5, padding=2)
        self.scale = nn.Parameter(torch.rand(1, 16, 1, 1) + 0.5)
        self.head = nn.Linear(16, 5, bias=False)

    def forward(self, x):
        x = F.relu(self.n(self.s((x - 0.45) / 0.22)))
        y = torch.cat([self.a(x), self.b(x), F.max_pool2d(x, 3, 1, 1)], 1) * self.scale
        return self.head(torch.flatten(F.adaptive_max_pool2d(y, 1), 1))


def save(name, model, opset, size=24, training=False, **more):
    model.eval()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5), nn.init.uniform_(m.running_var, 0.5, 1.5), nn.init.uniform_(m.weight, 0.5, 1.5)
    mode = torch.onnx.TrainingMode.PRESERVE if training else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(model, torch.randn(1, 3, size, size), os.path.join(out, name + ".onnx"), opset_version=opset, training=mode,
                      do_constant_folding=not training, input_names=["image"], output_names=["scores"], **more)


dynamic = {"dynamic_axes": {"image": {0: "batch"}, "scores": {0: "batch"}}}
save("mobile-silu-se", mobile(nn.SiLU(), True), 13, **dynamic)
save("mobile-hardswish-se", mobile(nn.Hardswish(), False), 14, **dynamic)
save("mobile-hardswish-opset-11", mobile(nn.Hardswish(), True), 11)
save("mobile-relu6-unfolded", mobile(nn.ReLU6(), False), 12, training=True, **dynamic)
save("shuffle", Shuffle(), 16, **dynamic)
save("shuffle-opset-9", Shuffle(), 9, **dynamic)
save("classic", Classic(), 10, **dynamic)
save("classic-opset-17", Classic(), 17)
save("branches", Branches(), 11, **dynamic)
