"""Values of masks and label maps that mean the same everywhere; all others are class numbers."""

BACKGROUND, FOREGROUND, IGNORE = 0, 1, 255
