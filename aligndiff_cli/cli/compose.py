NAME = "compose"


def command() -> None:
    "x"
