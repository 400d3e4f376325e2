NAME = "status"


def command() -> None:
    "x"
