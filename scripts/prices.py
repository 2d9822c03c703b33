#!/usr/bin/env python3
"""Makes src/cost/ec2-prices.csv, quell's table of what EC2 instances cost on demand.

    scripts/prices.py index us-east-1 us-east-1.csv        one region, from AWS's own price list
    scripts/prices.py collect SOURCES                      all regions, from what others have published

`index` takes a region's column from the price list of AWS (the Price List Bulk API:
https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/REGION/index.csv), and what a Windows licence adds
where the list has both. That is the better source; where it can be had, use it.

`collect` needs three files in the folder SOURCES, and makes the whole table of them:
  karpenter*.go    prices of Linux in us-east-1 and the GovCloud regions, as aws/karpenter-provider-aws generates them
  libcloud.json    prices of Linux in all regions, as Apache Libcloud scrapes them (libcloud/data/pricing.json)
  instances.txt    prices of Linux and Windows in us-east-1 (generated_instances_data.txt of LeanerCloud/ec2-instances-info)

Libcloud's prices mix tenancies: of each type and region they hold one of the shared price, the dedicated one (about 6 % more) and
zero. They are taken only where the sizes of a family bear each other out: see `ratios`.
"""

import argparse
import csv
import datetime
import json
import pathlib
import re
import statistics
import sys

TABLE = pathlib.Path(__file__).parent.parent / "src" / "cost" / "ec2-prices.csv"
BASE = "us-east-1"
WINDOWS_PER_VCPU = 0.046
# Ratios nearer than this are the same: prices are rounded.
NEAR = 0.004


def family(instance_type):
    return instance_type.split(".")[0]


def is_metal(instance_type):
    return ".metal" in instance_type


def vcpus(instance_type):
    size = instance_type.split(".")[1]
    times = re.fullmatch(r"(\d*)xlarge", size)
    return 4 * int(times[1] or 1) if times else {"medium": 1, "large": 2}.get(size)


class Table:
    """Prices by type: what Windows adds, and Linux by region. A text, so that `~` can mark what is derived."""

    def __init__(self):
        self.dates, self.windows, self.linux = {}, {}, {}

    @classmethod
    def read(cls, path):
        table = cls()
        rows = []
        for line in path.read_text().splitlines():
            if dated := re.fullmatch(r"# (\S+): (\d{4}-\d{2}-\d{2}), (.*)", line):
                table.dates[dated[1]] = (dated[2], dated[3])
            elif not line.startswith("#"):
                rows.append(line)
        for row in csv.DictReader(rows):
            instance_type = row.pop("type")
            table.windows[instance_type] = row.pop("windows")
            table.linux[instance_type] = {region: price for region, price in row.items() if price}
        return table

    def write(self, path):
        regions = sorted({region for prices in self.linux.values() for region in prices})
        regions.sort(key=lambda region: region != BASE)
        lines = [
            "# What EC2 instances cost on demand: US dollars per hour, shared tenancy, Linux. Made by scripts/prices.py.",
            "# `windows` is what a Windows licence adds. `~` marks what is derived and not listed:",
            "#   in a region: the price in us-east-1, times the ratio of the listed prices of other sizes of the family;",
            f"#   under windows: {WINDOWS_PER_VCPU} per vCPU, which every listed type of the kind bears out.",
            "# An empty cell is not known. Where the prices of each column come from:",
        ]
        lines += [f"# {column}: {date}, {source}" for column, (date, source) in sorted(self.dates.items())]
        lines.append(",".join(["type", "windows", *regions]))
        for instance_type, prices in sorted(self.linux.items()):
            cells = [instance_type, self.windows.get(instance_type, ""), *(prices.get(region, "") for region in regions)]
            lines.append(",".join(cells))
        path.write_text("\n".join(lines) + "\n")


def shown(price):
    return f"{price:.6f}".rstrip("0").rstrip(".")


def derived(price):
    return "~" + shown(float(f"{price:.4g}"))


