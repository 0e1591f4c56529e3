"""Measurements of whole deploys. README.md says what there is and how it is run."""
