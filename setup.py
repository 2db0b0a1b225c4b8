"""Lists the packages; everything else stands in pyproject.toml.

The rules live in ``rules/``, beside the engine, and are imported as ``transpiler.rules``. A static
list of packages would have to be kept up to date by hand, and ``packages.find`` can not map one
folder into another package.
"""

from setuptools import find_packages, setup

rules = [f"transpiler.rules.{name}" for name in find_packages("rules")]

setup(
    packages=[*find_packages(include=["transpiler", "transpiler.*"]), "transpiler.rules", *rules],
    package_dir={"transpiler": "transpiler", "transpiler.rules": "rules"},
)
