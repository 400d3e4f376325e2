"""Semantic segmentation of base and novel classes (GFSS): DeepLab, its base stage, and methods for the novel stage.

deeplab.py        DeepLab-V3 on a transformers ResNet; cosine.py its classifier
load.py           a backbone's folder or hub id -> DeepLab
batches.py        training batches from seeds
base_training.py  the base stage
task.py           what a novel stage learns from
novel.py          the novel stage's loop, and what a method is
methods/          finetune, GAPS, PIFS, GFS: a file each
"""
