"""What serves `aligndiff report` only: chains found on the disk, their commands, their pictures."""
