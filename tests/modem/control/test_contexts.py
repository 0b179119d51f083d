import pytest

from bamdmux.modem.control.contexts import Context, Contexts


def test_there_is_one_from_the_start_and_it_leads_to_the_internet() -> None:
    assert Contexts().all() == [Context(index=1, name="default", apn="internet", versions=(4, 6))]


def test_a_context_that_is_defined_is_found_and_listed_by_its_index() -> None:
    contexts = Contexts()
    third = contexts.define(3, apn="company")
    second = contexts.define(2, apn="ims")
    assert contexts.find(3) == third == Context(index=3, apn="company")
    assert contexts.all()[1:] == [second, third]


def test_a_new_context_asks_for_both_versions_of_ip_and_says_nothing_else() -> None:
    assert Contexts().define(2) == Context(
        index=2, name="", apn="", versions=(4, 6), username="", password="", authentication=0
    )


def test_what_is_not_mentioned_stays() -> None:
    contexts = Contexts()
    contexts.define(1, username="user", authentication=2)
    contexts.define(1, apn="company")
    assert contexts.find(1) == Context(
        index=1, name="default", apn="company", username="user", authentication=2
    )


@pytest.mark.parametrize("index", [0, -1, 17])
def test_an_index_out_of_bounds_is_refused(index: int) -> None:
    contexts = Contexts()
    assert contexts.define(index, apn="company") is None
    assert len(contexts.all()) == 1


def test_all_of_them_may_be_in_use() -> None:
    contexts = Contexts()
    for index in range(1, 17):
        assert contexts.define(index) is not None
    assert [context.index for context in contexts.all()] == list(range(1, 17))


def test_a_context_can_be_taken_away_once() -> None:
    contexts = Contexts()
    assert contexts.delete(1)
    assert not contexts.delete(1)
    assert contexts.find(1) is None


def test_the_first_that_there_is_is_the_default() -> None:
    contexts = Contexts()
    assert contexts.default == contexts.find(1)
    contexts.define(4)
    contexts.define(3)
    contexts.delete(1)
    assert contexts.default == contexts.find(3)


def test_without_any_there_is_no_default() -> None:
    contexts = Contexts()
    contexts.delete(1)
    assert contexts.default is None
