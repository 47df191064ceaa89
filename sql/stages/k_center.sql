-- Keep documents that lie far from each other: greedy k-center (Gonzalez 1985; for core-sets Sener and Savarese 2018).
-- Each time the candidate that is farthest from its nearest centre becomes one; then no document is more than twice as
-- far from a centre as with the best centres. What is unlike anything comes first, and so does rubbish: filter before.
-- Its score is the distance, √(2 − 2 cosine), to the nearest of the centres before it, which is its partner.
-- :budget    INTEGER  NULL      [1, inf)  documents to keep; it must be given
-- :balanced  BOOLEAN  true      labels have equal parts of the budget, as far as they have documents
-- :start     VARCHAR  'target'  target|pool  the target's documents are centres from the start, or none is
WITH picked AS (
    SELECT p.corpus, p.id, p.rank, p.score, p.partner_corpus, p.partner_id,
        CASE WHEN $balanced THEN c.label END AS label
    FROM k_center('target', 'candidates', budget := $budget, start := $start, balanced := $balanced) AS p
    JOIN candidates AS c ON c.corpus = p.corpus AND c.id = p.id
)
SELECT
    corpus,
    id,
    rank IS NOT NULL AS keep,
    CASE WHEN rank IS NULL AND score IS NOT NULL THEN 'beyond the budget' END AS rule,
    score,
    min(score) FILTER (rank IS NOT NULL) OVER (PARTITION BY label) AS threshold,
    partner_corpus,
    partner_id,
    rank,
    CASE WHEN rank IS NULL AND score IS NULL THEN 'its vector has no direction' END AS reason
FROM picked
