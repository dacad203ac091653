"""The physical floor: what it rests on, and that it refuses what cannot be."""

import pytest

from pycnn.benchmarks import clock, convolutions, roof, rows
from pycnn.benchmarks.roof import Roof
from pycnn.study import layers

from . import made_up

KB, MB = 1 << 10, 1 << 20


def a_roof(again=None):
    sizes = [(64 * KB, 50e9), (1 * MB, 200e9), (64 * MB, 20e9)]
    return Roof(sizes, {"float32": 100e9}, again)


def test_a_smaller_working_set_is_never_slower_than_a_larger_one():
    r = a_roof()
    assert r.bytes_per_second(64 * KB) == 200e9  # 50 was what a call costs
    assert r.bytes_per_second(1) == 200e9
    assert r.bytes_per_second(63 * MB) == 200e9
    assert r.bytes_per_second(64 * MB) == r.bytes_per_second(1 << 40) == 20e9


@pytest.mark.parametrize(
    "moved, flops, floor, what",
    [(64 * MB, 0, 64 * MB / 20e9, "67,108,864 bytes at 20.0 GB/s"),
     (1000, 1e9, 0.01, "1,000,000,000 operations at 100.0 GFLOP/s of float32")],
)  # fmt: skip
def test_a_time_below_the_floor_is_refused_by_name(moved, flops, floor, what):
    a_roof().refuse(floor / 1.2, moved, flops, "float32", "the row")
    with pytest.raises(roof.TooFast, match="^the row: .* is below the physical floor") as error:
        a_roof().refuse(floor / 1.3, moved, flops, "float32", "the row")
    assert what in str(error.value)


def test_a_figure_of_the_roof_is_measured_again_before_a_time_is_refused():
    asked, better = [], Roof([(1 * MB, 400e9)], {"float32": 1000e9})

    def again(part, effort):
        asked.append((part, effort))
        return better if effort == 4 else Roof([], {})

    r = a_roof(again)
    r.refuse(0.01, 0, 1e9, "float32", "row")
    assert not asked
    r.refuse(0.001, 0, 1e9, "float32", "row")
    assert asked == [("float32", 1), ("float32", 2), ("float32", 4)]
    assert r.rates["float32"] == 1000e9
    assert r.bytes_per_second(1 * MB) == 400e9 and r.bytes_per_second(64 * MB) == 20e9
    asked.clear()
    with pytest.raises(roof.TooFast):
        r.refuse(1e-6, 2 * MB, 0, "float32", "row")
    assert asked == [(1 * MB, 2.0**i) for i in range(5)]


def test_a_record_holds_all_of_a_roof():
    record = a_roof().record()
    assert record["gbytes_per_second"] == 20 and record["gflops"] == {"float32": 100}
    assert Roof.recorded(record).bandwidth == a_roof().bandwidth


def test_a_kernel_that_claims_a_tenth_of_its_time_is_no_row():
    """The roof lets the honest kernel have half of it."""
    now = made_up.FakeTime()

    def rows_of(seconds):
        def bind(a, b):
            def call():
                now.spend(seconds)
                return made_up.honest(a, b)()

            return call

        problem = made_up.problem(ours=lambda: bind)
        limit = Roof([(KB, 1e15)], {"float32": made_up.SIZE / 0.5e-3})
        setting = rows.Setting(limit, clock.HostClock(0, now), 1, 0.0, against="none")
        return rows.measure(problem, [rows.Asked("native")], setting)

    (row,) = rows_of(1e-3)
    assert row["percent_of_roof"] == pytest.approx(50) and row["bound"] == "compute"
    with pytest.raises(roof.TooFast, match="made up a . b forward N=1 float32, 1 threads, pycnn"):
        rows_of(1e-4)


def test_an_opponent_that_is_too_fast_is_refused_too():
    now = made_up.FakeTime()

    def ours(a, b):
        def call():
            now.spend(1e-3)
            return made_up.honest(a, b)()

        return call

    problem = made_up.problem(ours=lambda: ours)  # PyTorch's call spends nothing
    limit = Roof([(KB, 1e15)], {"float32": made_up.SIZE / 0.5e-3})
    setting = rows.Setting(limit, clock.HostClock(0, now), 1, 0.0)
    with pytest.raises(roof.TooFast, match="PyTorch, contiguous"):
        rows.measure(problem, [rows.Asked("native")], setting)


def geometry(name, n=1):
    return convolutions.shape_of(layers.CONVOLUTIONS[name]).geometry(n)


def test_the_operations_no_algorithm_can_do_without():
    pointwise = geometry("rn50.l1.r")
    assert convolutions.least_flops(pointwise, "direct") == pointwise.flops("conv2d_fprop")
    assert convolutions.least_flops(pointwise, None) == pointwise.flops("conv2d_fprop")
    square = geometry("rn50.l4.3x3")  # 7 x 7 pixels, three taps of which meet 19 of 21 rows
    inside = square.flops("conv2d_fprop") * (19 / 21) ** 2
    assert convolutions.least_flops(square, "direct") == pytest.approx(inside)
    assert convolutions.least_flops(square, "winograd") == pytest.approx(inside / 4)
    assert convolutions.least_flops(square, None) == pytest.approx(inside * 16 / 81)


def test_a_strided_pointwise_filter_reads_a_quarter_of_the_image():
    key = convolutions.Key("convolution", "rn50.l4.ds", "fprop", 1)
    problem = convolutions.convolution(key, convolutions.shape_of(layers.CONVOLUTIONS[key.name]))
    image = 1024 * 14 * 14 * 4
    assert problem.bytes - problem.least_bytes == image * 3 // 4


@pytest.mark.parametrize("threads", [1, 2])
def test_the_roof_of_this_machine(threads):
    found = roof.measure(threads, ["float32"], 0.0005)
    sizes = [size for size, _ in found.bandwidth]
    assert sizes[0] == 64 * KB and sizes[-1] == 256 * MB
    rates = [rate for _, rate in found.bandwidth]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 1e8
    assert found.rates["float32"] > 1e8
    assert found.again(64 * KB, 0.01).bandwidth[0][1] > 1e8
    assert found.again("float32", 0.01).rates["float32"] > 1e8
