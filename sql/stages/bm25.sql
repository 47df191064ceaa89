-- Keep the candidates that share the words of some target document, by BM25 (Robertson et al. 1994, in Lucene's variant):
-- rare words count for much, frequent ones for little. The score is over that of a copy of the target document, so that
-- long and short ones compare: 0 is no word in common, 1 as good as a copy. It knows no synonyms: relevance does.
-- :min_score  FLOAT    0.25  [0, inf)  score to reach; a candidate that shares no word is dropped in any case
-- :budget     INTEGER  NULL  [1, inf)  documents to keep; NULL keeps all that reach min_score
WITH ranked AS (
    SELECT *, score > 0 AND score >= $min_score AS reaches, row_number() OVER (ORDER BY score DESC, corpus, id) AS rank
    FROM bm25_relevance(target, candidates)
),
limited AS (
    SELECT *, reaches AND rank <= coalesce($budget, rank) AS keep
    FROM ranked
)
SELECT
    corpus,
    id,
    keep,
    CASE
        WHEN score = 0 THEN 'no word of a target document'
        WHEN NOT reaches THEN 'below min_score'
        WHEN NOT keep THEN 'beyond the budget'
    END AS rule,
    score,
    CASE WHEN keep OR score > 0 AND NOT reaches THEN $min_score WHEN reaches THEN $budget END AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN reaches AND $budget IS NOT NULL THEN rank END AS rank
FROM limited