# AWS's own list.


def from_index(table, region, path):
    """Takes the prices of a region from its index.csv."""
    with path.open(newline="") as file:
        facts = dict(next(csv.reader([next(file)])) for _ in range(5))
        found = {"Linux": {}, "Windows": {}}
        for row in csv.DictReader(file):
            if is_plain(row, region):
                found[row["Operating System"]][row["Instance Type"]] = float(row["PricePerUnit"])
    if not found["Linux"]:
        sys.exit(f"{path}: it has no price of a shared Linux instance in {region}")
    for prices in table.linux.values():
        prices.pop(region, None)
    for instance_type, price in found["Linux"].items():
        table.linux.setdefault(instance_type, {})[region] = shown(price)
        if windows := found["Windows"].get(instance_type):
            licence(table, instance_type, region, windows - price)
    table.dates[region] = (facts["Publication Date"][:10], "AWS Price List Bulk API")
    table.dates["windows"] = table.dates[region]


def is_plain(row, region):
    """Whether a row is the on-demand price of an instance that shares its host, with nothing else installed."""
    wanted = {
        "TermType": "OnDemand",
        "Unit": "Hrs",
        "Currency": "USD",
        "Region Code": region,
        "Tenancy": "Shared",
        "CapacityStatus": "Used",
        "Pre Installed S/W": "NA",
        "License Model": "No License required",
    }
    plain = all(row[column] == value for column, value in wanted.items())
    return plain and row["Operating System"] in ("Linux", "Windows") and float(row["PricePerUnit"]) > 0


def licence(table, instance_type, region, added):
    """Notes what Windows adds; it is the same in all regions, and a list in which it is not is not understood."""
    known = table.windows.get(instance_type, "")
    if known and not known.startswith("~") and abs(float(known) - added) > 0.02 * added + 0.0005:
        sys.exit(f"{region}: Windows adds {shown(added)} to {instance_type}, and {known} elsewhere: look what the list means")
    table.windows[instance_type] = shown(added)


# What others have published.


def from_karpenter(folder):
    prices, dates, region = {}, {}, None
    for path in sorted(folder.glob("karpenter*.go")):
        for line in path.read_text().splitlines():
            if generated := re.match(r"// generated at (\d{4}-\d{2}-\d{2})", line):
                date = generated[1]
            if named := re.match(r'\s+"([a-z]+(?:-[a-z]+)+-\d)": \{', line):
                region = named[1]
                prices[region], dates[region] = {}, date
            for instance_type, price in re.findall(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)', line):
                prices[region][instance_type] = float(price)
    return prices, dates


def from_instances(folder):
    """Linux and Windows in us-east-1."""
    pattern = r"Instance type: (\S+),.*Linux OD cost in us-east-1: ([0-9.]+),\s+Windows OD cost in us-east-1: ([0-9.]+)"
    found = re.findall(pattern, (folder / "instances.txt").read_text())
    return {instance_type: (float(linux), float(windows)) for instance_type, linux, windows in found}


def without_dedicated_metal(base, listed):
    """Bare metal stands in Karpenter's list at its dedicated price. It costs what the largest size of its family costs, or
    what the other list says; what neither bears out is left out."""
    for instance_type in [name for name in base if is_metal(name)]:
        largest = max((base[name] for name in base if family(name) == family(instance_type) and not is_metal(name)), default=0)
        if instance_type in listed:
            base[instance_type] = listed[instance_type][0]
        elif abs(base[instance_type] - largest) > NEAR * largest:
            del base[instance_type]


def ratios(prices, base, region):
    """By family, how many times as much it costs in a region as in us-east-1.

    All sizes of a family have the same ratio. It is the lowest, if another size agrees on it: a dedicated price is higher than
    the shared one, and nothing that is listed is lower."""
    families = {}
    for instance_type, by_region in prices.items():
        if by_region.get(region) and instance_type in base and not is_metal(instance_type):
            families.setdefault(family(instance_type), []).append(by_region[region] / base[instance_type])
    found = {}
    for name, values in families.items():
        agree = [value for value in values if value / min(values) - 1 < NEAR]
        if len(agree) >= 2:
            found[name] = statistics.median(agree)
    return found


