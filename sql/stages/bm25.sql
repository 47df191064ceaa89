-- Keep the candidates that share the words of some target document, by BM25 (Robertson et al. 1994, in Lucene's variant):
-- rare words count for much, frequent ones for little. The score is the share of the weight of the target document's
-- words that a candidate has, so that long and short target documents compare. It knows no synonyms: relevance does.
-- :min_score  FLOAT    0.1   share to reach, 0 to 1; a candidate that shares no word is dropped in any case
-- :budget     INTEGER  NULL  documents to keep, from 1; NULL keeps all that reach min_score
WITH ranked AS (
    SELECT *, score > 0 AND score >= $min_score AS reaches, row_number() OVER (ORDER BY score DESC, corpus, id) AS rank
    FROM bm25_relevance(target, candidates)
),
limited AS (
    SELECT
        *,
        CASE
            WHEN $budget < 1 THEN error(format('budget is {}: it must be at least 1', $budget))
            ELSE reaches AND rank <= coalesce($budget, rank)
        END AS keep
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
    CASE WHEN reaches AND $budget IS NOT NULL THEN min(score) FILTER (keep) OVER () ELSE $min_score END AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN $budget IS NOT NULL THEN rank END AS rank
FROM limited
