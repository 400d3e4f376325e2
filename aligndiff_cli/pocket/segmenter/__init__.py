"""Data only: the bundled backbone and the HSNet weights trained on it (see `segmenter_train`)."""
