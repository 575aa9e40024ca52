#!/usr/bin/env python3
"""Writes sales.csv: a year of made-up orders of a bakery supplier, the same bytes on every machine.

    python3 examples/make-sales.py > examples/sales.csv

Only `Random.random` is used, which Python guarantees to give the same numbers for the same seed in every version;
money is counted in whole cents, so that no rounding of floats can differ. The data has the faults of real data: missing
values, orders exported twice, a region spelt in two ways.
"""

import datetime
import random
import sys

SEED = 20251120
ORDERS = 3000
FIRST_DAY = datetime.date(2025, 1, 1)
DAYS = 365

# region, share of the orders, growth over the year (0.25: a quarter more orders in December than in January)
REGIONS = [("North", 0.30, 0.10), ("South", 0.26, 0.35), ("East", 0.24, -0.45), ("West", 0.20, 0.05)]
# product, share, price in cents, typical units, share returned
PRODUCTS = [
    ("Rye flour 25kg", 0.24, 2890, 12, 0.010),
    ("Wheat flour 25kg", 0.28, 2240, 16, 0.008),
    ("Yeast 1kg", 0.18, 740, 20, 0.015),
    ("Proofing basket", 0.12, 1595, 8, 0.030),
    ("Dough scraper", 0.11, 480, 25, 0.020),
    ("Baking stone", 0.07, 5950, 3, 0.110),
]
DISCOUNTS = [(0.62, "0.00"), (0.20, "0.05"), (0.12, "0.10"), (0.06, "0.20")]
HEADER = "order_id,date,region,product,units,unit_price,discount,returned"


def pick(rng, weighted):
    """One of `weighted`, a list of (weight, value)."""
    mark = rng.random() * sum(weight for weight, _ in weighted)
    for weight, value in weighted:
        mark -= weight
        if mark < 0:
            return value
    return weighted[-1][1]


def below(rng, limit):
    """A whole number from 0 to limit - 1."""
    return int(rng.random() * limit)


def order(rng, number, day):
    season = day / DAYS
    region = pick(rng, [(share * (1 + growth * season), name) for name, share, growth in REGIONS])
    name, _, cents, typical, returns = pick(rng, [(product[1], product) for product in PRODUCTS])
    if region == "East" and name == "Baking stone":
        returns = 0.24  # a bad batch, for the analyst to find
    units = 1 + below(rng, 2 * typical)
    cents += below(rng, 3) * cents // 50  # list price, or two or four per cent above it
    return {
        "order_id": "A%05d" % number,
        "date": (FIRST_DAY + datetime.timedelta(days=day)).isoformat(),
        "region": region,
        "product": name,
        "units": str(units),
        "unit_price": "%d.%02d" % divmod(cents, 100),
        "discount": pick(rng, DISCOUNTS),
        "returned": "yes" if rng.random() < returns else "no",
    }


def spoil(rng, row):
    """Leaves a value out, or spells one differently, in about one row of forty."""
    mark = rng.random()
    for share, key, value in [
        (0.007, "region", ""),
        (0.005, "units", ""),
        (0.004, "unit_price", ""),
        (0.005, "returned", ""),
        (0.004, "region", row["region"].lower()),
    ]:
        mark -= share
        if mark < 0:
            row[key] = value
            return


def main():
    rng = random.Random(SEED)
    days = sorted(below(rng, DAYS) for _ in range(ORDERS))
    lines = [HEADER]
    for number, day in enumerate(days, start=1):
        row = order(rng, number, day)
        spoil(rng, row)
        line = ",".join(row[key] for key in HEADER.split(","))
        lines.append(line)
        if rng.random() < 0.006:
            lines.append(line)  # the export ran twice over this order
    sys.stdout.buffer.write(("\n".join(lines) + "\n").encode("ascii"))


if __name__ == "__main__":
    main()
