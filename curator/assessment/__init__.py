"""What a trained classifier is worth on labelled documents: scores, calibration, robustness, and what is foreign to it.

Reading order: labelled (which documents count), resampling (scores and their intervals), groups (the same by label and
column), reliability (what its probabilities mean), temperature (what would mend them), perturbations (texts with
typos), domains (in from out), assess (the whole), tables (for people).
"""

from curator.assessment.assess import Assessment, assess
from curator.assessment.perturbations import Perturbation, perturbations
from curator.assessment.tables import Section, markdown, sections

__all__ = ["Assessment", "Perturbation", "Section", "assess", "markdown", "perturbations", "sections"]
