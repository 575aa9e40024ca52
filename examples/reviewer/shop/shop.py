"""Prices of the shop, in cents."""


def total(items):
    """The sum of (cents, count) pairs."""
    return sum(cents * count for cents, count in items)
