NAME = "mask"


def command() -> None:
    "x"
