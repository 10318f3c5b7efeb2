"""A small sound city for the tests of contracts: trade inspects markets, science reads; tests spoil it."""

from dataclasses import dataclass
from pathlib import Path

from lienthong.contracts.check import check
from lienthong.contracts.document import Finding

INSPECTION = "contracts/trade/market-inspected.v1.yaml"
INSPECTION_EXAMPLES = "contracts/trade/market-inspected.v1.examples.yaml"
MARKET = "contracts/trade/market.v1.yaml"
MARKET_EXAMPLES = "contracts/trade/market.v1.examples.yaml"
TRADE = "contracts/trade/department.yaml"
SCIENCE = "contracts/science/department.yaml"
FILES = (INSPECTION, INSPECTION_EXAMPLES, MARKET, MARKET_EXAMPLES, TRADE, SCIENCE)
_SAMPLES = Path(__file__).parent


@dataclass(frozen=True)
class City:
    """A root folder with contracts of its own."""

    root: Path

    @classmethod
    def found(cls, root: Path) -> "City":
        """Write the sound samples under a folder and give the two departments a room each."""
        city = cls(root)
        for file in FILES:
            city.write(
                file,
                (_SAMPLES / Path(file).name.replace("department", Path(file).parent.name)).read_text("utf-8"),
            )
        for department in ("trade", "science"):
            (root / "services" / department).mkdir(parents=True)
        return city

    def write(self, file: str, text: str | bytes) -> None:
        """Write a file, folders included."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, file: str) -> str:
        """Read a file."""
        return (self.root / file).read_text("utf-8")

    def spoil(self, file: str, old: str, new: str) -> int:
        """Replace one piece of a file, the first; give the line where it stood."""
        text = self.read(file)
        assert old in text, f"{old!r} is not in {file}: the test would prove nothing"
        self.write(file, text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def findings(self) -> list[Finding]:
        """Judge the city."""
        return check(self.root)

    def rules(self) -> set[str]:
        """Name the rules the city breaks."""
        return {finding.rule for finding in self.findings()}
