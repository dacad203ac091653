"""Block diagrams: what is in them, that nothing overlaps, and the file."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

import pycnn
from pycnn import nn

SVG = "{http://www.w3.org/2000/svg}"
NETS = {
    "lenet5": (1, 1, 32, 32),
    "resnet18": (1, 3, 64, 64),
    "googlenet": (1, 3, 64, 64),
    "densenet40_k12": (1, 3, 32, 32),
    "encoder_decoder": (1, 3, 17, 16),
}


def parsed(text):
    return ElementTree.fromstring(text.encode())


def texts(text):
    return [element.text for element in parsed(text).iter(f"{SVG}text")]


def rectangles(group):
    """The front rectangle of a group: x, y, width, height."""
    rect = group.findall(f"{SVG}rect")[-1]
    return tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))


def check_layout(group):
    """Every box lies in its parent, below the one before it; every line of text in its box."""
    x, y, width, height = rectangles(group)
    for text in group.findall(f"{SVG}text"):
        assert x < float(text.get("x"))
        assert float(text.get("x")) + 7.2 * len(text.text) <= x + width
        assert y < float(text.get("y")) < y + height
    lowest = max(float(text.get("y")) for text in group.findall(f"{SVG}text"))
    for inner in group.findall(f"{SVG}g"):
        a, b, w, h = rectangles(inner)
        shadow = min(float(r.get("y")) for r in inner.findall(f"{SVG}rect"))
        assert shadow > lowest
        assert x < a and a + w < x + width and b + h < y + height
        lowest = max(float(r.get("y")) + h for r in inner.findall(f"{SVG}rect"))
        assert lowest < y + height
        check_layout(inner)


@pytest.mark.parametrize("shapes", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_networks_are_drawn(name, shapes):
    arguments = {} if name == "lenet5" else {"width": 0.125}
    net = pycnn.models.get_model(name, num_classes=5, **arguments)
    text = pycnn.draw(net, NETS[name] if shapes else None)
    root = parsed(text)
    assert root.tag == f"{SVG}svg"
    (top,) = root.findall(f"{SVG}g")
    check_layout(top)
    x, y, width, height = rectangles(top)
    assert x + width < float(root.get("width")) and y + height < float(root.get("height"))
    lines = texts(text)
    count = sum(p.numel() for p in net.parameters())
    assert lines[0].startswith(type(net).__name__) and f"{count:,} parameters" in lines[0]
    assert any(line.startswith("-> ") for line in lines) == shapes
    if shapes:
        assert lines[1] == "input " + " x ".join(map(str, NETS[name]))
        assert any(" x 5" in line for line in lines if line.startswith("-> "))
    assert net.training


def test_every_module_is_drawn_with_its_shape():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    net.append(nn.Sequential(nn.Linear(8 * 9, 4)))
    lines = texts(pycnn.draw(net, (2, 3, 8, 8)))
    assert lines == [
        "Sequential   516 parameters",
        "input 2 x 3 x 8 x 8",
        "-> 2 x 4",
        "0: Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))",
        "-> 2 x 8 x 6 x 6",
        "1: ReLU",
        "-> 2 x 8 x 6 x 6",
        "2: MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"[:69]
        + "...",
        "-> 2 x 8 x 3 x 3",
        "3: Flatten(start_dim=1, end_dim=-1)",
        "-> 2 x 72",
        "4: Sequential",
        "-> 2 x 4",
        "0: Linear(in_features=72, out_features=4, bias=True)",
        "-> 2 x 4",
    ]
    titles = [t.text for t in parsed(pycnn.draw(net)).iter(f"{SVG}title")]
    assert titles[3].endswith("ceil_mode=False)") and titles[-1].startswith("4.0: Linear")


def test_identical_neighbours_are_folded_and_others_are_not():
    def block(channels):
        return nn.Sequential(nn.Conv2d(4, channels, 1), nn.ReLU())

    net = nn.Sequential(*(block(4) for _ in range(5)), block(2), nn.Conv2d(2, 4, 1), block(4))
    lines = texts(pycnn.draw(net))
    assert [line for line in lines if "Sequential" in line][1:] == [
        "5 x   0 ... 4: Sequential",
        "5: Sequential",
        "7: Sequential",
    ]
    assert len(texts(pycnn.draw(nn.Sequential(nn.ReLU(), nn.ReLU())))) == 2
    assert len(texts(pycnn.draw(nn.Sequential(nn.ReLU(), nn.Tanh())))) == 3


def test_folded_boxes_have_room_for_their_shadows():
    runs = [nn.Sequential(nn.ReLU(), nn.ReLU()), nn.Tanh(), nn.Tanh(), nn.GELU(), nn.GELU()]
    (top,) = parsed(pycnn.draw(nn.Sequential(*runs))).findall(f"{SVG}g")
    check_layout(top)


def test_blocks_of_other_shapes_are_told_apart():
    class Halve(nn.Module):
        def forward(self, x):
            return x[..., ::2]

    net = nn.Sequential(Halve(), Halve(), Halve())
    assert len(texts(pycnn.draw(net))) == 2
    lines = texts(pycnn.draw(net, (1, 8)))
    assert [line for line in lines if line.startswith("->")] == [
        "-> 1 x 1",
        "-> 1 x 4",
        "-> 1 x 2",
        "-> 1 x 1",
    ]


def test_resnet34_is_short():
    net = pycnn.models.resnet34(width=0.125)
    lines = texts(pycnn.draw(net))
    assert "2 x   1 ... 2: BasicBlock" in lines and "5 x   1 ... 5: BasicBlock" in lines
    assert len(lines) < 60


def test_a_module_called_twice_says_both():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.idle = nn.ReLU()

        def forward(self, x):
            return self.pool(self.pool(x)), x

    lines = texts(pycnn.draw(Twice(), (1, 1, 8, 8)))
    assert "-> 1 x 1 x 4 x 4 ... 1 x 1 x 2 x 2" in lines
    assert "-> 1 x 1 x 2 x 2, 1 x 1 x 8 x 8" in lines
    assert lines[-1] == "idle: ReLU"


def test_several_inputs():
    net = pycnn.models.get_model("fast_rcnn_caffenet", width=0.0625, num_classes=3)
    lines = texts(pycnn.draw(net, [(1, 3, 64, 64), (2, 5)]))
    assert lines[1] == "input 1 x 3 x 64 x 64, 2 x 5"
    assert "-> 2 x 3, 2 x 12" in lines


def test_arrows_join_what_runs_in_order():
    chain = parsed(pycnn.draw(nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU())))
    assert len(list(chain.iter(f"{SVG}line"))) == 2
    free = parsed(pycnn.draw(nn.ModuleList([nn.ReLU(), nn.Tanh()])))
    assert not list(free.iter(f"{SVG}line"))


def test_names_that_xml_cannot_hold():
    class Odd(nn.Module):
        def extra_repr(self):
            return 'a < b & "c" \x00\x1b \ud800 ü'

    net = nn.Sequential()
    net.add_module("<&>", Odd())
    text = pycnn.draw(net)
    assert texts(text)[1] == '<&>: Odd(a < b & "c" ?? ? ü)'
    text.encode()


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    pycnn.draw(net, (2, 3, 6, 6))
    assert all(m.training and not m._forward_hooks for m in net.modules())
    assert all((before[key] == value.numpy()).all() for key, value in net.state_dict().items())
    with pytest.raises(RuntimeError):
        pycnn.draw(net, (2, 5, 6, 6))
    assert all(m.training and not m._forward_hooks for m in net.modules())


def test_the_file_is_complete_or_not_there(tmp_path, monkeypatch):
    net, path = nn.Sequential(nn.ReLU()), tmp_path / "net.svg"
    text = pycnn.draw(net, path=path)
    assert path.read_text(encoding="utf-8") == text
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns=')
    assert [p.name for p in tmp_path.iterdir()] == ["net.svg"]

    def fail(*arguments):
        raise OSError("full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="full"):
        pycnn.draw(nn.Tanh(), path=path)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["net.svg"]


def test_only_modules_are_drawn():
    with pytest.raises(TypeError, match="net must be a Module, not str"):
        pycnn.draw("resnet18")
