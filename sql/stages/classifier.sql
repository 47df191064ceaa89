-- Keep documents by what a fine-tuned classifier says of a label: of toxicity at most so much, of quality at least, by
-- classified(candidates, model). Its scores are as good as what it was trained on, and its mistakes fall on some groups
-- more than on others: look at whom it drops (curator affected MIX --by source).
-- :model      VARCHAR  ''    directory or hub name of a classifier of texts
-- :label      VARCHAR  NULL  the label that is asked about; NULL is the likeliest of each text
-- :min_score  FLOAT    NULL  its probability (of a regression: the value) at least; NULL for no limit
-- :max_score  FLOAT    NULL  and at most; NULL for no limit
WITH scored AS (
    SELECT corpus, id, label, score
    FROM classified(candidates, $model, label := $label)
),
checked AS (
    SELECT *, score < $min_score AS below, score > $max_score AS above
    FROM scored
)
SELECT
    corpus,
    id,
    CASE
        WHEN $min_score IS NULL AND $max_score IS NULL
        THEN error('classifier keeps everything as it is: give min_score or max_score')
        ELSE score IS NOT NULL AND NOT coalesce(below, false) AND NOT coalesce(above, false)
    END AS keep,
    CASE WHEN below THEN 'too little ' || label WHEN above THEN 'too much ' || label END AS rule,
    score,
    CASE WHEN above THEN $max_score ELSE $min_score END AS threshold,
    CASE WHEN score IS NULL THEN 'it has no text' END AS reason
FROM checked
