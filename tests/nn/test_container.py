"""Sequential, ModuleList, ModuleDict, ParameterList: list and dict behaviour, as torch's."""

from collections import OrderedDict

import pytest
import torch

import pycnn
from pycnn import nn

FAMILIES = [pytest.param(nn, id="pycnn"), pytest.param(torch.nn, id="torch")]


def layers(family, n=4):
    return [family.Linear(1, i + 1) for i in range(n)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_list_behaviour(family, kind):
    a, b, c, d = items = layers(family)
    make = getattr(family, kind)
    box = make(*items) if kind == "Sequential" else make(items)
    assert len(box) == 4
    assert list(box) == items
    assert box[1] is b
    assert box[-1] is d
    assert type(box[1:3]) is make
    assert list(box[1:3]) == [b, c]
    assert list(box[::-2]) == [d, b]
    box[0] = d
    assert box[0] is d
    del box[0]
    assert list(box) == [b, c, d]
    assert [n for n, _ in box.named_children()] == ["0", "1", "2"]
    box.insert(1, a)
    assert list(box) == [b, a, c, d]
    assert [n for n, _ in box.named_children()] == ["0", "1", "2", "3"]
    assert box.append(a) is box
    assert box[4] is a
    assert box.pop(4) is a
    assert box.pop(-3) is a
    assert list(box) == [b, c, d]
    del box[:2]
    assert list(box) == [d]
    assert box.extend([a, b]) is box
    assert list(box) == [d, a, b]
    with pytest.raises(IndexError, match="index 3 is out of range"):
        box[3]
    with pytest.raises(IndexError, match="index -4 is out of range"):
        box[-4]
    with pytest.raises(TypeError):
        box["a"]
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        box.append(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_sequential_arithmetic(family):
    a, b, c, _ = layers(family)
    left, right = family.Sequential(a), family.Sequential(b, c)
    assert list(left + right) == [a, b, c]
    left += right
    assert list(left) == [a, b, c]
    assert list(right * 2) == list(2 * right) == [b, c, b, c]
    right *= 2
    assert [n for n, _ in right.named_children()] == ["0", "1"]
    assert list(right) == [b, c, b, c]
    with pytest.raises(ValueError, match="add operator supports only objects of Sequential"):
        left + 3
    with pytest.raises(ValueError, match="Non-positive multiplication factor 0"):
        left * 0
    with pytest.raises(TypeError, match="unsupported operand"):
        left * 1.5


@pytest.mark.parametrize("family", FAMILIES)
def test_sequential_of_names(family):
    a, b, c, _ = layers(family)
    box = family.Sequential(OrderedDict(stem=a, head=b))
    assert box.stem is a
    assert box[1] is b
    assert [n for n, _ in box.named_parameters()][0] == "stem.weight"
    assert [n for n, _ in box[1:].named_children()] == ["head"]
    box[0] = c
    assert box.stem is c
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        family.Sequential(3)


def test_sequential_runs_in_order():
    net = nn.Sequential(nn.Flatten(), nn.ReLU())
    assert net(pycnn.tensor([[[-1.0, 2.0]]])).tolist() == [[0.0, 2.0]]
    assert nn.Sequential()(3) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_module_list_extras(family):
    a, b, c, _ = layers(family)
    box = family.ModuleList([a])
    assert list(box + [b, c]) == [a, b, c]
    box += [b]
    assert list(box) == [a, b]
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        box(1)
    with pytest.raises(TypeError, match="ModuleList.extend should be called with an iterable"):
        box.extend(3)


def test_insert_refused():
    box = nn.ModuleList(layers(nn, 2))
    with pytest.raises(IndexError, match="Index out of range: 3"):
        box.insert(3, nn.ReLU())
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        box.insert(0, 3)
    assert len(box) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_module_dict(family):
    a, b, c, _ = layers(family)
    box = family.ModuleDict({"x": a})
    box["y"] = b
    box.update([["z", c]])
    box.update({"x": b})
    box.update(family.ModuleDict({"w": a}))
    assert list(box) == list(box.keys()) == ["x", "y", "z", "w"]
    assert list(box.values()) == [b, b, c, a]
    assert [n for n, _ in box.items()] == ["x", "y", "z", "w"]
    assert "y" in box
    assert "q" not in box
    assert len(box) == 4
    assert box.y is b
    assert box.pop("y") is b
    del box["z"]
    assert list(box) == ["x", "w"]
    box.clear()
    assert len(box) == 0
    with pytest.raises(KeyError):
        box["x"]
    with pytest.raises(KeyError):
        box.pop("x")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "content, error, message",
    [
        (3, TypeError, "ModuleDict.update should be called with an iterable"),
        ([3], TypeError, "element #0 should be Iterable"),
        ([("a", 1, 2)], ValueError, "element #0 has length 3; 2 is required"),
        ({"a": 3}, TypeError, "int is not a Module subclass"),
        ({"train": None}, KeyError, "attribute 'train' already exists"),
    ],
)
def test_module_dict_refused(family, content, error, message):
    with pytest.raises(error, match=message):
        family.ModuleDict(content)


def test_parameter_list():
    p = nn.Parameter(pycnn.ones(2, 3))
    box = nn.ParameterList([p, pycnn.zeros(4)])
    assert len(box) == 2
    assert box[0] is p
    assert isinstance(box[-1], nn.Parameter)
    assert [n for n, _ in box.named_parameters()] == ["0", "1"]
    assert list(box[:1]) == [p]
    box += [pycnn.ones(1)]
    box.append(pycnn.ones(5))
    box[1] = p
    assert box[1] is p
    assert [q.shape for q in box] == [(2, 3), (2, 3), (1,), (5,)]
    with pytest.raises(IndexError, match="index 4 is out of range"):
        box[4]
    with pytest.raises(TypeError, match="ParameterList.extend should be called with an iterable"):
        box.extend(3)
    assert "(0): Parameter containing: [float32 of size 2x3]" in repr(box)


@pytest.mark.parametrize("family", FAMILIES)
def test_repr_folds_equal_neighbours(family):
    box = family.ModuleList(
        [family.ReLU(), family.ReLU(), family.Linear(1, 2), family.Sequential(family.ReLU())]
        + [family.Sequential(family.ReLU())]
    )
    assert repr(box) == (
        "ModuleList(\n"
        "  (0-1): 2 x ReLU()\n"
        "  (2): Linear(in_features=1, out_features=2, bias=True)\n"
        "  (3-4): 2 x Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )
