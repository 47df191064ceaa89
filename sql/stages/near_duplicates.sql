-- Keep one of each set of texts of nearly the same wording, by the leader rule: a dropped document is at or over the
-- threshold to one that is kept. The similarity is the Jaccard similarity of the texts' runs of characters, in lower
-- case and without punctuation; every pair is verified, but MinHash may miss pairs (at most 1 in 100 of those at the
-- threshold; a warning says how many). Documents without text are kept.
-- :min_jaccard  FLOAT    0.8   (0, 1]  share of common runs from which two texts are near duplicates
-- :ngram        INTEGER  3     [1, inf)  characters of a run; a shorter text is like no other but the same
-- :priority     VARCHAR  NULL  sources to keep documents of first, separated by commas; the others follow by name
WITH assigned AS (
    SELECT corpus, id, leader_corpus, leader_id, similarity
    FROM near_duplicates('candidates', min_jaccard := $min_jaccard, ngram := $ngram, priority := $priority)
)
SELECT
    corpus,
    id,
    leader_id IS NULL AS keep,
    CASE WHEN leader_id IS NOT NULL THEN 'near duplicate text' END AS rule,
    similarity AS score,
    $min_jaccard AS threshold,
    leader_corpus AS partner_corpus,
    leader_id AS partner_id
FROM assigned
