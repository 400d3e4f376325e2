NAME = "prepare"


def command() -> None:
    "x"
