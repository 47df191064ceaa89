-- Keep documents that are relevant and unlike each other, by maximal marginal relevance (Carbonell and Goldstein 1998):
-- each time that of the largest trade_off · relevance − (1 − trade_off) · cosine to the nearest of those before it, its
-- partner. A relevance of earlier stages should be on the scale of a cosine.
-- :budget     INTEGER  NULL      [1, inf)  documents to keep; it must be given
-- :balanced   BOOLEAN  true      labels have equal parts of the budget, as far as they have documents
-- :trade_off  FLOAT    0.5       [0, 1]  the paper's lambda: 1 is relevance alone, 0 is unlikeness alone
-- :relevance  VARCHAR  'target'  target|score  cosine to the nearest target document, or earlier stages' score
WITH picked AS (
    SELECT p.corpus, p.id, p.rank, p.score, p.partner_corpus, p.partner_id,
        CASE WHEN $balanced THEN c.label END AS label
    FROM mmr(
        'target', 'candidates', budget := $budget, trade_off := $trade_off,
        relevance := CASE $relevance WHEN 'score' THEN 'previous_score' END, balanced := $balanced
    ) AS p
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
    CASE WHEN score IS NULL THEN 'it has no relevance, or its vector no direction' END AS reason
FROM picked
