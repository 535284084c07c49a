"""Captioned pictures: readers (without torch), vocabularies, augmentation, batches."""
