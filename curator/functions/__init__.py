"""Table functions: what SQL calls in FROM and Python computes. One file each, of the function's name.

The Python signature is the SQL signature; an argument annotated ``Relation`` takes a relation. Every function is in
``FUNCTIONS``, and nothing else is.
"""

from curator.functions.bm25 import bm25
from curator.functions.bm25_relevance import bm25_relevance
from curator.functions.centroids import centroids
from curator.functions.classified import classified
from curator.functions.clusters import clusters
from curator.functions.coverage import coverage
from curator.functions.decontamination_coverage import decontamination_coverage
from curator.functions.domain_classifier import domain_classifier
from curator.functions.dpp import dpp
from curator.functions.dsir import dsir
from curator.functions.exact_duplicates import exact_duplicates
from curator.functions.facility_location import facility_location
from curator.functions.hybrid import hybrid
from curator.functions.influence import influence
from curator.functions.k_center import k_center
from curator.functions.kl_reduction import kl_reduction
from curator.functions.knn_shapley import knn_shapley
from curator.functions.label_quality import label_quality
from curator.functions.languages import languages
from curator.functions.leaders import leaders
from curator.functions.listed_terms import listed_terms
from curator.functions.masked import masked
from curator.functions.mentions import mentions
from curator.functions.mixture import mixture
from curator.functions.mmr import mmr
from curator.functions.near_duplicates import near_duplicates
from curator.functions.pairs_within import pairs_within
from curator.functions.pii import pii
from curator.functions.round_robin import round_robin
from curator.functions.search import search
from curator.functions.shared_runs import shared_runs
from curator.functions.source_value import source_value
from curator.functions.tree import tree
from curator.functions.trust import trust
from curator.functions.tsds import tsds
from curator.functions.vendi_score import vendi_score
from curator.nearest import Function

FUNCTIONS: tuple[Function, ...] = (
    bm25,
    bm25_relevance,
    centroids,
    classified,
    clusters,
    coverage,
    decontamination_coverage,
    domain_classifier,
    dpp,
    dsir,
    exact_duplicates,
    facility_location,
    hybrid,
    influence,
    k_center,
    kl_reduction,
    knn_shapley,
    label_quality,
    languages,
    leaders,
    listed_terms,
    masked,
    mentions,
    mixture,
    mmr,
    near_duplicates,
    pairs_within,
    pii,
    round_robin,
    search,
    shared_runs,
    source_value,
    tree,
    trust,
    tsds,
    vendi_score,
)

__all__ = [
    "FUNCTIONS", "bm25", "bm25_relevance", "centroids", "classified", "clusters", "coverage",
    "decontamination_coverage", "domain_classifier", "dpp", "dsir", "exact_duplicates", "facility_location", "hybrid",
    "influence", "k_center", "kl_reduction", "knn_shapley", "label_quality", "languages", "leaders", "listed_terms",
    "masked", "mentions", "mixture", "mmr", "near_duplicates", "pairs_within", "pii", "round_robin", "search",
    "shared_runs", "source_value", "tree", "trust", "tsds", "vendi_score",
]  # fmt: skip