def collect(folder):
    table = Table()
    known, dates = from_karpenter(folder)
    listed = from_instances(folder)
    libcloud = json.loads((folder / "libcloud.json").read_text())
    linux = libcloud["compute"]["ec2_linux"]
    base = known[BASE]
    without_dedicated_metal(base, listed)
    # Where the price in us-east-1 itself has changed since Libcloud looked, what it says of other regions is of no use.
    steady = {name for name, ratio in ratios(linux, base, BASE).items() if abs(ratio - 1) < NEAR}
    for region, prices in known.items():
        table.dates[region] = (dates[region], "aws/karpenter-provider-aws, pkg/providers/pricing")
        for instance_type, price in prices.items():
            if region == BASE or not is_metal(instance_type):
                table.linux.setdefault(instance_type, {})[region] = shown(price)
    day = datetime.datetime.fromtimestamp(libcloud["updated"], datetime.UTC).date()
    regions = {region for prices in linux.values() for region in prices if re.fullmatch(r"[a-z]+-[a-z]+-\d", region)}
    for region in sorted(regions - known.keys()):
        table.dates[region] = (str(day), "Apache Libcloud, libcloud/data/pricing.json")
        found = ratios(linux, base, region)
        for instance_type, by_region in linux.items():
            ratio = found.get(family(instance_type)) if family(instance_type) in steady else None
            if ratio and region in by_region and instance_type in base:
                expected, price = ratio * base[instance_type], by_region[region]
                is_shared = abs(price / expected - 1) < NEAR
                table.linux.setdefault(instance_type, {})[region] = shown(price) if is_shared else derived(expected)
    for instance_type in table.linux:
        linux_price, windows = listed.get(instance_type, (0, 0))
        if windows > linux_price:
            table.windows[instance_type] = shown(windows - linux_price)
        elif takes_windows(instance_type) and vcpus(instance_type):
            table.windows[instance_type] = "~" + shown(WINDOWS_PER_VCPU * vcpus(instance_type))
    table.dates["windows"] = ("2025-04-24", "LeanerCloud/ec2-instances-info, Windows less Linux in us-east-1")
    check(known, linux, base, steady)
    return table


def takes_windows(instance_type):
    """Families of which every listed type bears the rule out: x86, not burstable, not flex, no accelerators of AWS."""
    name = family(instance_type)
    return re.match(r"[cmrixz]\d", name) and int(re.search(r"\d", name)[0]) >= 5 and not re.match(r"[a-z]+\d+g|.*flex", name)


def check(known, linux, base, steady):
    """Derives also the prices that another list has, and says how many of them come out right within 1 %."""
    for region, prices in known.items():
        found = ratios(linux, base, region)
        compared = [(base[name] * found[family(name)], price) for name, price in prices.items()
                    if family(name) in found and family(name) in steady and name in base and not is_metal(name)]
        right = sum(abs(ours / theirs - 1) < 0.01 for ours, theirs in compared)
        print(f"{region}: {right} of {len(compared)} prices that two lists have agree within 1 %", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=pathlib.Path, default=TABLE)
    commands = parser.add_subparsers(dest="command", required=True)
    index = commands.add_parser("index", help="one region, from AWS's own list")
    index.add_argument("region")
    index.add_argument("file", type=pathlib.Path)
    commands.add_parser("collect", help="all regions, from what others have published").add_argument("sources", type=pathlib.Path)
    asked = parser.parse_args()
    if asked.command == "collect":
        table = collect(asked.sources)
    else:
        table = Table.read(asked.table) if asked.table.exists() else Table()
        from_index(table, asked.region, asked.file)
    table.write(asked.table)


if __name__ == "__main__":
    main()
