from shop import total


def test_total():
    assert total([(250, 2), (99, 1)]) == 599
