NAME = "generate"


def command() -> None:
    "x"
