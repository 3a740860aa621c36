from dataclasses import replace

from durability.simulation.network import Network, bridge, halves, one_way
from durability.simulation.options import Options, draw_options

IDEAL = Options()


def arrivals(network: Network, last_tick: int) -> list[tuple[int, int, bool]]:
    """Return (tick, ordinal, again) of what arrives."""
    found = []
    for tick in range(1, last_tick + 1):
        while (arrival := network.take_due(tick)) is not None:
            found.append((tick, arrival.way[2], arrival.again))
    return found


def test_an_ideal_network_delivers_everything_in_order() -> None:
    network = Network(IDEAL, 1)
    assert all(network.admit(0, (1, 2, ordinal)) for ordinal in range(10))
    assert arrivals(network, 1) == [(1, ordinal, False) for ordinal in range(10)]


def test_it_drops() -> None:
    network = Network(replace(IDEAL, drop=0.5), 1)
    admitted = [ordinal for ordinal in range(100) if network.admit(0, (1, 2, ordinal))]
    assert 25 < len(admitted) < 75
    assert [ordinal for _, ordinal, _ in arrivals(network, 1)] == admitted


def test_it_duplicates_and_says_of_which_copy_there_is_another() -> None:
    network = Network(replace(IDEAL, duplicate=1.0, delay_ticks_max=5), 1)
    for ordinal in range(50):
        assert network.admit(0, (1, 2, ordinal))
    found = arrivals(network, 5)
    for ordinal in range(50):
        assert [again for _, each, again in found if each == ordinal] == [True, False]


def test_it_delays_and_reorders() -> None:
    network = Network(replace(IDEAL, delay_ticks_max=3, slow=0.2, slow_delay_ticks_max=30), 1)
    for ordinal in range(50):
        network.admit(0, (1, 2, ordinal))
    found = arrivals(network, 30)
    order = [ordinal for _, ordinal, _ in found]
    assert sorted(order) == list(range(50)) != order
    assert any(tick > 3 for tick, _, _ in found)


def test_a_cut_link_is_cut_in_its_direction_until_it_is_mended() -> None:
    network = Network(replace(IDEAL, drop=1.0), 1)
    network.cut({(1, 2)})
    assert network.is_cut((1, 2, 7))
    assert not network.is_cut((2, 1, 7))
    network.calm()
    assert not network.is_cut((1, 2, 7))
    assert network.admit(0, (1, 2, 8))
    assert arrivals(network, 1) == [(1, 8, False)]


def test_partitions() -> None:
    nodes = (1, 2, 3, 4, 5)
    assert halves((1, 2), (1, 2, 3)) == {(1, 3), (3, 1), (2, 3), (3, 2)}
    assert one_way(2, (1, 2, 3)) == {(2, 1), (2, 3)}
    cut = bridge(3, nodes)
    assert not [link for link in cut if 3 in link]
    assert {link for link in cut if link[0] < link[1]} == {(1, 4), (1, 5), (2, 4), (2, 5)}


def test_options_are_drawn_from_the_seed_and_can_be_printed() -> None:
    drawn = [draw_options(seed, "swarm") for seed in range(20)]
    assert drawn == [draw_options(seed, "swarm") for seed in range(20)]
    assert len({str(options) for options in drawn}) == 20
    assert "drop=" in str(drawn[0])
    # Every fault is there in some runs and absent from others.
    for name in ("drop", "duplicate", "crash_rate", "partition_rate", "membership_rate", "pause"):
        values = [getattr(options, name) for options in drawn]
        assert min(values) == 0.0 < max(values), name
    assert draw_options(1, "none").crash_rate == draw_options(1, "none").drop == 0.0
