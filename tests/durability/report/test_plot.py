from durability.report.plot import Plot


def test_a_line_rises_in_steps_from_the_lower_left() -> None:
    plot = Plot("growth", "executions", "branches", [(0, 0), (5, 10), (10, 20)])
    assert (plot.x_max, plot.y_max) == (10, 20)
    assert plot.path(100, 40) == "M0.0 40.0 H50.0 V20.0 H100.0 V0.0"


def test_nothing_is_drawn_of_nothing() -> None:
    assert Plot("growth", "x", "y", []).path(100, 40) == ""
    assert Plot("growth", "x", "y", [(0, 0)]).path(100, 40) == "M0.0 40.0"
