-- Keep documents that are relevant and span much together: a determinantal point process, by the fast greedy inference
-- of Chen, Zhang and Zhou (2018). Its kernel is q_i (cosine_ij + ridge δ_ij) q_j with q = exp(theta · relevance), and
-- the score is what a document adds to the logarithm of its determinant, in nats; the partner is the nearest of those
-- before it. Without a ridge it ends at as many documents as a vector has components.
-- :budget     INTEGER  NULL      [1, inf)  documents to keep; it must be given
-- :balanced   BOOLEAN  true      labels have equal parts of the budget, as far as they have documents
-- :theta      FLOAT    1.0       [0, inf)  what relevance counts for: at 0 only what is spanned does
-- :ridge      FLOAT    0.01      [0, inf)  share of each document that is its own, like no other
-- :relevance  VARCHAR  'target'  target|score  cosine to the nearest target document, or earlier stages' score
WITH picked AS (
    SELECT p.corpus, p.id, p.rank, p.score, p.relevance, p.partner_corpus, p.partner_id,
        CASE WHEN $balanced THEN c.label END AS label
    FROM dpp(
        'target', 'candidates', budget := $budget, theta := $theta, ridge := $ridge,
        relevance := CASE $relevance WHEN 'score' THEN 'previous_score' END, balanced := $balanced
    ) AS p
    JOIN candidates AS c ON c.corpus = p.corpus AND c.id = p.id
)
SELECT
    corpus,
    id,
    rank IS NOT NULL AS keep,
    CASE
        WHEN relevance IS NOT NULL AND score IS NULL THEN 'adds nothing'
        WHEN rank IS NULL AND score IS NOT NULL THEN 'beyond the budget'
    END AS rule,
    score,
    min(score) FILTER (rank IS NOT NULL) OVER (PARTITION BY label) AS threshold,
    partner_corpus,
    partner_id,
    rank,
    CASE WHEN relevance IS NULL THEN 'it has no relevance, or its vector no direction' END AS reason
FROM picked
