-- Keep the pairs that a click model can learn from: every click, and of the pairs that nobody clicked those of items
-- that are alike. That a visitor did not go from knitting to football says little; that they did not go from one knitting
-- pattern to another does. The column 'similarity' of the pool is the cosine of the two items.
-- :min_similarity  FLOAT  0.35  [-1, 1]  cosine that the items of a pair without a click must reach
SELECT
    corpus,
    id,
    label = 'click' OR similarity >= $min_similarity AS keep,
    CASE WHEN label <> 'click' AND similarity < $min_similarity THEN 'easy pair without a click' END AS rule,
    similarity AS score,
    $min_similarity AS threshold
FROM candidates
