"""How figures and lists are written in sentences."""


def points(value: float | None, sign: bool = False) -> str:
    """A figure in points for people: one decimal, two where one would show a false zero, a true minus sign."""
    if value is None:
        return "–"
    text = f"{abs(value):.1f}" if round(abs(value), 1) else f"{abs(value):.2f}"
    if not float(text):
        return "0.0"
    return ("−" if value < 0 else "+" if sign else "") + text


def listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
