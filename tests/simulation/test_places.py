"""Places of servers: given in order, and again once they are given back."""

from __future__ import annotations

import pytest

from autoscaler.simulation.places import Places


def test_places_are_given_in_order_and_the_one_that_came_back_last_first() -> None:
    places = Places(3)
    assert [places.take(), places.take(), places.take()] == [0, 1, 2]
    places.give_back(0)
    places.give_back(1)
    assert [places.take(), places.take()] == [1, 0]
    assert places.given == 3


def test_no_more_than_there_are_and_none_twice() -> None:
    places = Places(1)
    place = places.take()
    with pytest.raises(ValueError, match="add_server: server 2, max_servers is 1"):
        places.take()
    places.give_back(place)
    with pytest.raises(ValueError, match="retire_server: server 0, each once"):
        places.give_back(place)
