NAME = "invert"


def command() -> None:
    "x"
