NAME = "evaluate"


def command() -> None:
    "x"
