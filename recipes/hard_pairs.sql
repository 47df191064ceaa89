-- Keep the pairs whose items are alike: those that a retrieval would show, and a model must tell apart. That a visitor did
-- not go from hockey to baking says little; that they did not go from one game to another does. It holds for clicks as
-- well: where only pairs without a click must be alike, to be alike means not to be clicked, and a model learns that.
-- The column 'similarity' of the pool is the cosine of the two items.
-- :min_similarity  FLOAT    0.35   [-1, 1]  cosine that the items of a pair must reach
-- :spare_clicks    BOOLEAN  false  keep every pair with a click; see above
SELECT
    corpus,
    id,
    similarity >= $min_similarity OR ($spare_clicks AND label = 'click') AS keep,
    CASE WHEN similarity < $min_similarity THEN 'unlike items' END AS rule,
    similarity AS score,
    $min_similarity AS threshold
FROM candidates
