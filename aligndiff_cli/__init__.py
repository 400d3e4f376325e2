"""aligndiff: synthesize image-mask pairs of new classes for few-shot segmentation (AlignDiff)."""

__version__ = "0.1.0"
