-- Keep one of each set of near duplicates, by the leader rule: a dropped document is at or over the threshold to one
-- that is kept, and no two kept documents are. All pairs are compared: twice the documents take four times as long, and
-- more than max_pairs are refused with an estimate. A fixed cosine means a different thing for each encoder;
-- fpr = 1e-6 instead is the one that of a million random pairs within the pool one reaches.
-- fpr: min_similarity of pool and pool
-- :min_similarity  FLOAT    0.95           (0, 1]  cosine from which two documents are near duplicates
-- :priority        VARCHAR  NULL           sources to keep documents of first, by commas; the others follow by name
-- :max_pairs       INTEGER  2000000000000  [0, inf)  pairs to compare at most, which are those of 2 million documents
WITH assigned AS (
    SELECT corpus, id, leader_corpus, leader_id, similarity
    FROM leaders('candidates', min_score := $min_similarity, priority := $priority, max_pairs := $max_pairs)
)
SELECT
    corpus,
    id,
    leader_id IS NULL AS keep,
    CASE WHEN leader_id IS NOT NULL THEN 'near duplicate' END AS rule,
    similarity AS score,
    $min_similarity AS threshold,
    leader_corpus AS partner_corpus,
    leader_id AS partner_id
FROM assigned
